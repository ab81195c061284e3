"""Initializers that are the defaults of inputs: nothing is made of what a caller may override."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graphs import FLOAT, INT64, Array, Net, distance, feed_for, fold, fold_unverified, run
from onnx import ModelProto

from folding.plan import Folded


def given(net: Net, name: str, *values: int) -> str:
    """Integers that a caller may replace by others, even by more or fewer."""
    net.integers(*values, name=name)
    return net.input(None, name=name, elem_type=INT64)


def shape_of_the_scale() -> tuple[ModelProto, list[int]]:
    """Of rows by default, of columns by request."""
    net = Net()
    v = net.node("Conv", net.input(2, 3, 4, 4), net.weight(4, 3, 1, 1))
    scale = net.node("Reshape", net.weight(4), given(net, "s", 4, 1))
    net.node("Mul", v, scale, out="y")
    net.node("Identity", "s", out="z")
    return net.model("y", "z"), [1, 4]


def count_of_what_is_summed() -> tuple[ModelProto, list[int]]:
    """The shift is divided by the number of rows, which a caller may choose."""
    net = Net(opset=18)
    v = net.node("Reshape", net.input(72), given(net, "s", 1, 3, 4, 6))
    v = net.node("Conv", v, net.weight(4, 3, 1, 1), net.weight(4))
    net.batch_norm(net.node("ReduceSum", v, net.integers(2), keepdims=1), 4, "y")
    return net.model("y"), [1, 3, 3, 8]


def rank() -> tuple[ModelProto, list[int]]:
    """The norm's axis is the product's last only if there are two."""
    net = Net()
    v = net.node("Reshape", net.input(72), given(net, "s", 12, 6))
    net.batch_norm(net.node("MatMul", v, net.weight(6, 6)), 6, "y")
    return net.model("y"), [2, 6, 6]


def rearranging_itself() -> tuple[ModelProto, list[int]]:
    net = Net()
    v = net.node("MatMul", net.input(6, 4), net.weight(4, 4))
    net.node("Mul", net.node("Reshape", v, given(net, "s", 2, 3, 4)), net.weight(4), out="y")
    return net.model("y"), [6, 1, 4]


@pytest.mark.parametrize(
    "build", [shape_of_the_scale, count_of_what_is_summed, rank, rearranging_itself]
)
def test_a_caller_may_still_override_the_sizes(
    build: Callable[[], tuple[ModelProto, list[int]]],
) -> None:
    """No shape, no rank and no constant is known that follows from an initializer of an input."""
    model, other = build()

    folded = fold_unverified(model).model

    feed = feed_for(model)
    for sizes in ({}, {"s": np.array(other, np.int64)}):
        assert distance(run(model, feed | sizes)[0], run(folded, feed | sizes)[0]) < 1e-5


def test_a_caller_may_give_a_tensor_of_another_shape() -> None:
    """What the default measures says nothing of it."""
    net = Net()
    v = net.node("MatMul", net.input(5, 3), net.weight(3, 2))
    net.weight(4, 1, name="s")
    sizes = net.node("Shape", net.input("n", "m", name="s"))
    net.node("Mul", v, net.node("Cast", sizes, to=FLOAT), out="y")
    model = net.model("y")

    folded = fold_unverified(model).model

    feed = feed_for(model) | {"s": np.ones((1, 4), np.float32)}
    assert distance(run(model, feed)[0], run(folded, feed)[0]) < 1e-5


def test_the_default_of_an_input_stays_when_nobody_reads_it() -> None:
    """Without it the input would have to be given."""
    net = Net()
    v = net.node("Conv", net.input(2, 3, 4, 4), net.weight(4, 3, 1, 1))
    shape = net.node("Shape", slopes(net))
    net.node("Mul", v, net.node("Reshape", net.weight(4), shape), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv"]
    assert "s" in result.tensors
    assert run(result.model, feed_for(model))


def slopes(net: Net) -> str:
    """One for each channel, which a caller may replace."""
    net.weight(4, 1, 1, name="s")
    return net.input(4, 1, 1, name="s")


@pytest.mark.parametrize("operator", ["PRelu", "Mul"])
def test_a_place_that_reads_the_default_of_an_input_is_proved(operator: str) -> None:
    """The value that nobody gave is the one that is stored."""
    net = Net()
    v = net.node("Conv", net.input(2, 3, 4, 4), net.weight(4, 3, 1, 1))
    v = net.node(operator, v, slopes(net))
    net.node("Mul", v, net.positive(4, 1, 1), out="y")
    model = net.model("y")

    result = fold(model)

    assert isinstance(result.decision("y").outcome, Folded)
    feed = feed_for(model)
    other: Array = np.full((4, 1, 1), -0.3, np.float32)
    for values in ({}, {"s": other}):
        assert distance(run(model, feed | values)[0], run(result.model, feed | values)[0]) < 1e-5
