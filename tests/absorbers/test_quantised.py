"""Weights behind DequantizeLinear: their scales take an affine in, and their integers stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import (
    BFLOAT,
    FLOAT,
    HALF,
    TOLERANCES,
    Net,
    Result,
    distance,
    feed_for,
    fold,
    fold_unverified,
    plan,
    refusal,
    run,
    tensors,
)
from onnx import ModelProto, NodeProto, TensorProto
from oracle import evaluate
from quantising import FLOAT8, INT8, KINDS, net_of, quantised

from folding.plan import Folded, Kept, Reason

#: By how much numbers may differ that were rounded to a type once more.
STORED: dict[int, float] = {FLOAT: 1e-6, HALF: 2e-3, BFLOAT: 2e-2}


def affine(net: Net, v: str, *shape: int, out: str = "y") -> str:
    """A Mul by positive numbers, and an Add."""
    return net.node("Add", net.node("Mul", v, net.positive(*shape)), net.weight(*shape), out=out)


def assert_folds(net: Net, *operators: str, out: str = "y") -> Result:
    """All affines disappear into scales: integers are the same bytes, and the model computes it."""
    model = net.model(out)
    result = fold(model)
    assert result.operators == [*operators]
    before, after = ({t.name: t for t in m.graph.initializer} for m in (model, result.model))
    for node in dequantizers(result.model):
        assert before[node.input[0]] == after[node.input[0]]
    feed = feed_for(model)
    kind = coarsest(model)
    for a, b in zip(evaluate(model, feed), evaluate(result.model, feed), strict=True):
        assert distance(a, b) <= STORED[kind]
    for a, b in zip(run(model, feed), run(result.model, feed), strict=True):
        assert distance(a, b) <= TOLERANCES[kind]
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()
    return result


def coarsest(model: ModelProto) -> int:
    """The coarsest float type that something is stored in."""
    stored = {tensor.data_type for tensor in model.graph.initializer}
    return max(stored & STORED.keys(), key=lambda kind: STORED[kind])


def dequantizers(model: ModelProto) -> list[NodeProto]:
    return [node for node in model.graph.node if node.op_type == "DequantizeLinear"]


def conv(net: Net, weight: str, *bias: str, **given: Any) -> str:
    return net.node("Conv", net.input(2, 3, 5), weight, *bias, name="layer", **given)


# --- the forms of a scale ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zero", [None, 0, 3])
@pytest.mark.parametrize("scales", [(), (4,)])
def test_a_scale_of_any_type_of_numbers_is_multiplied(
    kind: int, zero: int | None, scales: tuple[int, ...]
) -> None:
    net = net_of()
    zero = 0 if zero and kind in FLOAT8 else zero  # onnxruntime allows no other.
    more = {"axis": 0} if scales else {}
    weight = quantised(net, 4, 3, 2, scales=scales, kind=kind, zero=zero, **more)
    affine(net, conv(net, weight, net.weight(4)), 4, 1)

    result = assert_folds(net, "DequantizeLinear", "Conv")

    (node,) = dequantizers(result.model)
    stored = {t.name: t for t in result.model.graph.initializer}
    assert [(a.name, a.i) for a in node.attribute] == [("axis", 0)]
    assert [[*stored[name].dims] for name in node.input[1:]] == [[4]] * (1 if zero is None else 2)
    if zero is not None:
        assert stored[node.input[2]].data_type == kind


@pytest.mark.parametrize("opset", [13, 19, 21, 23])
@pytest.mark.parametrize("axis", [0, -3])
def test_in_each_version_of_the_operator(opset: int, axis: int) -> None:
    net = net_of(opset)
    weight = quantised(net, 4, 3, 2, scales=(4,), axis=axis)
    affine(net, conv(net, weight), 4, 1)

    assert_folds(net, "DequantizeLinear", "Conv")


def test_the_axis_is_1_if_nothing_is_said() -> None:
    net = net_of()
    weight = quantised(net, 3, 4, 2, scales=(4,))
    affine(net, net.node("ConvTranspose", net.input(2, 3, 5), weight), 4, 1)

    result = assert_folds(net, "DequantizeLinear", "ConvTranspose")

    assert not dequantizers(result.model)[0].attribute


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("opset", [10, 12, 13, 21])
def test_what_is_the_same_for_all_leaves_one_scale(opset: int, shape: tuple[int, ...]) -> None:
    net = net_of(opset)
    weight = quantised(net, 4, 3, 2, scales=shape)
    scaled = net.node("Mul", conv(net, weight), net.store(0.375))
    net.node("Add", scaled, net.weight(4, 1), out="y")

    result = assert_folds(net, "DequantizeLinear", "Conv")

    stored = {t.name: t for t in result.model.graph.initializer}
    assert tuple(stored[dequantizers(result.model)[0].input[1]].dims) == shape


def test_a_mere_number_is_folded_where_that_costs_nothing() -> None:
    net = net_of()
    weight = quantised(net, 4, 3, 2, scales=(4,), axis=0)
    net.node("Mul", conv(net, weight), net.store(0.375), out="y")

    assert_folds(net, "DequantizeLinear", "Conv")


def test_scales_of_one_are_multiplied_too() -> None:
    net = net_of()
    data, ones = net.store(net.random.integers(-9, 9, (4, 3, 2)), "q", INT8), net.store([1.0] * 4)
    weight = net.node("DequantizeLinear", data, ones, axis=0)
    affine(net, conv(net, weight), 4, 1)

    assert_folds(net, "DequantizeLinear", "Conv")


@pytest.mark.parametrize("kind", [HALF, BFLOAT])
@pytest.mark.parametrize("scales", [(), (4,)])
def test_scales_of_other_float_types_keep_them(kind: int, scales: tuple[int, ...]) -> None:
    """The weight itself is float32, as ``output_dtype`` says."""
    net = net_of(23)
    more: dict[str, Any] = {"axis": 0} if scales else {}
    weight = quantised(net, 4, 3, 2, scales=scales, scale_type=kind, output_dtype=FLOAT, **more)
    affine(net, conv(net, weight, net.weight(4)), 4, 1)

    model = net.model("y")
    result = fold_unverified(model)

    assert result.operators == ["DequantizeLinear", "Conv"]
    stored = {t.name: t for t in result.model.graph.initializer}
    node, layer = result.model.graph.node
    assert stored[node.input[1]].data_type == kind
    assert stored[layer.input[2]].data_type == FLOAT
    feed = feed_for(model)
    assert distance(*evaluate(model, feed), *evaluate(result.model, feed)) <= STORED[kind]


def test_a_layer_in_float16_is_folded() -> None:
    net = net_of(elem_type=HALF)
    weight = quantised(net, 4, 3, 2, scales=(4,), scale_type=HALF, axis=0)
    affine(net, conv(net, weight, net.weight(4)), 4, 1)

    assert_folds(net, "DequantizeLinear", "Conv")


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", [INT8, TensorProto.INT4])
def test_scales_of_blocks_take_in_what_differs_along_other_axes(axis: int, kind: int) -> None:
    """The blocks are along the axis that MatMul sums over, on either side."""
    net = net_of()
    dims, scales = ((7, 4), (3, 4)) if axis == 0 else ((4, 7), (4, 3))
    weight = quantised(net, *dims, scales=scales, kind=kind, axis=axis, block_size=3)
    x = net.input(2, 7) if axis == 0 else net.input(7, 2)
    layer = net.node("MatMul", *((x, weight) if axis == 0 else (weight, x)))
    affine(net, layer, *((4,) if axis == 0 else (4, 1)))

    assert_folds(net, "DequantizeLinear", "MatMul", "Add")


def test_scales_of_blocks_take_in_what_is_the_same_for_all() -> None:
    net = net_of()
    weight = quantised(net, 7, 4, scales=(7, 2), axis=1, block_size=2)
    scaled = net.node("Mul", net.node("MatMul", net.input(2, 7), weight), net.store([0.375] * 4))
    net.node("Add", scaled, net.weight(4), out="y")

    assert_folds(net, "DequantizeLinear", "MatMul", "Add")


# --- the layers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scales", [(), (4,)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_is_folded(transposed: int, scales: tuple[int, ...]) -> None:
    net = net_of()
    dims = (4, 3) if transposed else (3, 4)
    weight = quantised(net, *dims, scales=scales, axis=1 - transposed)
    given: dict[str, Any] = {"transB": transposed, "alpha": 0.5, "beta": 2.0}
    affine(net, net.node("Gemm", net.input(2, 3), weight, net.weight(4), **given), 4)

    assert_folds(net, "DequantizeLinear", "Gemm")


def test_an_einsum_is_folded() -> None:
    net = net_of()
    weight = quantised(net, 3, 4)
    layer = net.node("Einsum", net.input(2, 3), weight, equation="bi,ij->bj")
    affine(net, layer, 4)

    assert_folds(net, "DequantizeLinear", "Einsum", "Add")


def test_a_table_is_folded() -> None:
    net = net_of()
    ids = net.input(2, 3, name="ids", elem_type=TensorProto.INT64)
    rows = net.node("Gather", quantised(net, 9, 4), ids)
    net.node("Mul", rows, net.positive(4), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["DequantizeLinear", "Gather"]
    feed = {"ids": np.array([[0, 8, 3], [1, 1, 2]])}
    assert distance(*evaluate(model, feed), *evaluate(result.model, feed)) <= 1e-6


@pytest.mark.parametrize("scales", [(), (3,)])
def test_before_a_layer_the_scale_goes_into_its_input_channels(scales: tuple[int, ...]) -> None:
    net = net_of()
    weight = quantised(net, 4, 3, 2, scales=scales, axis=1)
    net.node("Mul", net.input(2, 3, 5), net.positive(3, 1), out="m")
    net.node("Conv", "m", weight, net.weight(4), out="y")

    assert_folds(net, "DequantizeLinear", "Conv")


def test_before_a_depthwise_layer_the_rows_are_the_input_channels() -> None:
    net = net_of()
    weight = quantised(net, 6, 1, 2)
    net.node("Mul", net.input(2, 3, 5), net.positive(3, 1), out="m")
    net.node("Conv", "m", weight, out="y", group=3)

    assert_folds(net, "DequantizeLinear", "Conv")


def test_before_a_layer_with_a_quantised_bias_a_scale_may_stand() -> None:
    net = net_of()
    weight, bias = quantised(net, 4, 3, 2), quantised(net, 4, kind=TensorProto.INT32, zero=None)
    net.node("Mul", net.input(2, 3, 5), net.positive(3, 1), out="m")
    net.node("Conv", "m", weight, bias, out="y")

    assert_folds(net, "DequantizeLinear", "DequantizeLinear", "Conv")


def test_a_grouped_conv_transpose_with_one_output_for_each_group_is_folded() -> None:
    net = net_of()
    weight = quantised(net, 3, 1, 2)
    affine(net, net.node("ConvTranspose", net.input(2, 3, 5), weight, group=3), 3, 1)

    assert_folds(net, "DequantizeLinear", "ConvTranspose")


@pytest.mark.parametrize("scales", [(), (4,)])
def test_several_affines_on_one_layer_come_together(scales: tuple[int, ...]) -> None:
    net = net_of()
    v = conv(net, quantised(net, 4, 3, 2, scales=scales, axis=0), net.weight(4))
    pooled = net.node("MaxPool", affine(net, v, 4, 1, out="a"), kernel_shape=[2])
    affine(net, pooled, 4, 1)

    assert_folds(net, "DequantizeLinear", "Conv", "MaxPool")


def test_one_scale_takes_in_affines_on_one_side_of_its_layer_alone() -> None:
    """What came first has made it a scale for each output channel."""
    net = net_of()
    net.node("Mul", net.input(2, 3, 5), net.positive(3, 1), out="m")
    affine(net, net.node("Conv", "m", quantised(net, 4, 3, 2)), 4, 1)
    model = net.model("y")

    result = fold(model)

    assert result.into("m") == ("conv2",)
    assert result.kept("y") == (Reason.OTHER_SCALES, "dq1")


@pytest.mark.parametrize("scales", [(), (4,)])
@pytest.mark.parametrize("agree", [False, True])
def test_two_weights_may_share_scale_and_zero_point(
    scales: tuple[int, ...], *, agree: bool
) -> None:
    """They still do if both are multiplied by the same; else each has its own scale."""
    net = net_of()
    scale, zero = net.positive(*scales), net.store(np.full(scales, 3), "zero", INT8)
    numbers = [net.positive(4, 1) for _ in range(2)]
    for out, number in zip("ab", numbers, strict=True):
        data = net.store(net.random.integers(-9, 9, (4, 3, 2)), f"q{out}", INT8)
        weight = net.node("DequantizeLinear", data, scale, zero, axis=0)
        x = net.input(2, 3, 5, name=f"x{out}")
        net.node("Mul", net.node("Conv", x, weight), numbers[0] if agree else number, out=out)
    model = net.model("a", "b")

    result = fold(model)

    assert result.operators == ["DequantizeLinear", "Conv"] * 2
    one, other = (node.input[1:] for node in dequantizers(result.model))
    assert (one[0] == other[0]) is agree
    assert one[1] == other[1]
    feed = feed_for(model)
    for a, b in zip(evaluate(model, feed), evaluate(result.model, feed), strict=True):
        assert distance(a, b) <= STORED[FLOAT]


# --- what is refused -----------------------------------------------------------------------------


def refused(net: Net) -> tuple[Reason, str]:
    return refusal(net.model("y"))


@pytest.mark.parametrize("number", [-0.5, 0.0])
def test_a_scale_that_is_not_positive_is_refused(number: float) -> None:
    net = net_of()
    weight = quantised(net, 4, 3, 2, scales=(4,), axis=0)
    net.node("Mul", conv(net, weight), net.store([[1.0], [2.0], [number], [3.0]]), out="y")

    assert refused(net) == (Reason.POSITIVE_ONLY, "dq0")


def test_a_scale_of_another_axis_is_refused() -> None:
    net = net_of()
    weight = quantised(net, 4, 4, 2, scales=(4,), axis=1)
    net.node("Mul", net.node("Conv", net.input(2, 4, 5), weight), net.positive(4, 1), out="y")

    assert refused(net) == (Reason.OTHER_SCALES, "dq0")


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_along_the_same_axis_are_refused(axis: int) -> None:
    net = net_of()
    scales = (4, 2) if axis else (2, 4)
    weight = quantised(net, 4, 4, scales=scales, axis=axis, block_size=2)
    layer = net.node("MatMul", *((net.input(2, 4), weight) if axis else (weight, net.input(4, 2))))
    net.node("Mul", layer, net.positive(*((4,) if axis else (4, 1))), out="y")

    assert refused(net) == (Reason.OTHER_SCALES, "dq0")


@pytest.mark.parametrize("scales", [(), (2,)])
def test_a_scale_along_two_axes_is_refused(scales: tuple[int, ...]) -> None:
    net = net_of()
    weight = quantised(net, 4, 2, 2, scales=scales, axis=1)
    layer = net.node("ConvTranspose", net.input(2, 4, 5), weight, group=2)
    net.node("Mul", layer, net.positive(4, 1), out="y")

    assert refused(net) == (Reason.OTHER_SCALES, "dq0")


def test_a_grouped_conv_with_several_inputs_for_each_group_is_refused_before_it() -> None:
    net = net_of()
    net.node("Mul", net.input(2, 4, 5), net.positive(4, 1), out="m")
    net.node("Conv", "m", quantised(net, 6, 2, 2), out="y", group=2)
    model = net.model("y")

    outcome = fold(model).plan.decisions[0].outcome

    assert isinstance(outcome, Kept)
    assert outcome.below is not None
    assert outcome.below.reason is Reason.OTHER_SCALES


@pytest.mark.parametrize("opset", [10, 12])
def test_below_opset_13_one_scale_stays_one(opset: int) -> None:
    net = net_of(opset)
    net.node("Mul", conv(net, quantised(net, 4, 3, 2)), net.positive(4, 1), out="y")

    assert refused(net) == (Reason.ONE_SCALE, "dq0")


@pytest.mark.parametrize(
    ("opset", "scales", "given"),
    [
        (21, (3,), {"axis": 0}),
        (21, (4,), {"axis": 3}),
        (21, (1, 1), {}),
        (12, (3,), {}),
        (21, (4, 3, 2), {"axis": 2, "block_size": 2}),
    ],
)
def test_a_scale_that_does_not_fit_the_weight_is_refused(
    opset: int, scales: tuple[int, ...], given: dict[str, int]
) -> None:
    net = net_of(opset)
    net.node("Mul", conv(net, quantised(net, 4, 3, 2, scales=scales, **given)), net.positive(4, 1))
    net.node("Identity", "mul2", out="y")

    (decision,) = plan(net.model("y"))

    assert isinstance(decision.outcome, Kept)
    assert (decision.outcome.reason, decision.outcome.at) == (Reason.UNUSUAL_FORM, "dq0")


def test_a_table_asks_for_positive_scales_too() -> None:
    net = net_of()
    ids = net.input(2, 3, name="ids", elem_type=TensorProto.INT64)
    rows = net.node("Gather", quantised(net, 9, 4), ids)
    net.node("Mul", rows, net.store([1.0, -1.0, 2.0, 3.0]), out="y")

    (decision,) = plan(net.model("y"))

    assert isinstance(decision.outcome, Kept)
    assert decision.outcome.reason is Reason.POSITIVE_ONLY


def test_a_weight_that_two_layers_read_is_refused() -> None:
    net = net_of()
    weight = quantised(net, 4, 3, 2)
    net.node("Mul", conv(net, weight), net.positive(4, 1), out="y")
    net.node("Conv", "x", weight, out="z", strides=[2])

    assert refusal(net.model("y", "z")) == (Reason.SHARED_WEIGHT, "dq0")


def test_a_weight_that_is_an_output_is_refused() -> None:
    net = net_of()
    weight = quantised(net, 4, 3, 2)
    net.node("Mul", conv(net, weight), net.positive(4, 1), out="y")

    assert refusal(net.model("y", weight)) == (Reason.SHARED_WEIGHT, "dq0")


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_what_a_caller_may_override_is_refused(slot: int) -> None:
    net = net_of()
    weight = quantised(net, 4, 3, 2)
    net.node("Mul", conv(net, weight), net.positive(4, 1), out="y")
    name = net.nodes[0].input[slot]
    net.input(*net.stored[name].shape, name=name, elem_type=FLOAT if slot == 1 else INT8)

    assert refused(net) == (Reason.OVERRIDABLE, name)


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_what_is_computed_at_run_time_is_refused(slot: int) -> None:
    net = net_of()
    weight = quantised(net, 4, 3, 2, scales=(4,), axis=0)
    net.node("Mul", conv(net, weight), net.positive(4, 1), out="y")
    name = net.nodes[0].input[slot]
    dims = net.stored.pop(name).shape
    net.input(*dims, name=name, elem_type=FLOAT if slot == 1 else INT8)

    assert refused(net) == (Reason.RUNTIME_WEIGHT, "layer")


def test_one_zero_point_that_is_computed_is_refused() -> None:
    """It would have to be stored for each channel."""
    net = net_of()
    weight = quantised(net, 4, 3, 2, zero=None)
    net.node("Cast", net.store(3.0), out="zero", to=INT8)
    net.nodes[0].input.append("zero")
    net.nodes.reverse()
    net.node("Mul", conv(net, weight), net.positive(4, 1), out="y")

    assert refused(net) == (Reason.UNUSUAL_FORM, "dq0")


def test_a_scale_of_no_float_type_is_refused() -> None:
    net = net_of(24)
    data = net.store(net.random.integers(-9, 9, (4, 3, 2)), "q", INT8)
    scale = net.store([1.0, 2.0, 4.0, 0.5], "s", TensorProto.FLOAT8E8M0)
    weight = net.node("DequantizeLinear", data, scale, axis=0, output_dtype=FLOAT)
    net.node("Mul", conv(net, weight), net.positive(4, 1), out="y")

    assert refused(net) == (Reason.WEIGHT_TYPE, "s")


def test_a_shift_before_a_layer_is_refused() -> None:
    net = net_of()
    affine(net, net.input(2, 3, 5), 3, 1, out="m")
    net.node("Conv", "m", quantised(net, 4, 3, 2), out="y")

    outcome = fold(net.model("y")).plan.decisions[0].outcome

    assert isinstance(outcome, Folded)
    assert outcome.rest is not None
    assert outcome.rest.below is not None
    assert (outcome.rest.below.reason, outcome.rest.below.at) == (Reason.QUANTISED_SUM, "dq2")


@pytest.mark.parametrize("kind", [INT8, TensorProto.INT32])
def test_a_quantised_bias_is_refused(kind: int) -> None:
    net = net_of()
    bias = quantised(net, 4, kind=kind, zero=None)
    affine(net, conv(net, quantised(net, 4, 3, 2), bias), 4, 1)

    assert refused(net) == (Reason.QUANTISED_BIAS, "layer")


def test_quantised_data_between_layer_and_affine_are_in_the_way() -> None:
    net = net_of()
    rounded = net.node("QuantizeLinear", conv(net, quantised(net, 4, 3, 2)), net.store(0.5))
    affine(net, net.node("DequantizeLinear", rounded, net.store(0.5), name="dq"), 4, 1)

    assert refused(net) == (Reason.NO_RULE, "dq")


@pytest.mark.parametrize("scales", [(), (4,)])
def test_a_scale_that_would_overflow_is_refused(scales: tuple[int, ...]) -> None:
    net = net_of(elem_type=HALF)
    data = net.store(np.ones((4, 3, 2)), "q", INT8)
    scale = net.store(np.full(scales, 300.0), "s")
    weight = net.node("DequantizeLinear", data, scale, axis=0)
    net.node("Mul", conv(net, weight), net.store([[1.0], [2.0], [3.0], [300.0]]), out="y")

    assert refused(net) == (Reason.OVERFLOW, "s")


@pytest.mark.parametrize("scales", [(), (4,)])
def test_a_scale_that_would_vanish_is_refused(scales: tuple[int, ...]) -> None:
    net = net_of(elem_type=HALF)
    data = net.store(np.ones((4, 3, 2)), "q", INT8)
    scale = net.store(np.full(scales, 1e-3), "s")
    weight = net.node("DequantizeLinear", data, scale, axis=0)
    net.node("Mul", conv(net, weight), net.store([[1.0], [2.0], [3.0], [1e-3]]), out="y")

    assert refused(net) == (Reason.UNDERFLOW, "s")


# --- the definition ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("scales", "given"),
    [((), {}), ((1,), {}), ((5,), {"axis": -2}), ((4, 2, 2), {"axis": 1, "block_size": 3})],
)
def test_the_definition_is_that_of_onnxruntime(
    kind: int, scales: tuple[int, ...], given: dict[str, int]
) -> None:
    net = net_of()
    weight = quantised(net, 4, 5, 2, scales=scales, kind=kind, zero=kind not in FLOAT8, **given)
    net.node("Add", net.input(2), weight, out="y")
    model = net.model("y")

    assert distance(*evaluate(model, feed_for(model)), *run(model, feed_for(model))) <= 1e-6


def fake_quantised(net: Net, *scales: int, axis: int = 0, shared: bool = True) -> str:
    """A float weight [4, 3, 2] that is quantised and back, as in quantisation aware training."""
    scale = net.store(net.random.uniform(0.05, 0.1, scales), "s")
    zero = net.store(net.random.integers(-3, 4, scales), "z", INT8)
    given: dict[str, Any] = {"axis": axis} if scales else {}
    data = net.node("QuantizeLinear", net.weight(4, 3, 2, name="w"), scale, zero, out="q", **given)
    again = scale if shared else net.store(net.stored["s"], "s2")
    return net.node("DequantizeLinear", data, again, zero, **given)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("scales", "axis"), [((), 0), ((4,), 0), ((4,), -3)])
def test_a_weight_that_is_quantised_in_the_model_keeps_its_integers(
    scales: tuple[int, ...], axis: int, *, shared: bool
) -> None:
    """Only the scale that makes floats of them again takes the affine in."""
    net = net_of()
    affine(net, conv(net, fake_quantised(net, *scales, axis=axis, shared=shared)), 4, 1)
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["QuantizeLinear", "DequantizeLinear", "Conv"]
    assert result.model.graph.node[0] == model.graph.node[0]
    assert {"w", "s", "z"} <= result.tensors.keys()
    for name in ("w", "s", "z"):
        assert np.array_equal(result.tensors[name], tensors(model.graph)[name])
    feed = feed_for(model)
    (wanted,) = evaluate(model, feed)
    for compute, made in ((run, model), (evaluate, result.model), (run, result.model)):
        assert distance(wanted, compute(made, feed)[0]) <= TOLERANCES[FLOAT]


def test_one_that_is_quantised_along_another_axis_is_refused() -> None:
    net = net_of()
    net.node("Mul", conv(net, fake_quantised(net, 3, axis=1)), net.positive(4, 1), out="y")

    assert refused(net)[0] is Reason.OTHER_SCALES


def test_one_that_is_quantised_from_a_weight_of_the_run_is_refused() -> None:
    net = net_of()
    net.node("Mul", conv(net, fake_quantised(net)), net.positive(4, 1), out="y")
    net.input(*net.stored.pop("w").shape, name="w")

    assert refused(net) == (Reason.RUNTIME_WEIGHT, "layer")


def test_one_that_a_caller_may_override_before_it_is_quantised_is_refused() -> None:
    net = net_of()
    net.node("Mul", conv(net, fake_quantised(net)), net.positive(4, 1), out="y")
    net.input(4, 3, 2, name="w")

    assert refused(net) == (Reason.RUNTIME_WEIGHT, "layer")
