"""The GitHub Action and the pre-commit hook: true of the command, and safe from their inputs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from files import conv_net, kept_net, save

import folding
from folding import cli

ROOT = Path(__file__).parent.parent
ACTION_PATH = ROOT / ".github" / "actions" / "verify"
ACTION: dict[str, Any] = yaml.safe_load((ACTION_PATH / "action.yml").read_text("utf-8"))
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
INSTALL, RUN = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


def known_options(command: str) -> set[str]:
    """The options that a command takes."""
    return {name for parameter in cli.app.commands[command].params for name in parameter.opts}


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


# --- pre-commit ----------------------------------------------------------------------------------


def test_there_is_one_hook_and_it_has_what_pre_commit_needs() -> None:
    (hook,) = HOOKS

    assert hook["id"] == "fold-model-check"
    assert hook.keys() >= {"id", "name", "entry", "language"}
    assert hook["language"] == "python"


def test_the_hook_runs_a_command_that_is_there() -> None:
    script, command, *rest = shlex.split(HOOKS[0]["entry"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert script in project["scripts"]
    assert command in cli.app.commands
    assert set(rest) <= known_options(command)


def test_the_command_of_the_hook_takes_any_number_of_files() -> None:
    command = cli.app.commands[HOOKS[0]["entry"].split()[1]]
    (files,) = (p for p in command.params if isinstance(p, click.Argument))

    assert files.nargs == -1


@pytest.mark.parametrize(
    ("path", "is_model"),
    [("a.onnx", True), ("a b/c.onnx", True), ("a.onnx.txt", False), ("aonnx", False)],
)
def test_the_hook_looks_at_models_only(path: str, is_model: bool) -> None:  # noqa: FBT001
    assert bool(re.search(HOOKS[0]["files"], path)) == is_model


# --- the action ----------------------------------------------------------------------------------


def test_every_input_is_described_and_used() -> None:
    used = {value for step in (INSTALL, RUN) for value in step["env"].values()}
    for name, found in ACTION["inputs"].items():
        assert found["description"]
        assert f"${{{{ inputs.{name} }}}}" in used


def test_expressions_are_known_and_reach_scripts_as_variables_only() -> None:
    known = {"github.action_path", "runner.temp", *(f"inputs.{name}" for name in ACTION["inputs"])}
    for step in (INSTALL, RUN):
        assert not EXPRESSION.search(step["run"])
        assert step["shell"] == "bash"
        for value in step["env"].values():
            assert set(EXPRESSION.findall(value)) <= known


def test_it_installs_the_package_of_its_own_repository() -> None:
    source = EXPRESSION.sub(lambda _: str(ACTION_PATH), INSTALL["env"]["SOURCE"])

    assert Path(source).resolve() == ROOT.resolve()
    assert '"$SOURCE"' in INSTALL["run"]


def test_its_commands_and_options_are_there() -> None:
    commands = re.findall(r'fold-model" (\w+)', RUN["run"])

    assert sorted(commands) == ["check", "verify"]
    for found in ACTION["inputs"].values():
        assert options_in(found["description"]) <= known_options("verify")


def test_no_host_is_named() -> None:
    texts = [
        (ACTION_PATH / "action.yml").read_text(),
        (ROOT / ".pre-commit-hooks.yaml").read_text(),
    ]

    assert not any("://" in text or "index-url" in text for text in texts)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A checkout with models, and the command where the action would have installed it."""
    models = tmp_path / "my models"
    models.mkdir()
    save(conv_net(), models / "m.onnx")
    save(kept_net(), models / "k.onnx")
    folding.fold(models / "m.onnx", models / "f.onnx")
    script = tmp_path / "temp" / "fold-model" / "bin" / "fold-model"
    script.parent.mkdir(parents=True)
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m folding "$@"\n')
    script.chmod(0o755)
    return tmp_path


def act(work: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the second step as a runner does."""
    values = {f"inputs.{name}": inputs.get(name, "") for name in ACTION["inputs"]}
    values["runner.temp"] = str(work / "temp")
    given = {
        name: EXPRESSION.sub(lambda found: values[found[1]], value)
        for name, value in RUN["env"].items()
    }
    script = work / "temp" / "step.sh"
    script.write_text(RUN["run"])
    return subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        env={**os.environ, **given},
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_verifies_two_models_with_the_options_given(work: Path) -> None:
    options = "--junit=a report.xml\n--quiet\n"

    found = act(work, reference="my models/m.onnx", candidate="my models/f.onnx", options=options)

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert "<testsuite " in (work / "a report.xml").read_text()


def test_it_fails_where_the_command_does(work: Path) -> None:
    found = act(work, reference="my models/m.onnx", candidate="nowhere.onnx")

    assert found.returncode == 2
    assert "nowhere.onnx" in found.stderr


def test_it_checks_files_named_by_patterns(work: Path) -> None:
    found = act(work, files="my models/[fk].onnx\nmy models/m.*\n")

    assert found.returncode == 3
    assert found.stdout.splitlines()[-1] == "1 of 3 can be folded"


def test_options_are_no_patterns(work: Path) -> None:
    (work / "--quiet").touch()

    assert act(work, files="my models/f.onnx", options="--q*").returncode == 2


def test_a_pattern_without_files_fails(work: Path) -> None:
    assert act(work, files="nowhere/*.onnx").returncode == 2


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"reference": "a"},
        {"candidate": "a"},
        {"files": "a", "reference": "a"},
        {"files": "a", "reference": "a", "candidate": "b"},
    ],
    ids=str,
)
def test_it_says_what_it_needs(work: Path, inputs: dict[str, str]) -> None:
    found = act(work, **inputs)

    assert found.returncode == 2
    assert found.stderr == "Give either reference and candidate, or files.\n"


@pytest.mark.parametrize("name", ["reference", "candidate", "files", "options"])
@pytest.mark.parametrize(
    "evil", ['$(touch pwned)"', "'; touch pwned; '", "`touch pwned`", "--help"]
)
def test_no_input_is_run_or_taken_for_an_option(work: Path, name: str, evil: str) -> None:
    inputs = (
        {"files": evil} if name == "files" else {"reference": "a", "candidate": "b", name: evil}
    )

    found = act(work, **inputs)

    assert not (work / "pwned").exists()
    is_help = (name, evil) == ("options", "--help")
    assert found.returncode == (0 if is_help else 2)
