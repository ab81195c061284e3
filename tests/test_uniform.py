"""A vector of equal numbers is that number: it acts along no axis."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import DOUBLE, Net, assert_folds_to, assert_same_function, fold, refusal
from onnx import ModelProto

from folding.plan import Reason

#: What is the same for all channels, along the last axis.
EQUAL = np.full(5, -1.5)


def gone(model: ModelProto, *operators: str) -> None:
    """All affines fold, these operators are left, and folding again changes nothing."""
    result = fold(model)
    assert all(decision.is_folded for decision in result.plan.decisions), result.plan
    assert result.operators == [*operators]
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()


def conv(net: Net, x: str) -> str:
    return net.node("Conv", x, net.weight(3, 3, 1))


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_a_layer_takes_it_in_whatever_its_axis(operator: str) -> None:
    net = Net(DOUBLE)
    net.node(operator, conv(net, net.input(2, 3, 5)), net.store(EQUAL), out="y")

    gone(net.model("y"), "Conv")


def test_a_layer_norm_takes_it_in_along_an_axis_that_it_keeps() -> None:
    net = Net(DOUBLE)
    normed = net.node("LayerNormalization", net.input(2, 3, 5), net.weight(5))
    net.node("Mul", normed, net.store(np.full((3, 1), 0.5)), out="y")

    gone(net.model("y"), "LayerNormalization")


def test_a_layer_behind_takes_it_in_whatever_its_axis() -> None:
    net = Net(DOUBLE)
    conv(net, net.node("Mul", net.input(2, 3, 5), net.store(EQUAL)))
    scaled = net.node("Mul", "x", net.store(np.full((3, 1), 0.5)))
    net.node("MatMul", scaled, net.weight(5, 4), out="z")

    gone(net.model("conv1", "z"), "Conv", "MatMul")


def test_another_affine_is_taken_along_over_it_upward() -> None:
    net = Net(DOUBLE)
    scaled = net.node("Mul", conv(net, net.input(2, 3, 5)), net.store(EQUAL))
    net.batch_norm(net.node("Add", scaled, net.store(EQUAL)), 3, "y")

    gone(net.model("y"), "Conv")


def test_another_affine_is_taken_along_over_it_downward() -> None:
    net = Net(DOUBLE)
    norm = net.batch_norm(net.input(2, 3, 5), 3)
    conv(net, net.node("Add", norm, net.store(EQUAL)))

    gone(net.model("conv2"), "Conv")


def test_an_affine_that_stays_takes_it_in() -> None:
    net = Net(DOUBLE)
    norm = net.batch_norm(net.input(2, 3, 5), 3, "a")
    scaled = net.node("Mul", net.node("Identity", norm), net.store(EQUAL), out="b")
    net.node("Sigmoid", scaled, out="y")

    assert_folds_to(net.model("y"), "BatchNormalization", "Identity", "Sigmoid")


def test_one_that_differs_stays() -> None:
    net = Net(DOUBLE)
    net.node("Mul", conv(net, net.input(2, 3, 5)), net.weight(5), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "conv0")


def test_a_shift_that_differs_stays_behind_equal_scales() -> None:
    net = Net(DOUBLE)
    scaled = net.node("Mul", conv(net, net.input(2, 3, 5)), net.store(EQUAL))
    net.node("Add", scaled, net.weight(5), out="y")

    result = fold(net.model("y"))

    assert result.operators == ["Conv", "Add"]
    assert result.plan.decisions[0].is_partial


def test_a_bias_along_another_axis_takes_no_equal_shifts() -> None:
    """The shift is the same everywhere, but the Add has no room for it along the layer's axis."""
    net = Net(DOUBLE)
    shifted = net.node("Add", net.input(2, 3), net.store(0.5))
    product = net.node("MatMul", net.node("Mul", shifted, net.store(np.full(3, 2.0))), "w")
    net.store(np.repeat(net.stored[net.weight(3, 1)], 4, axis=1), "w")
    net.node("Sigmoid", net.node("Add", product, net.weight(2, 1), out="b"), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add", "Add", "Sigmoid")
