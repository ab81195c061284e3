"""Sizes of Reshapes that follow from the others, since the number of elements stays."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from graphs import DOUBLE, FLOAT, Net, assert_folds_to
from onnx import ValueInfoProto, helper

from folding.solving import solved

Sizes = Sequence[int | str | None]


def reshaped(before: Sizes | None, after: Sizes | None) -> list[ValueInfoProto]:
    """What follows for a Reshape of a value of some sizes to one of others."""
    value, output = (helper.make_tensor_value_info(n, FLOAT, None) for n in "xy")
    inner = [helper.make_tensor_value_info("v", FLOAT, after)]
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["v"]),
        helper.make_node("Relu", ["v"], ["y"]),
    ]
    value = helper.make_tensor_value_info("x", FLOAT, before)
    return [*solved(helper.make_graph(nodes, "net", [value], [output], value_info=inner))]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["n", 8, 6, 6], ["n", "new"], ["n", 288]),
        (["n", 8, 6, 6], ["n", None], ["n", 288]),
        (["n", 8, 6, 6], ["n", 4, "new", 6], ["n", 4, 12, 6]),
        (["n", "m", 6], ["new", "m", "n"], [6, "m", "n"]),
        (["n", "n", 6], ["n", "new", "n"], ["n", 6, "n"]),
        ([8, 6], ["new", 3], [16, 3]),
        ([], ["new"], [1]),
    ],
)
def test_a_size_follows_from_the_others(before: Sizes, after: Sizes, expected: Sizes) -> None:
    (found,) = reshaped(before, after)

    assert found == helper.make_tensor_value_info("v", FLOAT, expected)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ["new", 1]),
        (["n", 6], None),
        (["n", 6], ["n", 6]),
        (["n", 6], ["new", "more"]),
        (["n", 6], ["new", 3]),
        (["n", 6], ["n", "n"]),
        (["n", "n", 6], ["n", "new"]),
        ([None, 6], [None, None]),
        ([None, 6], ["some", "new"]),
        (["n", 6], ["n", "new", 4]),
        (["n", 0], ["n", "new", 4]),
        (["n", 6], ["n", "new", 0]),
    ],
)
def test_a_size_does_not_follow(before: Sizes | None, after: Sizes | None) -> None:
    """Two are open, something is not known, the others do not divide, or nothing is left."""
    assert not reshaped(before, after)


@pytest.mark.parametrize("rows", [None, 2])
def test_a_norm_behind_a_flatten_whose_batch_is_asked_for(rows: int | None) -> None:
    """As the exporters of Keras write it: its Sub could else make the value longer."""
    net = Net(DOUBLE)
    v = net.node("Relu", net.node("Conv", net.input(rows, 1, 5, 4), net.weight(6, 1, 2, 2)))
    batch = net.node("Gather", net.node("Shape", v), net.integers(0))
    shape = net.node("Concat", batch, net.integers(-1), axis=0)
    v = net.node("Sub", net.node("Reshape", v, shape), net.weight(1, 72))
    v = net.node("Add", net.node("Mul", v, net.weight(1, 72)), net.weight(1, 72))
    net.node("Gemm", v, net.weight(72, 3), net.weight(3), out="y")
    before = "Conv", "Relu", "Shape", "Gather", "Concat", "Reshape"

    assert_folds_to(net.model("y"), *before, "Gemm")


def test_one_flatten_behind_another_is_solved_too() -> None:
    """Each needs what the one before has made."""
    net = Net(DOUBLE)
    v = net.node("Relu", net.input(None, 3, 4))
    for width in (4, 3):
        batch = net.node("Gather", net.node("Shape", v), net.integers(0))
        v = net.node("Reshape", v, net.node("Concat", batch, net.integers(-1, width), axis=0))
    v = net.node("Mul", net.node("Sub", v, net.weight(1, 3)), net.weight(1, 3))
    net.node("MatMul", v, net.weight(3, 2), out="y")
    flatten = "Shape", "Gather", "Concat", "Reshape"

    assert_folds_to(net.model("y"), "Relu", *flatten, *flatten, "MatMul", "Add")
