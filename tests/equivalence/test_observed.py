"""Observed: the float values that stand for outputs which a rounding can flip."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import BOOL, INT64, Net
from onnx import ModelProto, TensorProto, helper

from folding.equivalence.observed import observed
from folding.graph import index
from folding.modelfile import in_memory


def watched(model: ModelProto) -> dict[str, tuple[str, ...]]:
    opened = in_memory(model)
    return observed(opened.proto.graph, index(opened)[0][0].type)


def behind(operator: str, *more: str, **attributes: Any) -> tuple[str, ...]:
    """What stands for the output of one operator behind a Relu ``h``."""
    net = Net()
    net.node("Relu", net.input(2, 8), out="h")
    for name in more:
        net.integers(3, name=name)
    net.node(operator, "h", *more, out="y", **attributes)
    return watched(net.model("y"))["y"]


def test_a_float_output_stands_for_itself() -> None:
    assert behind("Sigmoid") == ("y",)


DECIDING: dict[str, dict[str, Any]] = {
    "ArgMax": {"axis": 1},
    "ArgMin": {"axis": 1},
    "Ceil": {},
    "Cast": {"to": INT64},
    "Floor": {},
    "Hardmax": {},
    "IsNaN": {},
    "NonZero": {},
    "Round": {},
    "Sign": {},
}


@pytest.mark.parametrize("operator", DECIDING)
def test_what_is_decided_is_judged_by_what_it_is_made_from(operator: str) -> None:
    assert behind(operator, **DECIDING[operator]) == ("h",)


def test_a_float_that_is_no_decision_s_own_is_not_taken_for_one() -> None:
    """A conversion between floats rounds, and flips nothing."""
    assert behind("Cast", to=TensorProto.DOUBLE) == ("y",)


def test_both_outputs_of_a_choice_are_judged_by_what_it_chose_from() -> None:
    net = Net()
    net.node("Relu", net.input(2, 8), out="h")
    net.node("TopK", "h", net.integers(3), out="values,places")

    assert watched(net.model("values", "places")) == {"values": ("h",), "places": ("h",)}


def test_what_lies_behind_a_decision_is_judged_by_what_came_before_it() -> None:
    """Floats as well; and not by what does not lead there."""
    net = Net()
    net.node("Relu", net.input(2, 8), out="h")
    net.node("Sigmoid", "h", out="other")
    chosen = net.node("Cast", net.node("Round", "h", out="r"), to=INT64, out="i")
    net.node("Mul", net.node("Cast", chosen, to=TensorProto.FLOAT), net.store([2.0]), out="y")

    assert watched(net.model("y", "other")) == {"y": ("h",), "other": ("other",)}


def test_a_float_that_was_an_integer_is_a_decision_s() -> None:
    net = Net()
    whole = net.node("Cast", net.node("Relu", net.input(2, 8), out="h"), to=INT64)
    net.node("Cast", whole, to=TensorProto.FLOAT, out="y")

    assert watched(net.model("y"))["y"] == ("h",)


def test_both_what_is_compared_and_what_is_chosen_stand_for_a_choice() -> None:
    net = Net()
    net.node("Relu", net.input(2, 8), out="h")
    net.node("Sigmoid", "h", out="s")
    where = net.node("Less", "h", net.store([0.5]), out="less")
    net.node("Where", where, "s", net.store([0.0]), out="y")

    assert set(watched(net.model("y"))["y"]) == {"h", "s"}


def test_the_nearest_values_are_taken_not_all_before_them() -> None:
    net = Net()
    net.node("Relu", net.node("Abs", net.input(2, 8), out="far"), out="near")
    net.node("ArgMax", "near", out="y")

    assert watched(net.model("y"))["y"] == ("near",)


def test_a_shape_is_no_decision_about_numbers() -> None:
    """What it is used for remains comparable."""
    net = Net()
    net.node("Relu", net.input(2, 8), out="h")
    net.node("Reshape", "h", net.node("Shape", "x"), out="y")

    assert watched(net.model("y"))["y"] == ("y",)


def test_an_output_made_of_no_computed_float_has_nothing_that_stands_for_it() -> None:
    net = Net()
    net.node("ArgMax", net.input(2, 8), out="y")

    assert watched(net.model("y"))["y"] == ()


def test_integers_are_judged_by_nothing_where_there_are_no_floats() -> None:
    net = Net()
    net.node("Add", net.input(2, elem_type=INT64), net.integers(1, 2), out="y")

    assert watched(net.model("y"))["y"] == ()


@pytest.mark.parametrize(("operator", "expected"), [("Sigmoid", ("y",)), ("Round", ("h",))])
def test_what_a_body_reads_stands_for_its_results_if_it_decides(
    operator: str, expected: tuple[str, ...]
) -> None:
    """What is inside of it cannot be seen from here."""
    inner, net = Net(), Net()
    net.node("Relu", net.input(2, 8), out="h")
    inner.node(operator, "h", out="i")
    body = inner.graph("i")
    body.output[0].type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, (2, 8)))
    net.node(
        "If", net.input(name="flag", elem_type=BOOL), then_branch=body, else_branch=body, out="y"
    )

    assert watched(net.model("y"))["y"] == expected


def test_a_runtime_s_own_version_of_an_operator_decides_as_well() -> None:
    """Another operator of another domain decides nothing that is known."""
    net = Net()
    hidden = net.node("Relu", net.input(2, 8), out="h")
    net.node("Round", hidden, out="r", domain="com.microsoft")
    net.node("Gelu", hidden, out="g", domain="com.microsoft")

    found = observed(net.graph("r", "g"), lambda _: TensorProto.FLOAT)

    assert found == {"r": ("h",), "g": ("g",)}
