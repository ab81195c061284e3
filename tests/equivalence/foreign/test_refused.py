"""Refused: what looks like a form that is seen through, but is not the same function."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import pytest
from graphs import BOOL, FLOAT, HALF, INT64, Net
from onnx import TypeProto, helper, numpy_helper
from pairs import Pair, models, nets

from folding.equivalence.foreign import Matched
from folding.equivalence.foreign.check import compare
from folding.modelfile import in_memory

PAIRS: list[Callable[[], Pair]] = []


def pair(build: Callable[[], Pair]) -> Callable[[], Pair]:
    PAIRS.append(build)
    return build


@pair
def cast_that_rounds() -> Pair:
    one, other = nets(2, 3)
    half = one.node("Cast", "x", to=HALF)
    one.node("Relu", one.node("Cast", half, to=1), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def dropout_in_training() -> Pair:
    one, other = nets(2, 3)
    ratio, mode = one.store(np.float32(0.5)), one.store(np.bool_(1), elem_type=0)
    one.node("Relu", one.node("Dropout", "x", ratio, mode), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def dropout_that_a_caller_switches() -> Pair:
    one, other = nets(2, 3)
    for net in (one, other):
        net.input(name="mode", elem_type=BOOL)
    dropped = one.node("Dropout", "x", one.store(np.float32(0.5)), "mode")
    one.node("Relu", dropped, out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def dropout_whose_mask_is_read() -> Pair:
    one, other = nets(2, 3)
    one.node("Dropout", "x", out="d,mask")
    one.node("Where", "mask", "d", "d", out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def other_transposition() -> Pair:
    one, other = nets(3, 3, 3)
    one.node("Transpose", one.node("Relu", "x"), perm=[1, 2, 0], out="y")
    other.node("Relu", other.node("Transpose", "x", perm=[2, 0, 1]), out="y")
    return models(one, other)


@pair
def transposition_instead_of_reshape() -> Pair:
    one, other = nets(3, 3)
    one.node("Transpose", "x", perm=[1, 0], out="y")
    other.node("Reshape", "x", other.integers(3, 3), out="y")
    return models(one, other)


@pair
def constant_not_moved_with_its_axis() -> Pair:
    one, other = nets(3, 3)
    for net in (one, other):
        net.weight(3, name="s")
    turned = one.node("Transpose", "x", perm=[1, 0])
    one.node("Mul", turned, "s", out="y")
    other.node("Transpose", other.node("Mul", "x", "s"), perm=[1, 0], out="y")
    return models(one, other)


@pair
def softmax_along_the_axis_that_was_there() -> Pair:
    one, other = nets(3, 3, 3)
    one.node("Softmax", one.node("Transpose", "x", perm=[2, 0, 1]), axis=1, out="y")
    soft = other.node("Softmax", "x", axis=1)
    other.node("Transpose", soft, perm=[2, 0, 1], out="y")
    return models(one, other)


@pair
def softmax_that_flattened() -> Pair:
    one, other = nets(3, 3, 3, opset=12)
    one.node("Softmax", one.node("Transpose", "x", perm=[2, 0, 1]), axis=1, out="y")
    soft = other.node("Softmax", "x", axis=0)
    other.node("Transpose", soft, perm=[2, 0, 1], out="y")
    return models(one, other)


def reshaped(dimension: Callable[[Net], str], *rest: int) -> Pair:
    """A Reshape to a dimension that is worked out, and one that keeps the first of x."""
    one, other = nets("n", 3, 4)
    net_input = [net.input("m", name="z") for net in (one, other)]
    assert net_input == ["z", "z"]
    shape = one.node("Concat", dimension(one), one.integers(*rest), axis=0)
    one.node("Reshape", "x", shape, out="y")
    other.node("Reshape", "x", other.integers(0, 12), out="y")
    return models(one, other)


def first(net: Net, value: str, index: int = 0) -> str:
    shape = net.node("Shape", value)
    return net.node("Gather", shape, net.integers(index))


@pair
def shape_of_another_input() -> Pair:
    return reshaped(lambda net: first(net, "z"), -1)


@pair
def shape_of_another_axis() -> Pair:
    return reshaped(lambda net: first(net, "x", 1), -1)


@pair
def too_many_elements() -> Pair:
    return reshaped(lambda net: first(net, "x"), 13)


@pair
def dimension_times_two() -> Pair:
    return reshaped(lambda net: net.node("Add", first(net, "x"), first(net, "x")), -1)


@pair
def dimension_of_a_sum_that_may_grow() -> Pair:
    return reshaped(lambda net: first(net, net.node("Add", "x", net.weight(5, 1, 1))), -1)


@pair
def slice_of_another_range() -> Pair:
    one, other = nets(2, 6)
    one.node("Slice", "x", one.integers(0), one.integers(-1), one.integers(1), out="y")
    other.node("Slice", "x", other.integers(1), other.integers(6), other.integers(1), out="y")
    return models(one, other)


@pair
def slice_twice_along_one_axis() -> Pair:
    one, other = nets(2, 6)
    inner = one.node("Slice", "x", one.integers(1), one.integers(6), one.integers(1))
    one.node("Slice", inner, one.integers(0), one.integers(4), one.integers(1), out="y")
    other.node("Slice", "x", other.integers(0), other.integers(4), other.integers(1), out="y")
    return models(one, other)


@pair
def backwards() -> Pair:
    one, other = nets(6)
    ends = one.integers(-7)
    reverse = one.node("Slice", "x", one.integers(-1), ends, one.integers(0), one.integers(-1))
    one.node("Relu", reverse, out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


def padding(mode: str, value: float, pads: list[int]) -> Pair:
    one, other = nets(1, 3, 6, 6)
    for net in (one, other):
        net.weight(4, 3, 3, 3, name="w")
    padded = one.node("Pad", "x", one.integers(*pads), one.store(value), mode=mode)
    one.node("Conv", padded, "w", out="y")
    other.node("Conv", "x", "w", pads=[1, 1, 1, 1], out="y")
    return models(one, other)


@pair
def padding_with_what_is_there() -> Pair:
    return padding("reflect", 0.0, [0, 0, 1, 1, 0, 0, 1, 1])


@pair
def padding_with_ones() -> Pair:
    return padding("constant", 1.0, [0, 0, 1, 1, 0, 0, 1, 1])


@pair
def padding_of_the_batch() -> Pair:
    return padding("constant", 0.0, [1, 0, 1, 1, 0, 0, 1, 1])


def gemm(**said: float) -> Pair:
    one, other = nets(4, 4)
    for net in (one, other):
        net.weight(4, 4, name="w")
        net.weight(4, name="b")
    one.node("Gemm", "x", "w", "b", out="y", **said)  # type: ignore[arg-type]
    other.node("Gemm", "x", "w", "b", out="y")
    return models(one, other)


@pair
def gemm_of_twice_the_product() -> Pair:
    return gemm(alpha=2.0)


@pair
def gemm_of_half_the_bias() -> Pair:
    return gemm(beta=0.5)


@pair
def gemm_of_the_transposed_weight() -> Pair:
    return gemm(transB=1)


@pair
def gemm_of_the_transposed_input() -> Pair:
    return gemm(transA=1)


@pair
def rows_that_end_elsewhere() -> Pair:
    one, other = nets(4, 4, 2)
    for net in (one, other):
        net.weight(8, 3, name="w")
    one.node("MatMul", one.node("Reshape", "x", one.integers(4, 8)), "w", out="y")
    turned = other.node("Transpose", "x", perm=[0, 2, 1])
    other.node("MatMul", other.node("Reshape", turned, other.integers(4, 8)), "w", out="y")
    return models(one, other)


def channels(*shape: int, operator: str = "Add") -> Pair:
    """A constant behind a convolution to a square, and the same numbers by channel."""
    one, other = nets(1, 4, 4, 4)
    for net in (one, other):
        net.weight(4, 4, 1, 1, name="w")
    constant = one.weight(*shape, name="s")
    one.node(operator, one.node("Conv", "x", "w"), constant, out="y")
    values = np.resize(one.stored["s"], 4).reshape(4, 1, 1)
    other.node(operator, other.node("Conv", "x", "w"), other.store(values, "s"), out="y")
    return models(one, other)


@pair
def bias_along_rows() -> Pair:
    return channels(4, 1)


@pair
def bias_along_columns() -> Pair:
    return channels(4)


@pair
def scale_along_columns() -> Pair:
    return channels(4, operator="Mul")


@pair
def bias_that_adds_a_batch() -> Pair:
    return channels(2, 4, 1, 1)


@pair
def divisor_instead_of_dividend() -> Pair:
    one, other = nets(1, 4, 4, 4)
    for net in (one, other):
        net.weight(4, 4, 1, 1, name="w")
        net.weight(4, 1, 1, name="s")
    one.node("Div", "s", one.node("Conv", "x", "w"), out="y")
    other.node("Div", other.node("Conv", "x", "w"), "s", out="y")
    return models(one, other)


@pair
def taken_away_from_a_constant() -> Pair:
    one, other = nets(1, 4, 4, 4)
    for net in (one, other):
        net.weight(4, 4, 1, 1, name="w")
        net.weight(4, 1, 1, name="s")
    one.node("Sub", "s", one.node("Conv", "x", "w"), out="y")
    other.node("Sub", other.node("Conv", "x", "w"), "s", out="y")
    return models(one, other)


@pair
def norm_of_live_statistics() -> Pair:
    both = nets(2, 4, 4, 4)
    for net, training in zip(both, (1, 0), strict=True):
        net.weight(4, 4, 1, 1, name="w")
        outputs = "y,m,v" if training else "y"
        net.batch_norm(net.node("Conv", "x", "w"), 4, out=outputs, training_mode=training)
    return models(*both)


@pair
def norm_along_rows() -> Pair:
    both = nets(2, 4, 4)
    for net, perm in zip(both, ([0, 1, 2], [0, 2, 1]), strict=True):
        net.weight(4, 4, name="w")
        product = net.node("MatMul", "x", "w")
        turned = net.node("Transpose", product, perm=perm)
        norm = net.batch_norm(turned, 4, out="n")
        net.node("Transpose", norm, perm=perm, out="y")
    return models(*both)


@pair
def bias_of_another_length() -> Pair:
    one, other = nets(1, 4, 4, 4)
    for net in (one, other):
        net.weight(4, 4, 1, 1, name="w")
        net.weight(4, 1, 1, name="s")
    one.node("Add", one.node("Conv", "x", "w", one.weight(3)), "s", out="y")
    other.node("Add", other.node("Conv", "x", "w"), "s", out="y")
    return models(one, other)


@pair
def too_few_elements() -> Pair:
    one, other = nets("n", 3, 4)
    shape = one.node("Concat", first(one, "x"), one.integers(6), axis=0)
    one.node("Reshape", "x", shape, out="y")
    other.node("Reshape", "x", other.integers(-1, 6), out="y")
    return models(one, other)


@pair
def dimension_that_is_no_vector() -> Pair:
    def scalar(net: Net) -> str:
        zero = net.store(np.int64(0), elem_type=0)
        return net.node("Gather", net.node("Shape", "x"), zero)

    return reshaped(scalar, -1)


@pair
def height_of_an_image_that_shrank() -> Pair:
    one, other = nets(1, 3, "h", 4)
    conv = one.node("Conv", "x", one.weight(3, 3, 3, 3))
    shape = one.node("Concat", first(one, conv, 2), one.integers(12), axis=0)
    one.node("Reshape", "x", shape, out="y")
    other.node("Reshape", "x", other.integers(-1, 12), out="y")
    return models(one, other)


@pair
def reshape_that_may_fail_on_the_way() -> Pair:
    one, other = nets("n", 6)
    one.node("Reshape", one.node("Reshape", "x", one.integers(-1, 4)), one.integers(-1, 2), out="y")
    other.node("Reshape", "x", other.integers(-1, 2), out="y")
    return models(one, other)


@pair
def dimension_that_is_copied_although_more_is_left() -> Pair:
    one, other = nets("n", 8, 4)
    one.node("Reshape", "x", one.integers(0, 4), out="y")
    other.node("Reshape", "x", other.integers(-1, 4), out="y")
    return models(one, other)


@pair
def cropped_before_it_is_padded() -> Pair:
    one, other = nets(1, 3, 6, 6)
    for net in (one, other):
        net.weight(4, 3, 3, 3, name="w")
    cropped = one.node("Pad", "x", one.integers(0, 0, -1, 0, 0, 0, 0, 0))
    one.node("Conv", cropped, "w", pads=[1, 1, 1, 1], out="y")
    other.node("Conv", "x", "w", pads=[0, 1, 1, 1], out="y")
    return models(one, other)


@pair
def gemm_of_a_column() -> Pair:
    one, other = nets(4, 4)
    for net, shape in ((one, (4, 1)), (other, (4,))):
        net.weight(4, 4, name="w")
        net.store(np.arange(1.0, 5).reshape(shape), "b")
        net.node("Gemm", "x", "w", "b", out="y")
    return models(one, other)


@pair
def gemm_of_half_a_column() -> Pair:
    one, other = nets(4, 4)
    for net in (one, other):
        net.weight(4, 4, name="w")
        net.store(np.arange(1.0, 5).reshape(4, 1), "b")
    one.node("Gemm", "x", "w", "b", beta=0.5, out="y")
    other.node("Gemm", "x", "w", "b", out="y")
    return models(one, other)


@pair
def bias_that_adds_an_axis() -> Pair:
    return channels(1, 1, 4, 1, 1)


@pair
def filled_with_something_else() -> Pair:
    one, other = nets("n")
    for net, value in ((one, 1.0), (other, 2.0)):
        fill = helper.make_tensor("value", 1, [1], [value])
        net.node("ConstantOfShape", net.node("Shape", "x"), value=fill, out="y")
    return models(one, other)


@pair
def other_half_of_a_split() -> Pair:
    one, other = nets(4, 2)
    for net, half in ((one, "p"), (other, "q")):
        net.node("Split", "x", out="p,q")
        net.node("Relu", half, out="y")
    return models(one, other)


@pair
def input_left_out() -> Pair:
    one, other = nets(2, 3, opset=18)
    for net, value in ((one, ""), (other, other.store(1.0))):
        net.node("Pad", "x", net.integers(1, 1), value, net.integers(1), out="y")
    return models(one, other)


def legacy(one_axis: int, other_axis: int, operator: str = "Add") -> Pair:
    """A constant laid along an axis of a product as operator sets below 7 say it."""
    both = nets(4, 4, opset=6)
    for net, axis in zip(both, (one_axis, other_axis), strict=True):
        net.ir_version = 3
        product = net.node("MatMul", "x", net.weight(4, 4, name="w"))
        net.node(operator, product, net.weight(4, name="c"), axis=axis, broadcast=1, out="y")
    return models(*both)


@pair
def constant_along_another_axis_by_an_attribute() -> Pair:
    return legacy(0, 1)


@pair
def factor_along_another_axis_by_an_attribute() -> Pair:
    return legacy(0, 1, "Mul")


@pair
def constant_along_an_axis_by_an_attribute_or_without() -> Pair:
    modern = nets(4, 4, opset=13)[0]
    product = modern.node("MatMul", "x", modern.weight(4, 4, name="w"))
    modern.node("Add", product, modern.weight(4, name="c"), out="y")
    return legacy(0, 0)[0], modern.model("y")


@pair
def slope_of_each_channel_below_opset_7() -> Pair:
    one, other = nets(2, 4, 4, opset=6)
    for net, shape in ((one, (4,)), (other, (4, 1))):
        net.ir_version = 3
        net.store(np.arange(4.0).reshape(shape), "slope")
    one.node("PRelu", one.node("Transpose", "x", perm=[0, 2, 1]), "slope", out="y")
    other.node("Transpose", other.node("PRelu", "x", "slope"), perm=[0, 2, 1], out="y")
    return models(one, other)


def norm_of_old(behind: str) -> Pair:
    """A BatchNormalization of version 9 at inference, and with the outputs of training."""
    both = nets(2, 4, 4, 4, opset=9)
    for net, outputs in zip(both, ("y", "y,mean,var,saved_mean,saved_var"), strict=True):
        before = [net.weight(4, 4, 1, 1, name="w")] if behind == "Conv" else []
        net.batch_norm(net.node(behind, "x", *before), 4, out=outputs)
    return models(*both)


@pair
def norm_with_the_outputs_of_training() -> Pair:
    return norm_of_old("Relu")


@pair
def norm_with_the_outputs_of_training_behind_a_layer() -> Pair:
    return norm_of_old("Conv")


@pair
def dimension_that_became_a_truth_value() -> Pair:
    return reshaped(lambda net: through(net, BOOL), -1)


@pair
def dimension_that_was_rounded() -> Pair:
    return reshaped(lambda net: through(net, HALF), -1)


def through(net: Net, elem_type: int) -> str:
    """The first dimension of x, converted to a type and back."""
    return net.node("Cast", net.node("Cast", first(net, "x"), to=elem_type), to=INT64)


@pair
def function_with_the_name_of_a_fused_operator() -> Pair:
    steps = [helper.make_node("Conv", ["a", "b"], ["t"]), helper.make_node("Neg", ["t"], ["z"])]
    own = helper.make_opsetid("", 17)
    domain = "com.microsoft"
    function = helper.make_function(domain, "FusedConv", ["a", "b"], ["z"], steps, [own])
    both = nets(1, 3, 6, 6)
    for net, operator in zip(both, ("Conv", "FusedConv"), strict=True):
        net.node(operator, "x", net.weight(4, 3, 3, 3, name="w"), out="y")
    both[1].nodes[0].domain = domain
    one, other = (net.model("y", functions=[function]) for net in both)
    one.opset_import.append(helper.make_opsetid(domain, 1))
    return one, other


@pair
def whole_numbers_that_are_halved_and_doubled() -> Pair:
    both = nets()
    for net in both:
        net.inputs.clear()
        net.input(2, 4, elem_type=INT64)
        matrix = net.store(np.arange(16).reshape(4, 4), elem_type=0)
        net.node("MatMul", "x", matrix, out="m")
    both[0].node("Mul", both[0].node("Div", "m", both[0].integers(2)), both[0].integers(2), out="y")
    both[1].node("Identity", "m", out="y")
    return models(*both)


@pair
def dimension_behind_a_constant_of_more_axes() -> Pair:
    """Its leading axes are 1, and move those of x to the right."""
    one, other = nets(3, "n", "m")
    for net in (one, other):
        net.node("Add", "x", net.store(np.zeros((1, 1, 1, 8))), out="sum")
    one.node("Reshape", "sum", one.integers(3, -1, 8), out="y")
    last = other.node("Gather", other.node("Shape", "x"), other.integers(2))
    shape = other.node("Concat", other.integers(3), last, other.integers(8), axis=0)
    other.node("Reshape", "sum", shape, out="y")
    return models(one, other)


@pair
def split_in_other_lengths() -> Pair:
    one, other = nets(5, 6, opset=18)
    one.node("Split", "x", one.integers(3, 3), axis=1, out="a,b")
    other.node("Split", "x", other.integers(4, 2), axis=1, out="a,b")
    for net in (one, other):
        net.node("Concat", "b", "a", axis=1, out="y")
    return models(one, other)


@pair
def split_into_another_number_than_it_says() -> Pair:
    one, other = nets(5, 4, opset=18)
    for net, count in ((one, 2), (other, 3)):
        net.node("Split", "x", axis=1, num_outputs=count, out="a,b")
        net.node("Concat", "b", "a", axis=1, out="y")
    return models(one, other)


@pair
def split_along_an_axis_of_no_known_length() -> Pair:
    one, other = nets(5, "n", opset=18)
    one.node("Split", "x", one.integers(4, 4), axis=1, out="a,b")
    other.node("Split", "x", axis=1, num_outputs=2, out="a,b")
    for net in (one, other):
        net.node("Concat", "b", "a", axis=1, out="y")
    return models(one, other)


@pair
def sum_beyond_what_float64_holds() -> Pair:
    """Runtimes add integers up in it."""
    one, other = Net(elem_type=INT64), Net(elem_type=INT64)
    for net in (one, other):
        net.input(2)
    total = one.node("ReduceSum", one.store([2**53 + 1, 0]), keepdims=0)
    one.node("Add", "x", total, out="y")
    other.node("Add", "x", other.store(2**53 + 1), out="y")
    return models(one, other)


@pair
def windows_that_end_early_and_late() -> Pair:
    one, other = nets(1, 1, 6, 6)
    window: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    one.node("MaxPool", "x", out="y", auto_pad="VALID", **window)
    other.node("MaxPool", "x", out="y", **window)
    return models(one, other)


@pytest.mark.parametrize(
    "made",
    [helper.make_sequence_type_proto, helper.make_optional_type_proto],
    ids=["sequence", "optional"],
)
def test_inputs_that_are_no_tensors_must_be_of_one_type(made: Callable[[Any], TypeProto]) -> None:
    """Who gives them calls another model."""
    found = []
    for elem_type in (FLOAT, FLOAT, INT64):
        kind = made(helper.make_tensor_type_proto(elem_type, None))
        is_sequence = kind.HasField("sequence_type")
        operator = "SequenceLength" if is_sequence else "OptionalHasElement"
        net = Net(opset=18)
        net.inputs.append(helper.make_value_info("s", kind))
        net.node(operator, "s", out="y")
        found.append(in_memory(net.model("y")))
    assert isinstance(compare(found[0], found[1]), Matched)
    assert not isinstance(compare(found[0], found[2]), Matched)


@pytest.mark.parametrize("build", PAIRS, ids=lambda build: build.__name__)
def test_it_does_not_match(build: Callable[[], Pair]) -> None:
    """Another function does not match, whichever of both is the reference; each matches itself."""
    reference, candidate = build()
    one, other = in_memory(reference), in_memory(candidate)
    assert not isinstance(compare(one, other), Matched)
    assert not isinstance(compare(other, one), Matched)
    assert isinstance(compare(one, one), Matched)
    assert isinstance(compare(other, other), Matched)


def test_dimensions_that_are_joined_over_and_over_are_not_followed() -> None:
    """A graph that makes eight of each value, time and again, is read as fast as any other."""
    net = nets("n", 6)[0]
    joined = net.node("Shape", "x")
    for _ in range(14):
        joined = net.node("Concat", *[joined] * 8, axis=0)
    wanted = net.node("Gather", joined, net.integers(0))
    shape = net.node("Concat", wanted, net.integers(-1), axis=0)
    net.node("Reshape", "x", shape, out="y")
    # Not Net.model: ONNX's own inference would follow them.
    opsets = [helper.make_opsetid("", 17)]
    graph = net.graph("y")
    graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, None))
    model = in_memory(helper.make_model(graph, ir_version=8, opset_imports=opsets))
    start = process_time()
    assert isinstance(compare(model, model), Matched)
    assert process_time() - start < 5


def test_whole_numbers_are_compared_as_they_are() -> None:
    """A product of whole numbers is one like any other operator: its matrix decides."""
    made = []
    for number in (3, 3, 4):
        net = Net()
        net.input(2, 4, elem_type=INT64)
        net.node("MatMul", "x", net.store(np.full((4, 4), number), elem_type=0), out="m")
        net.node("Identity", "m", out="y")
        made.append(in_memory(net.model("y")))
    assert isinstance(compare(made[0], made[1]), Matched)
    assert not isinstance(compare(made[0], made[2]), Matched)


def test_constants_laid_over_each_other_by_an_attribute_are_not_established() -> None:
    """Nothing is said of a constant that an operator set below 7 computes along an axis."""
    made = []
    for axis in (0, 1):
        net = nets(4, 4, opset=6)[0]
        matrix = net.node("Constant", value=numpy_helper.from_array(np.ones((4, 4), np.float32)))
        row = net.node("Constant", value=numpy_helper.from_array(np.arange(4, dtype=np.float32)))
        net.node("Add", "x", net.node("Add", matrix, row, axis=axis, broadcast=1), out="y")
        made.append(in_memory(net.model("y")))
    assert not isinstance(compare(*made), Matched)
