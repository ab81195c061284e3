"""--keep: an affine that is asked to be kept stays, whoever would take it along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import save
from graphs import FLOAT, Net, tensors
from onnx import ModelProto, helper

import folding
from folding import Folded, Kept, Reason
from folding.plan import Decision
from folding.protos import graphs


def two_norms() -> ModelProto:
    """x, Conv, norm, Relu, Conv, Mul and Add, y."""
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.batch_norm("v", 4, "n", name="norm")
    net.node("Relu", "n", out="r")
    net.node("Conv", "r", net.weight(4, 4, 1), out="w")
    net.node("Mul", "w", net.weight(4, 1), out="m", name="scale")
    net.node("Add", "m", net.weight(4, 1), out="y")
    return net.model("y")


def decisions(model: ModelProto, *keep: str) -> dict[str, Decision]:
    folded, report = folding.fold_model(model, keep=keep)
    assert report.to_dict()["preparation"]["keep"] == list(keep)
    nodes = sum(len(graph.node) for graph in graphs(folded))
    assert nodes == report.plan.counts["nodes_after"]
    return {decision.name: decision for decision in report.plan.decisions}


@pytest.mark.parametrize("name", ["y", "m", "scale"])
def test_an_affine_is_called_by_its_output_or_any_of_its_nodes(name: str) -> None:
    """It stays with that reason, the other is folded as ever."""
    found = decisions(two_norms(), name)

    assert found["y"].outcome == Kept(Reason.ASKED_TO_KEEP, "y")
    assert str(found["y"].outcome) == "kept: it was asked to be kept ('y')"
    assert isinstance(found["n"].outcome, Folded)


def test_several_are_kept() -> None:
    """Then nothing is folded, and nothing is changed."""
    model = two_norms()

    folded, report = folding.fold_model(model, keep=["norm", "y"])

    assert folded.SerializeToString() == model.SerializeToString()
    assert report.plan.counts["kept"] == 2


def test_what_is_asked_to_be_kept_does_not_count_for_strict() -> None:
    """The user has said so."""
    found = decisions(two_norms(), "y")

    assert not found["y"].counts_for_strict


@pytest.mark.parametrize("name", ["nonsense", "v", "x", ""])
def test_a_name_of_no_affine_is_an_error_that_names_it(name: str) -> None:
    """Layers and inputs are none."""
    with pytest.raises(folding.BadCall, match=f"no normalisation {name!r} to keep"):
        folding.fold_model(two_norms(), keep=["y", name])


def test_an_affine_on_its_way_down_does_not_take_along_what_is_kept() -> None:
    """The one behind it is decided later."""
    net = Net()
    net.batch_norm(net.input(2, 4, 5), 4, "n")
    net.node("Transpose", "n", out="t", perm=[0, 2, 1])
    net.node("Mul", "t", net.weight(4), out="m")
    net.node("MatMul", "m", net.weight(4, 6), out="y")
    model = net.model("y")
    assert all(isinstance(d.outcome, Folded) for d in decisions(model).values())

    found = decisions(model, "m")

    assert found["m"].outcome == Kept(Reason.ASKED_TO_KEEP, "m")
    assert isinstance(found["n"].outcome, Kept)


def test_an_affine_on_its_way_up_does_not_take_along_what_is_kept() -> None:
    """It stops behind it."""
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.batch_norm("v", 4, "n")
    net.node("Transpose", "n", out="t", perm=[0, 2, 1])
    net.node("Mul", "t", net.weight(4), out="m")
    net.node("Relu", "m", out="y")

    found = decisions(net.model("y"), "n")

    assert found["n"].outcome == Kept(Reason.ASKED_TO_KEEP, "n")
    assert isinstance(found["m"].outcome, Kept)


def test_a_shift_on_its_way_down_does_not_go_into_what_is_kept() -> None:
    """It has an Add of its own in front of the one that is kept, whose numbers are the same."""
    net = Net()
    net.batch_norm(net.input("N", 8), 8, "n")
    net.node("MatMul", "n", net.weight(8, 4), out="v")
    net.node("Add", "v", net.weight(4, name="shift"), out="a")
    net.node("Mul", "a", net.weight(4, name="scale"), out="m")
    net.node("Sigmoid", "m", out="y")
    model = net.model("y")

    folded, report = folding.fold_model(model, keep=["m"])

    assert [n.op_type for n in folded.graph.node] == ["MatMul", "Add", "Add", "Mul", "Sigmoid"]
    assert list(folded.graph.node[2].input) == [folded.graph.node[1].output[0], "shift"]
    for name in ("shift", "scale"):
        assert np.array_equal(tensors(folded.graph)[name], net.stored[name])
    assert [d.is_folded for d in report.plan.decisions] == [True, False]


def test_a_shift_has_no_add_beside_what_is_kept_if_that_saves_no_node() -> None:
    """Where two layers would need one each, the affine stays where it was."""
    net = Net()
    net.batch_norm(net.input("N", 8), 8, "n")
    for branch in "ab":
        net.node("MatMul", "n", net.weight(8, 4), out=f"{branch}v")
        net.node("Add", f"{branch}v", net.weight(4), out=f"{branch}a")
        net.node("Mul", f"{branch}a", net.weight(4), out=f"{branch}m")
        net.node("Sigmoid", f"{branch}m", out=branch)

    found = decisions(net.model("a", "b"), "am", "bm")

    outcome = found["n"].outcome
    assert isinstance(outcome, Kept)
    assert outcome.below is not None
    assert outcome.below.reason is Reason.MORE_NODES


def test_a_shift_on_its_way_up_does_not_go_into_what_is_kept() -> None:
    """It stops there, whatever else could be merged at last."""
    net = Net()
    net.node("MatMul", net.input("N", 5, 8), net.weight(8, 4), out="v")
    net.node("Add", "v", net.weight(4), out="a")
    net.node("Mul", "a", net.weight(4), out="m")
    net.node("Transpose", "m", out="t", perm=[0, 2, 1])
    net.batch_norm("t", 4, "y")
    model = net.model("y")

    folded, _ = folding.fold_model(model, keep=["m"])

    assert folded.SerializeToString() == model.SerializeToString()


def test_an_affine_in_a_body_is_kept() -> None:
    """Names are looked for in all graphs."""
    net = Net()
    x = net.input(2, 3, 5)
    flag = net.input(name="flag", elem_type=9)
    weight, parameter = net.weight(4, 3, 3), net.positive(4)
    branches: dict[str, Any] = {}
    for which in ("then_branch", "else_branch"):
        nodes = [
            helper.make_node("Conv", [x, weight], [f"{which}_h"]),
            helper.make_node("BatchNormalization", [f"{which}_h", *[parameter] * 4], [which]),
        ]
        value = helper.make_tensor_value_info(which, FLOAT, None)
        branches[which] = helper.make_graph(nodes, which, [], [value])
    net.node("If", flag, out="y", **branches)

    found = decisions(net.model("y"), "else_branch")

    assert found["else_branch"].outcome == Kept(Reason.ASKED_TO_KEEP, "else_branch")
    other = found["then_branch"].outcome
    assert isinstance(other, Folded) or other.reason is not Reason.ASKED_TO_KEEP


def test_explain_decides_what_fold_does(tmp_path: Path) -> None:
    """With the same names."""
    source = save(two_norms(), tmp_path / "m.onnx")

    plan = folding.explain(source, keep=["norm"])

    assert plan.decisions == folding.fold(source, keep=["norm"]).plan.decisions
    assert plan.counts["kept"] == 1
