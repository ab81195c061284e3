"""fold-model lint: what looks wrong in a model."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from files import conv_net, relu_net, save
from graphs import Net
from linting import conv, image, normed

from folding import cli

SCHEMA = json.loads(resources.files("folding").joinpath("lint.schema.json").read_text())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a model that is sound, one that is not, and no model."""
    net = Net()
    y = normed(net, net.node("Relu", conv(net, image(net))))
    save(net.model(net.node("Tanh", y, out="y")), tmp_path / "late.onnx")
    save(relu_net(), tmp_path / "plain.onnx")
    save(conv_net(), tmp_path / "biased.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str) -> Any:
    """Run the command in this process."""
    return CliRunner().invoke(cli.app, ["lint", *words])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("plain.onnx", 0),
        ("plain.onnx --strict", 0),
        ("late.onnx", 0),
        ("late.onnx --strict", 3),
        ("biased.onnx --strict", 3),
        ("bad.onnx", 2),
        ("nowhere.onnx", 2),
        ("plain.onnx --inputs nothing.npz", 2),
        ("plain.onnx --freeze training=false", 2),
    ],
)
def test_the_exit_code_says_what_came_of_it(words: str, code: int) -> None:
    """With --strict any finding is 3, a harmless one included."""
    assert call(*words.split()).exit_code == code


def test_each_finding_is_a_line() -> None:
    """With its code, its place, its cause and its remedy; then their number."""
    line, number = call("late.onnx").stdout.splitlines()
    assert line.startswith("ACTIVATION_BEFORE_NORM: 'batchnormalization2': the activation Relu ")
    assert line.endswith("; put the normalisation between the layer and its activation")
    assert number == "1 finding"
    nothing, unrun = call("plain.onnx").stdout.splitlines()
    assert nothing == "no findings"
    assert unrun.startswith("not run: which axis of its inputs is the batch is unknown")
    assert call("plain.onnx", "--no-run").stdout == "no findings\n"
    assert call("late.onnx", "--quiet").output == ""


def test_the_report_follows_its_schema(folder: Path) -> None:
    """Printed or written."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name, count in (("late.onnx", 1), ("plain.onnx", 0)):
        report = json.loads(call(name, "--json", "-").stdout)
        jsonschema.validate(report, SCHEMA)
        assert (report["source"], len(report["findings"])) == (name, count)
        assert call(name, "--json", "report.json").exit_code == 0
        assert json.loads((folder / "report.json").read_text()) == report


def test_a_model_that_is_not_run_is_said_to_be() -> None:
    """Unless that was asked for."""
    net = Net()
    noise = net.node("RandomNormalLike", image(net))
    save(net.model(noise), Path("random.onnx"))
    assert call("random.onnx").stdout.endswith("not run: RandomNormalLike is random\n")
    assert "not run" not in call("random.onnx", "--no-run").stdout


def test_the_report_does_not_replace_the_model(folder: Path) -> None:
    """Nor anything else that is read."""
    before = (folder / "late.onnx").read_bytes()
    assert call("late.onnx", "--json", "late.onnx").exit_code == 2
    assert (folder / "late.onnx").read_bytes() == before
