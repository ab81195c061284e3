"""The options that commands share: the same names with the same meaning everywhere."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from files import conv_net, save

import folding
from folding import cli
from folding.commands.options import Runs

RUNS = ["--inputs", "--input-shape", "--tolerance", "--provider", "--custom-ops"]
RUNS += ["--time-limit", "--memory-limit"]


def options(command: str) -> dict[str, click.Option]:
    """The options of a command by their first name."""
    found = cli.app.commands[command].params
    return {option.opts[0]: option for option in found if isinstance(option, click.Option)}


def test_an_option_of_several_commands_is_the_same_in_all() -> None:
    seen: dict[str, click.Option] = {}
    for command in cli.app.commands:
        for name, option in options(command).items():
            first = seen.setdefault(name, option)
            assert (option.help, option.default) == (first.help, first.default), name


@pytest.mark.parametrize("command", ["fold", "verify"])
def test_the_commands_that_run_models_say_alike_how(command: str) -> None:
    assert [name for name in options(command) if name in RUNS] == RUNS


@pytest.mark.parametrize("command", cli.app.commands)
def test_every_command_that_reads_models_takes_the_limits_that_errors_name(command: str) -> None:
    assert {"--max-nesting", "--max-expanded-nodes", "--follow-links"} <= options(command).keys()


@pytest.mark.parametrize("option", RUNS[1:])
def test_fold_refuses_what_it_cannot_do_and_writes_nothing(tmp_path: Path, option: str) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")

    found = CliRunner().invoke(cli.app, ["fold", str(source), option, "7"])

    assert found.exit_code == 2
    assert "--inputs" in found.stderr
    assert sorted(tmp_path.iterdir()) == [source]


def test_an_input_has_one_shape() -> None:
    with pytest.raises(folding.BadCall, match="twice"):
        Runs(shapes=("x:1", "x:2")).arguments()


def test_the_usual_runs_are_those_of_a_call_without_options() -> None:
    assert Runs(Path("i.npz")).only_inputs() == Path("i.npz")
    assert Runs().only_inputs() is None
