"""The options that commands share: the same names with the same meaning everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from files import conv_net, save

import folding
from folding import cli, pipeline
from folding.commands.options import Runs
from folding.equivalence.limits import RunLimits

RUNS = ["--inputs", "--input-shape", "--tolerance", "--provider", "--custom-ops"]
RUNS += ["--time-limit", "--memory-limit"]
#: The commands that read models; serve lets others do it.
OF_MODELS = [name for name in cli.app.commands if name != "serve"]
#: What a converter makes has no links.
OF_ONNX = [name for name in OF_MODELS if name != "convert"]
SERVER = ["--server", "--token-file", "--tls-ca", "--tls-cert", "--tls-key", "--insecure"]


def options(command: str) -> dict[str, click.Option]:
    """The options of a command by their first name."""
    found = cli.app.commands[command].params
    return {option.opts[0]: option for option in found if isinstance(option, click.Option)}


def test_an_option_of_several_commands_is_the_same_in_all() -> None:
    seen: dict[str, click.Option] = {}
    for command in OF_MODELS:
        for name, option in options(command).items():
            if (command, name) == ("lint", "--strict"):  # It folds nothing.
                continue
            first = seen.setdefault(name, option)
            assert (option.help, option.default) == (first.help, first.default), name


@pytest.mark.parametrize("command", ["fold", "verify"])
def test_the_commands_that_run_models_say_alike_how(command: str) -> None:
    assert [name for name in options(command) if name in RUNS] == RUNS


@pytest.mark.parametrize("command", ["fold", "verify", "explain"])
def test_the_commands_that_a_server_can_do_say_alike_which(command: str) -> None:
    assert [name for name in options(command) if name in SERVER] == SERVER


@pytest.mark.parametrize("command", OF_MODELS)
def test_every_command_that_reads_models_takes_the_limits_that_errors_name(command: str) -> None:
    assert {"--max-nesting", "--max-expanded-nodes"} <= options(command).keys()


@pytest.mark.parametrize("command", OF_ONNX)
def test_every_command_that_opens_onnx_files_can_be_let_follow_links(command: str) -> None:
    assert "--follow-links" in options(command)


def test_fold_runs_models_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")
    asked: list[dict[str, Any]] = []
    real = pipeline.fold

    def fold(*paths: Any, **how: Any) -> Any:
        asked.append(how)
        return real(*paths, **how)

    monkeypatch.setattr(pipeline, "fold", fold)
    words = ["--input-shape", "x:1,3,5,5", "--tolerance", "0.5", "--time-limit", "60"]

    found = CliRunner().invoke(cli.app, ["fold", str(source), *words, "--memory-limit", "4000"])

    assert found.exit_code == 0, found.output
    (how,) = asked
    assert how["shapes"] == {"x": (1, 3, 5, 5)}
    assert (how["tolerance"], how["run_limits"]) == (0.5, RunLimits(60.0, 4_000_000_000))
    assert "outputs passed" in found.stdout


def test_an_input_has_one_shape() -> None:
    with pytest.raises(folding.BadCall, match="twice"):
        Runs(shapes=("x:1", "x:2")).arguments()


def test_the_usual_runs_are_those_of_a_call_without_options() -> None:
    assert Runs(Path("i.npz")).arguments()["inputs"] == Path("i.npz")
