"""Preparing: from the option to the file, and the proof against the source as it was."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from files import contents, read, run, save, save_apart
from graphs import BOOL, FLOAT, Net
from graphs import run as run_model
from onnx import ModelProto, helper

import folding
from folding import preparing
from folding.equivalence import runs
from folding.equivalence.jobs import Job, ModelPlace
from folding.equivalence.verdict import Status
from folding.modelfile import Model
from folding.preparing import Prepared, prepare

SCHEMA = json.loads(resources.files("folding").joinpath("report.schema.json").read_text())


def flagged(*, opset: int = 17) -> ModelProto:
    """A convolution, then the norm of the batch or the trained one, as TensorFlow exports it."""
    net = Net(opset=opset)
    net.node("Conv", net.input(2, 3, 5), net.weight(200, 3, 3), out="v")
    net.input(name="training", elem_type=BOOL)
    gamma, mean, variance = net.positive(200), net.weight(200), net.positive(200)
    batch = [
        helper.make_node("ReduceMean", ["v"], ["m"], axes=[0, 2], keepdims=1),
        helper.make_node("Sub", ["v", "m"], ["batch"]),
    ]
    trained = helper.make_node(
        "BatchNormalization", ["v", gamma, gamma, mean, variance], ["trained"], "norm"
    )
    branches: dict[str, Any] = {}
    for which, nodes in (("then_branch", batch), ("else_branch", [trained])):
        output = helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)
        branches[which] = helper.make_graph(nodes, which, [], [output])
    net.node("If", "training", out="n", name="cond", **branches)
    net.node("Relu", "n", out="y")
    return net.model("y")


@pytest.mark.parametrize("keep", [save, save_apart])
def test_a_frozen_model_is_folded_and_written(tmp_path: Path, keep: Any) -> None:
    """It computes what the source does with the flag, which is no input any more."""
    (tmp_path / "s").mkdir()
    source = keep(flagged(), tmp_path / "s" / "m.onnx")
    before = contents(tmp_path / "s")

    report = folding.fold(source, tmp_path / "f.onnx", freeze={"training": False})

    folded = read(tmp_path / "f.onnx")
    x = np.random.default_rng(3).standard_normal((2, 3, 5)).astype(np.float32)
    (ours,) = run_model(folded, {"x": x})
    (theirs,) = run_model(read(source), {"x": x, "training": np.array(False)})
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert [node.op_type for node in folded.graph.node] == ["Conv", "Relu"]
    assert [value.name for value in folded.graph.input] == ["x"]
    assert contents(tmp_path / "s") == before
    assert str(report.verification.name) == "equivalent"
    text = "beside the source as it was, fed training = false"
    assert text in report.verification.rests_on


def test_without_a_fold_a_frozen_model_is_written_and_run_all_the_same(tmp_path: Path) -> None:
    """That it was frozen needs the proof, too."""
    source = save(flagged(), tmp_path / "m.onnx")

    report = folding.fold(source, tmp_path / "f.onnx", freeze={"training": True})

    written = read(tmp_path / "f.onnx")
    assert [node.op_type for node in written.graph.node] == ["Conv", "ReduceMean", "Sub", "Relu"]
    outputs = next(check for check in report.verification.checks if check.name == "outputs")
    assert outputs.status is Status.PASSED
    assert "fed training = true" in report.verification.rests_on


def test_the_report_says_what_was_done(tmp_path: Path) -> None:
    """As JSON that the schema describes, and in the text."""
    save(flagged(), tmp_path / "m.onnx")
    words = ["--freeze", "training=False", "--keep", "norm"]

    found = run("fold", "m.onnx", *words, "--json", "r.json", cwd=tmp_path)

    assert found.returncode == 0, found.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["preparation"] == {
        "frozen": [{"name": "training", "value": False}],
        "branches": [{"node": "cond", "taken": "else_branch"}],
        "inlined": [],
        "keep": ["norm"],
    }
    lines = found.stdout.splitlines()
    assert lines[:2] == ["frozen: training = false", "If 'cond' gave way to its else_branch"]
    assert "n: batch_norm: kept: it was asked to be kept ('n')" in lines


def test_explain_takes_the_same_options(tmp_path: Path) -> None:
    """And says the same of what would be done."""
    source = save(flagged(), tmp_path / "m.onnx")

    found = run("explain", "m.onnx", "--freeze", "training=0", "--json", "-", cwd=tmp_path)

    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["preparation"]["branches"] == [{"node": "cond", "taken": "else_branch"}]
    assert report["decisions"][0]["outcome"] == "folded"
    plan = folding.explain(source, freeze={"training": False})
    assert plan.decisions == folding.fold(source, freeze={"training": False}).plan.decisions


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--freeze", "nonsense=true"], "no input 'nonsense' to freeze"),
        (["--freeze", "training"], "'training' is not NAME=VALUE"),
        (["--freeze", "training=true", "--freeze", "training=false"], "names an input twice"),
        (["--keep", "nonsense"], "no normalisation 'nonsense' to keep"),
    ],
)
@pytest.mark.parametrize("command", ["fold", "explain"])
def test_a_wrong_option_is_2_and_writes_nothing(
    tmp_path: Path, command: str, words: list[str], message: str
) -> None:
    """The sentence names what is wrong."""
    save(flagged(), tmp_path / "m.onnx")

    found = run(command, "m.onnx", *words, cwd=tmp_path)

    assert found.returncode == 2
    assert message in found.stderr
    assert list(contents(tmp_path)) == ["m.onnx"]


def test_folding_what_is_frozen_again_changes_nothing(tmp_path: Path) -> None:
    """And to freeze it again is an error."""
    source = save(flagged(), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "a.onnx", freeze={"training": False})

    folding.fold(tmp_path / "a.onnx", tmp_path / "b.onnx")

    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    with pytest.raises(folding.BadCall, match="no input 'training'"):
        folding.fold(tmp_path / "a.onnx", freeze={"training": False})


def test_the_user_gives_the_inputs_that_are_left(tmp_path: Path) -> None:
    """What is frozen is fed to the source by itself."""
    source = save(flagged(), tmp_path / "m.onnx")
    x = np.ones((2, 3, 5), np.float32)

    report = folding.fold(source, freeze={"training": False}, inputs={"x": x})

    assert "the user's inputs; beside the source" in report.verification.rests_on


@pytest.mark.parametrize("wrong", [False, True])
def test_a_model_that_was_prepared_wrongly_is_found_by_the_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: bool,  # noqa: FBT001
) -> None:
    """The candidate is compared with the source as it was, not with what was made of it."""
    source = save(flagged(), tmp_path / "m.onnx")
    candidate = tmp_path / "c.onnx"
    keep = [] if wrong else ["norm"]  # Nothing is folded, so the outputs must be the same.
    folding.fold(source, candidate, freeze={"training": wrong}, keep=keep, verify=False)

    def prepared(model: Model, freeze: Any) -> Prepared:
        return prepare(model, {"training": wrong})

    monkeypatch.setattr(preparing, "prepare", prepared)
    frozen = {"training": np.array(False)}
    job = Job(ModelPlace(source), ModelPlace(candidate), 32, frozen=frozen)

    answer = runs.compare(job)

    assert answer.outputs.status is (Status.FAILED if wrong else Status.PASSED)


@pytest.mark.parametrize("old", [7, 17])
def test_the_source_is_what_it_was_without_options(tmp_path: Path, old: int) -> None:
    """Its flag is nobody's business then."""
    source = save(flagged(opset=old) if old > 7 else flagged(), tmp_path / "m.onnx")

    report = folding.fold(source, tmp_path / "f.onnx", keep=())

    assert report.preparation.to_dict() == {"frozen": [], "branches": [], "inlined": [], "keep": []}
    assert "beside" not in report.verification.rests_on
    assert [value.name for value in read(tmp_path / "f.onnx").graph.input] == ["x", "training"]
