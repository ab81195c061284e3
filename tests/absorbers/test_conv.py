"""Conv: a folded layer computes what the layer and its affine computed."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, TYPES, Net, assert_folds_to, assert_same_function, fold, refusal

from folding.plan import Reason

SHAPES = {1: (2, 6, 7), 2: (2, 6, 5, 7), 3: (1, 6, 3, 4, 5)}


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 2, 3])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_batch_norm_disappears_into_weight_and_bias(
    elem_type: int, axes: int, group: int, *, has_bias: bool
) -> None:
    net = Net(elem_type)
    x = net.input(*SHAPES[axes])
    inputs = [net.weight(12, 6 // group, *[2] * axes)] + [net.weight(12)] * has_bias
    net.node("Conv", x, *inputs, out="v", group=group, strides=[2] * axes, pads=[1, 0] * axes)
    net.batch_norm("v", 12, "y", epsilon=0.125)

    assert_folds_to(net.model("y"), "Conv")


@pytest.mark.parametrize("elem_type", TYPES)
def test_dilations_and_uneven_pads_do_not_matter(elem_type: int) -> None:
    net = Net(elem_type)
    x = net.input(1, 4, 6, 5)
    net.node(
        "Conv", x, net.weight(6, 2, 2, 3), out="v", group=2, dilations=[2, 1], pads=[0, 1, 2, 3]
    )
    net.batch_norm("v", 6, "y")

    assert_folds_to(net.model("y"), "Conv")


@pytest.mark.parametrize("elem_type", TYPES)
def test_depthwise_with_two_outputs_for_each_input_folds(elem_type: int) -> None:
    net = Net(elem_type)
    x = net.input(2, 3, 5)
    net.node("Conv", x, net.weight(6, 1, 3), net.weight(6), out="v", group=3)
    net.batch_norm("v", 6, "y")

    assert_folds_to(net.model("y"), "Conv")


def test_a_scale_alone_creates_no_bias() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Mul", "v", net.weight(4, 1), out="y")
    model = net.model("y")

    result = fold(model)

    assert [len(node.input) for node in result.model.graph.node] == [2]
    assert_same_function(model, result.model)


def test_a_bias_named_by_the_empty_string_is_absent() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), "", out="v")
    net.batch_norm("v", 4, "y")

    assert_folds_to(net.model("y"), "Conv")


def test_a_scalar_scale_and_shift_apply_to_every_channel() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), net.weight(4), out="v")
    net.node("Mul", "v", net.store(-1.5), out="w")
    net.node("Add", "w", net.weight(4, 1), out="y")

    assert_folds_to(net.model("y"), "Conv")


def test_an_affine_along_a_spatial_axis_of_the_same_length_stays() -> None:
    net = Net()
    net.node("Conv", net.input(4, 3, 6, 6), net.weight(4, 3, 3, 3), out="v", name="layer")
    net.node("Mul", "v", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "layer")


def test_an_affine_along_the_batch_axis_stays() -> None:
    net = Net()
    net.node("Conv", net.input(4, 3, 6), net.weight(4, 3, 3), out="v")
    net.node("Mul", "v", net.weight(4, 1, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_a_weight_computed_at_run_time_is_refused() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.input(4, 3, 3, name="w"), out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_WEIGHT, "v")


def test_a_weight_of_constants_that_is_not_evaluated_is_not_called_computed_at_run_time() -> None:
    net = Net()
    weight = net.node("Sin", net.node("Erf", net.weight(4, 3, 3)), out="w")
    net.node("Conv", net.input(2, 3, 5), weight, out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "w")


def test_a_bias_of_constants_that_is_not_evaluated_is_not_called_computed_at_run_time() -> None:
    net = Net()
    bias = net.node("Erf", net.weight(4), out="b")
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), bias, out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "b")


@pytest.mark.parametrize("operator", ["Exp", "RandomNormalLike"])
def test_a_weight_that_may_differ_between_runs_is_computed_at_run_time(operator: str) -> None:
    net = Net()
    source = net.input(4, 3, 3, name="w") if operator == "Exp" else net.weight(4, 3, 3)
    net.node("Conv", net.input(2, 3, 5), net.node(operator, source), out="v")
    net.batch_norm("v", 4, "y")

    result = fold(net.model("y"))

    assert result.kept("y") == (Reason.RUNTIME_WEIGHT, "v")


def test_a_weight_that_a_caller_may_override_is_refused() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3, name="w"), out="v")
    net.batch_norm("v", 4, "y")
    net.input(4, 3, 3, name="w")

    assert refusal(net.model("y")) == (Reason.OVERRIDABLE, "w")


def test_a_bias_computed_at_run_time_is_refused() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), net.input(4, name="b"), out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_BIAS, "v")


def test_a_bias_that_a_caller_may_override_is_refused() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), net.weight(4, name="b"), out="v")
    net.batch_norm("v", 4, "y")
    net.input(4, name="b")

    assert refusal(net.model("y")) == (Reason.OVERRIDABLE, "b")


def test_a_bias_that_is_not_finite_is_refused() -> None:
    net = Net()
    bias = net.store([1.0, np.inf, 0.0, 2.0], "b")
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), bias, out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.NOT_FINITE, "b")


def test_a_bias_that_is_not_evaluated_is_refused() -> None:
    net = Net()
    ends = [net.store(v) for v in (0.0, 4.0, 1.0)]
    net.node("Range", *ends, out="r")
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), "r", out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "r")


def test_a_big_weight_computed_from_constants_is_refused() -> None:
    net = Net()
    net.node("Neg", net.store(np.ones((1025, 1024, 1))), out="w")
    net.node("Conv", net.input(1, 1024, 1), "w", out="v")
    net.batch_norm("v", 1025, "y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "w")


def test_a_small_weight_that_is_not_evaluated_is_refused() -> None:
    net = Net()
    net.node("Range", *[net.store(v) for v in (0.0, 24.0, 1.0)], out="r")
    net.node("Reshape", "r", net.integers(4, 3, 2), out="w")
    net.node("Conv", net.input(1, 3, 6), "w", out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "w")


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    net = Net()
    net.node("Conv", net.input(1, 6, 6), net.weight(4, 2, 3), out="v", group=3)
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.BAD_LAYER, "v")


def test_a_bias_of_another_length_than_the_channels_is_refused() -> None:
    net = Net()
    net.node("Conv", net.input(1, 3, 6), net.weight(4, 3, 3), net.weight(1), out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.BAD_LAYER, "v")


def test_a_small_computed_weight_is_stored_in_its_place() -> None:
    net = Net(DOUBLE)
    net.node("Mul", net.weight(4, 3, 3), net.store(0.5), out="w")
    net.node("Conv", net.input(2, 3, 5), "w", out="v")
    net.batch_norm("v", 4, "y")

    assert_folds_to(net.model("y"), "Conv")


@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE])
def test_the_batch_may_be_unknown(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input("n", 3, "h"), net.weight(4, 3, 2), out="v", pads=[1, 1])
    net.batch_norm("v", 4, "y")

    assert_folds_to(net.model("y"), "Conv")


def test_the_weight_may_be_behind_a_transpose() -> None:
    net = Net()
    net.node("Transpose", net.weight(3, 5, 4), out="w", perm=[2, 0, 1])
    net.node("Conv", net.input(2, 3, 6), "w", out="v")
    net.batch_norm("v", 4, "y")

    assert_folds_to(net.model("y"), "Conv")
