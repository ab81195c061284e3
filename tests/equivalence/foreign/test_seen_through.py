"""Seen through: ways to write the same function that other tools change into each other.

Each pair is the same function, which is shown by running it, and matches only by its rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from graphs import FLOAT, Net, distance, feed_for, run
from onnx import defs, helper
from pairs import Pair, judged, models, nets

from folding.equivalence.foreign import Matched
from folding.equivalence.foreign.attributes import _SAME_SINCE
from folding.equivalence.foreign.check import compare
from folding.equivalence.foreign.terms import PAIRED, UNARY
from folding.modelfile import in_memory

NORM = ("gamma", "beta", "mean", "var")
PAIRS: list[Callable[[], Pair]] = []


def pair(build: Callable[[], Pair]) -> Callable[[], Pair]:
    PAIRS.append(build)
    return build


def numbers(*shape: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng([seed, *shape]).uniform(0.25, 1.75, shape).astype(np.float32)


# --- what only passes or moves elements ----------------------------------------------------------
@pair
def identity() -> Pair:
    one, other = nets(2, 3)
    one.node("Relu", one.node("Identity", "x"), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def cast_to_its_own_type() -> Pair:
    one, other = nets(2, 3)
    one.node("Relu", one.node("Cast", "x", to=1), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def dropout_at_inference() -> Pair:
    one, other = nets(2, 3)
    one.node("Relu", one.node("Dropout", "x", out="d,mask"), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def dropout_told_not_to_train() -> Pair:
    one, other = nets(2, 3)
    ratio, mode = one.store(np.float32(0.5)), one.store(np.bool_(0), elem_type=0)
    one.node("Relu", one.node("Dropout", "x", ratio, mode), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def old_dropout() -> Pair:
    one, other = nets(2, 3, opset=9)
    one.node("Relu", one.node("Dropout", "x", ratio=0.5), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def transposed_twice() -> Pair:
    one, other = nets(2, 3, 4)
    one.node("Transpose", one.node("Transpose", "x", perm=[1, 0, 2]), perm=[2, 0, 1], out="y")
    other.node("Transpose", "x", perm=[2, 1, 0], out="y")
    return models(one, other)


@pair
def transposed_back() -> Pair:
    one, other = nets(2, 3, 4)
    back = one.node("Transpose", one.node("Transpose", "x", perm=[1, 2, 0]), perm=[2, 0, 1])
    one.node("Relu", back, out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def transposed_without_saying_how() -> Pair:
    one, other = nets(2, 3, 4)
    one.node("Transpose", "x", out="y")
    other.node("Transpose", "x", perm=[2, 1, 0], out="y")
    return models(one, other)


@pair
def transposed_axes_of_length_one() -> Pair:
    one, other = nets("n", 3, 1, 1)
    one.node("Transpose", "x", perm=[0, 2, 3, 1], out="y")
    other.node("Reshape", "x", other.integers(-1, 1, 1, 3), out="y")
    return models(one, other)


@pair
def flattened_by_reshape() -> Pair:
    one, other = nets("n", 3, 4)
    one.node("Flatten", "x", out="y")
    other.node("Reshape", "x", other.integers(-1, 12), out="y")
    return models(one, other)


@pair
def squeezed_by_reshape() -> Pair:
    one, other = nets("n", 3, 1)
    one.node("Squeeze", "x", one.integers(2), out="y")
    other.node("Reshape", "x", other.integers(0, 3), out="y")
    return models(one, other)


@pair
def reshaped_twice() -> Pair:
    one, other = nets(2, 6)
    one.node("Reshape", one.node("Reshape", "x", one.integers(12)), one.integers(3, 4), out="y")
    other.node("Reshape", "x", other.integers(3, 4), out="y")
    return models(one, other)


@pair
def reshaped_to_what_it_is() -> Pair:
    one, other = nets("n", 6)
    one.node("Relu", one.node("Reshape", "x", one.integers(-1, 6)), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def activation_before_transposition() -> Pair:
    one, other = nets(2, 3, 4)
    one.node("Relu", one.node("Transpose", "x", perm=[0, 2, 1]), out="y")
    other.node("Transpose", other.node("Relu", "x"), perm=[0, 2, 1], out="y")
    return models(one, other)


@pair
def sum_before_transposition() -> Pair:
    one, other = nets(2, 3, 4)
    turned = [one.node("Transpose", one.node(op, "x"), perm=[2, 0, 1]) for op in ("Relu", "Tanh")]
    one.node("Add", *turned, out="y")
    sums = other.node("Add", *(other.node(op, "x") for op in ("Relu", "Tanh")))
    other.node("Transpose", sums, perm=[2, 0, 1], out="y")
    return models(one, other)


@pair
def constant_before_transposition() -> Pair:
    one, other = nets(2, 3, 4)
    turned = one.node("Transpose", "x", perm=[0, 2, 1])
    one.node("Mul", turned, one.store(numbers(3)), out="y")
    scaled = other.node("Mul", "x", other.store(numbers(3).reshape(3, 1)))
    other.node("Transpose", scaled, perm=[0, 2, 1], out="y")
    return models(one, other)


@pair
def constant_with_needless_axes() -> Pair:
    one, other = nets(2, 3, 4)
    one.node("Mul", "x", one.store(numbers(4).reshape(1, 1, 4)), out="y")
    other.node("Mul", "x", other.store(numbers(4)), out="y")
    return models(one, other)


@pair
def concat_before_transposition() -> Pair:
    one, other = nets(2, 3, 4)
    turned = [one.node("Transpose", one.node(op, "x"), perm=[0, 2, 1]) for op in ("Relu", "Tanh")]
    one.node("Concat", *turned, axis=-1, out="y")
    joined = other.node("Concat", *(other.node(op, "x") for op in ("Relu", "Tanh")), axis=1)
    other.node("Transpose", joined, perm=[0, 2, 1], out="y")
    return models(one, other)


@pair
def axis_counted_from_the_end() -> Pair:
    one, other = nets(2, 3, 4)
    one.node("Softmax", "x", axis=-1, out="y")
    other.node("Softmax", "x", axis=2, out="y")
    return models(one, other)


@pair
def reduction_before_transposition() -> Pair:
    one, other = nets(2, 3, 4)
    turned = one.node("Transpose", "x", perm=[0, 2, 1])
    one.node("ReduceMax", turned, axes=[1], keepdims=1, out="y")
    peak = other.node("ReduceMax", "x", axes=[-1], keepdims=1)
    other.node("Transpose", peak, perm=[0, 2, 1], out="y")
    return models(one, other)


@pair
def reduction_told_its_axes_by_an_input() -> Pair:
    one, other = Net(opset=17), Net(opset=18)
    for net in (one, other):
        net.input(2, 3, 4)
    one.node("ReduceMean", "x", axes=[2], out="y")
    other.node("ReduceMean", "x", other.integers(-1), out="y")
    return models(one, other)


@pair
def clip_told_its_bounds_by_attributes() -> Pair:
    one, other = Net(opset=10), Net(opset=11)
    for net in (one, other):
        net.input(2, 3)
    one.node("Clip", "x", min=0.0, max=6.0, out="y")
    other.node("Clip", "x", other.store(0.0), other.store(6.0), out="y")
    return models(one, other)


# --- dimensions that are known -------------------------------------------------------------------
@pair
def shape_worked_out_at_run_time() -> Pair:
    one, other = nets("n", 3, 4)
    size = one.node("Gather", one.node("Shape", "x"), one.store(np.int64(0), elem_type=0))
    size = one.node("Unsqueeze", size, one.integers(0))
    one.node("Reshape", "x", one.node("Concat", size, one.integers(-1), axis=0), out="y")
    other.node("Reshape", "x", other.integers(-1, 12), out="y")
    return models(one, other)


@pair
def shape_of_what_has_the_same() -> Pair:
    one, other = nets("n", 3, 4)
    size = one.node("Slice", one.node("Shape", "x"), one.integers(0), one.integers(1))
    turned = one.node("Transpose", one.node("Relu", "x"), perm=[0, 2, 1])
    shape = one.node("Concat", size, one.integers(-1), axis=0)
    one.node("Reshape", turned, shape, out="y")
    turned = other.node("Transpose", other.node("Relu", "x"), perm=[0, 2, 1])
    other.node("Reshape", turned, other.integers(0, 12), out="y")
    return models(one, other)


@pair
def sliced_twice() -> Pair:
    one, other = nets(2, 5, 6)
    step = one.node("Slice", "x", one.integers(0), one.integers(-1), one.integers(1))
    one.node("Slice", step, one.integers(1), one.integers(99), one.integers(2), out="y")
    begin, end, axes = other.integers(1, 0), other.integers(6, 4), other.integers(-1, -2)
    other.node("Slice", "x", begin, end, axes, out="y")
    return models(one, other)


@pair
def sliced_to_all_of_it() -> Pair:
    one, other = nets("n", 5)
    whole = one.node("Slice", "x", one.integers(0), one.integers(2**31), one.integers(1))
    one.node("Relu", whole, out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def constant_of_more_axes_before_transposition() -> Pair:
    one, other = nets(3, 2)
    constant = numbers(4, 2, 3)
    one.node("Add", one.node("Transpose", "x", perm=[1, 0]), one.store(constant), out="y")
    summed = other.node("Add", "x", other.store(constant.transpose(0, 2, 1)))
    other.node("Transpose", summed, perm=[0, 2, 1], out="y")
    return models(one, other)


def split(lengths: tuple[int, ...], *, opset: int, **said: Any) -> Pair:
    one, other = nets(5, sum(lengths), opset=opset)
    names = [f"part{place}" for place in range(len(lengths))]
    one.node("Split", "x", one.integers(*lengths), axis=-1, out=",".join(names))
    other.node("Split", "x", axis=1, out=",".join(names), **said)
    for net in (one, other):
        net.node("Concat", *names[::-1], axis=1, out="y")
    return models(one, other)


@pair
def split_into_so_many() -> Pair:
    return split((2, 2, 2), opset=18, num_outputs=3)


@pair
def split_into_so_many_of_which_the_last_is_shorter() -> Pair:
    return split((3, 3, 1), opset=18, num_outputs=3)


@pair
def split_into_equal_lengths() -> Pair:
    return split((3, 3), opset=13)


@pair
def padding_of_an_output_that_is_none() -> Pair:
    one, other = nets(1, 3, 4, 4)
    for net in (one, other):
        net.node("ConvTranspose", "x", net.store(numbers(3, 2, 3, 3)), strides=[2, 2], out="y")
    one.nodes[-1].attribute.append(helper.make_attribute("output_padding", [0, 0]))
    return models(one, other)


@pair
def picked_before_transposition() -> Pair:
    one, other = nets(2, 3, 4)
    turned = one.node("Transpose", "x", perm=[2, 0, 1])
    one.node("Gather", turned, one.store(np.int64(1), elem_type=0), axis=1, out="y")
    picked = other.node("Gather", "x", other.store(np.int64(1), elem_type=0), axis=0)
    other.node("Transpose", picked, perm=[1, 0], out="y")
    return models(one, other)


# --- layers and their biases ---------------------------------------------------------------------
W = (4, 3, 3, 3)


@pair
def bias_of_zero() -> Pair:
    one, other = nets(1, 3, 6, 6)
    one.node("Conv", "x", one.store(numbers(*W)), out="y")
    other.node("Conv", "x", other.store(numbers(*W)), other.store(np.zeros(4)), out="y")
    return models(one, other)


@pair
def padding_before_a_convolution() -> Pair:
    one, other = nets(1, 3, 6, 6)
    padded = one.node("Pad", "x", one.integers(0, 0, 1, 0, 0, 0, 2, 1))
    one.node("Conv", padded, one.store(numbers(*W)), pads=[1, 1, 1, 1], out="y")
    other.node("Conv", "x", other.store(numbers(*W)), pads=[2, 1, 3, 2], out="y")
    return models(one, other)


@pair
def old_padding_before_a_convolution() -> Pair:
    one, other = nets(1, 3, 6, 6, opset=9)
    padded = one.node("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant")
    one.node("Conv", padded, one.store(numbers(*W)), out="y")
    other.node("Conv", "x", other.store(numbers(*W)), pads=[1, 1, 1, 1], out="y")
    return models(one, other)


@pair
def bias_behind_a_convolution() -> Pair:
    one, other = nets(1, 3, 6, 6)
    conv = one.node("Conv", "x", one.store(numbers(*W)), one.store(numbers(4)))
    one.node("Add", one.store(numbers(4, 1, 1)), conv, out="y")
    bias = other.store(numbers(4) + numbers(4, 1, 1).ravel())
    other.node("Conv", "x", other.store(numbers(*W)), bias, out="y")
    return models(one, other)


@pair
def bias_taken_away() -> Pair:
    one, other = nets(1, 3, 6, 6)
    one.node(
        "Sub", one.node("Conv", "x", one.store(numbers(*W))), one.store(numbers(4, 1, 1)), out="y"
    )
    bias = other.store(-numbers(4, 1, 1).ravel())
    other.node("Conv", "x", other.store(numbers(*W)), bias, out="y")
    return models(one, other)


def forked(operator: str) -> Pair:
    """An affine behind a convolution that something else reads too, which no fold may touch."""
    one, other = nets(1, 3, 6, 6)
    scale = numbers(4, seed=1)
    conv = one.node("Conv", "x", one.store(numbers(*W)), one.store(numbers(4)))
    scaled = one.node(operator, conv, one.store(scale.reshape(4, 1, 1)))
    one.node("Concat", conv, one.node("Relu", scaled), axis=1, out="y")
    if operator == "Div":
        scale = 1 / scale
    conv = other.node("Conv", "x", other.store(numbers(*W)), other.store(numbers(4)))
    weight = other.store(numbers(*W) * scale.reshape(4, 1, 1, 1))
    scaled = other.node("Conv", "x", weight, other.store(numbers(4) * scale))
    other.node("Concat", conv, other.node("Relu", scaled), axis=1, out="y")
    return models(one, other)


@pair
def scale_behind_a_forked_convolution() -> Pair:
    return forked("Mul")


@pair
def division_behind_a_forked_convolution() -> Pair:
    return forked("Div")


@pair
def scale_behind_a_forked_transposed_convolution() -> Pair:
    one, other = nets(1, 4, 6, 6)
    weight, scale = numbers(4, 3, 2, 2), numbers(6, seed=1)
    conv = one.node("ConvTranspose", "x", one.store(weight), group=2)
    scaled = one.node("Mul", conv, one.store(scale.reshape(6, 1, 1)))
    one.node("Concat", conv, one.node("Relu", scaled), axis=1, out="y")
    conv = other.node("ConvTranspose", "x", other.store(weight), group=2)
    by_group = np.repeat(scale.reshape(2, 3), 2, axis=0)
    weight = weight * by_group.reshape(4, 3, 1, 1)
    scaled = other.node("ConvTranspose", "x", other.store(weight), group=2)
    other.node("Concat", conv, other.node("Relu", scaled), axis=1, out="y")
    return models(one, other)


@pair
def norm_behind_a_forked_convolution() -> Pair:
    one, other = nets(1, 3, 6, 6)
    conv = one.node("Conv", "x", one.store(numbers(*W)))
    norm = one.batch_norm(conv, 4, out="n")
    one.node("Concat", conv, one.node("Relu", norm), axis=1, out="y")
    n = {key: one.stored[f"n.{key}"].astype(np.float64) for key in NORM}
    scale = n["gamma"] / np.sqrt(n["var"] + 1e-5)
    conv = other.node("Conv", "x", other.store(numbers(*W)))
    weight = other.store(numbers(*W) * scale.reshape(4, 1, 1, 1))
    norm = other.node("Conv", "x", weight, other.store(n["beta"] - n["mean"] * scale))
    other.node("Concat", conv, other.node("Relu", norm), axis=1, out="y")
    return models(one, other)


@pair
def two_layers_made_one() -> Pair:
    one, other = nets(1, 3, 6, 6)
    for net, count in ((one, 2), (other, 1)):
        weight = net.store(numbers(*W))
        convs = [net.node("Conv", "x", weight) for _ in range(count)]
        net.batch_norm(convs[0], 4, out="n")
        net.batch_norm(convs[-1], 4, out="m")
        net.node("Sub", net.node("Relu", "n"), net.node("Relu", "m"), out="y")
    return models(one, other)


@pair
def product_as_gemm() -> Pair:
    one, other = nets("n", 5)
    product = one.node("MatMul", "x", one.store(numbers(5, 4)))
    one.node("Add", product, one.store(numbers(4)), out="y")
    weight = other.store(numbers(5, 4).T)
    other.node("Gemm", "x", weight, other.store(numbers(4)), transB=1, out="y")
    return models(one, other)


@pair
def gemm_of_a_transposed_input() -> Pair:
    one, other = nets(5, 3)
    turned = one.node("Transpose", "x", perm=[1, 0])
    one.node("Gemm", turned, one.store(numbers(5, 4)), one.store(numbers(1, 4)), out="y")
    weight, row = other.store(numbers(5, 4)), other.store(numbers(1, 4))
    other.node("Gemm", "x", weight, row, transA=1, out="y")
    return models(one, other)


@pair
def gemm_with_a_factor_for_its_bias() -> Pair:
    one, other = nets(3, 5)
    one.node("Gemm", "x", one.store(numbers(5, 4)), one.store(numbers(4)), beta=0.5, out="y")
    bias = other.store(numbers(4) / 2)
    other.node("Gemm", "x", other.store(numbers(5, 4)), bias, out="y")
    return models(one, other)


@pair
def gemm_without_its_bias() -> Pair:
    one, other = nets(3, 5)
    one.node("Gemm", "x", one.store(numbers(5, 4)), one.store(numbers(4)), beta=0.0, out="y")
    other.node("MatMul", "x", other.store(numbers(5, 4)), out="y")
    return models(one, other)


@pair
def gemm_with_a_number_for_each_row() -> Pair:
    one, other = nets(3, 5)
    product = one.node("MatMul", "x", one.store(numbers(5, 4)))
    one.node("Add", product, one.store(numbers(3, 1)), out="y")
    other.node("Gemm", "x", other.store(numbers(5, 4)), other.store(numbers(3, 1)), out="y")
    return models(one, other)


@pair
def product_of_rows() -> Pair:
    one, other = nets(2, 3, 5)
    product = one.node("MatMul", "x", one.store(numbers(5, 4)))
    one.node("Add", product, one.store(numbers(4)), out="y")
    rows = other.node("Reshape", "x", other.integers(-1, 5))
    product = other.node("Gemm", rows, other.store(numbers(5, 4)), other.store(numbers(4)))
    other.node("Reshape", product, other.integers(2, 3, 4), out="y")
    return models(one, other)


@pair
def bias_behind_a_product_of_rows() -> Pair:
    one, other = nets(2, 3, 5)
    product = one.node("MatMul", "x", one.store(numbers(5, 4)))
    rows = one.node("Reshape", product, one.integers(6, 4))
    one.node("Add", rows, one.store(numbers(4)), out="y")
    rows = other.node("Reshape", "x", other.integers(6, 5))
    other.node("Gemm", rows, other.store(numbers(5, 4)), other.store(numbers(4)), out="y")
    return models(one, other)


@pair
def weight_multiplied_at_run_time() -> Pair:
    one, other = nets(1, 1100)
    weight, scale = numbers(1100, 1000), numbers(1000)
    product = one.node("Mul", one.store(weight), one.store(scale))
    one.node("MatMul", "x", product, out="y")
    other.node("MatMul", "x", other.store(weight * scale), out="y")
    return models(one, other)


# --- attributes and constants --------------------------------------------------------------------
@pair
def attributes_left_out() -> Pair:
    one, other = nets(1, 3, 6, 6)
    one.node("Conv", "x", one.store(numbers(*W)), out="y")
    said: dict[str, Any] = {
        "kernel_shape": [3, 3],
        "strides": [1, 1],
        "dilations": [1, 1],
        "group": 1,
    }
    other.node("Conv", "x", other.store(numbers(*W)), pads=[0, 0, 0, 0], **said, out="y")
    return models(one, other)


@pair
def no_padding_by_name() -> Pair:
    one, other = nets(1, 3, 6, 6)
    one.node("MaxPool", "x", kernel_shape=[2, 2], auto_pad="VALID", out="y")
    other.node("MaxPool", "x", kernel_shape=[2, 2], out="y")
    return models(one, other)


@pair
def padding_by_name() -> Pair:
    one, other = nets(1, 3, 6, 7)
    said: dict[str, Any] = {"strides": [2, 2]}
    one.node("Conv", "x", one.store(numbers(*W)), auto_pad="SAME_UPPER", **said, out="y")
    other.node("Conv", "x", other.store(numbers(*W)), pads=[0, 1, 1, 1], **said, out="y")
    return models(one, other)


@pair
def newer_operator_set() -> Pair:
    one, other = Net(opset=13), Net(opset=14)
    for net in (one, other):
        net.input(2, 3)
        net.node("Mul", net.node("Relu", "x"), net.store(numbers(3)), out="y")
    return models(one, other)


@pair
def constant_worked_out() -> Pair:
    one, other = nets(2, 3)
    one.node("Mul", "x", one.node("Sqrt", one.store(numbers(3))), out="y")
    other.node("Mul", "x", other.store(np.sqrt(numbers(3))), out="y")
    return models(one, other)


@pair
def inputs_in_another_order() -> Pair:
    one, other = nets(2, 3)
    one.node("Add", one.node("Relu", "x"), one.node("Tanh", "x"), out="y")
    other.node("Add", other.node("Tanh", "x"), other.node("Relu", "x"), out="y")
    return models(one, other)


@pair
def inputs_of_inputs_in_another_order() -> Pair:
    one, other = nets(2, 3)
    sums = one.node("Add", one.node("Relu", "x"), one.node("Tanh", "x"), out="a")
    one.node("Mul", sums, one.node("Add", one.node("Sigmoid", "x"), "x"), out="y")
    sums = other.node("Add", other.node("Tanh", "x"), other.node("Relu", "x"), out="b")
    other.node("Mul", other.node("Add", "x", other.node("Sigmoid", "x")), sums, out="y")
    return models(one, other)


@pair
def inputs_that_are_not_there() -> Pair:
    one, other = nets(2, 3)
    one.node("LayerNormalization", "x", one.store(numbers(3)), "", out="y")
    other.node("LayerNormalization", "x", other.store(numbers(3)), out="y")
    return models(one, other)


@pair
def one_norm_folded_of_two() -> Pair:
    one, other = nets(1, 3, 8, 8)
    conv = one.node("Conv", "x", one.store(numbers(*W)), out="c")
    second = one.node("Conv", one.batch_norm(conv, 4, out="n"), one.weight(5, 4, 3, 3, name="v"))
    one.batch_norm(second, 5, out="y")
    n = {key: one.stored[f"n.{key}"].astype(np.float64) for key in NORM}
    scale = n["gamma"] / np.sqrt(n["var"] + 1e-5)
    weight = other.store(numbers(*W) * scale.reshape(4, 1, 1, 1))
    conv = other.node("Conv", "x", weight, other.store(n["beta"] - n["mean"] * scale))
    second = other.node("Conv", conv, other.store(one.stored["v"]))
    for key in NORM:
        other.store(one.stored[f"y.{key}"], f"y.{key}")
    names = [f"y.{key}" for key in NORM]
    other.node("BatchNormalization", second, *names, out="y")
    return models(one, other)


LOGICAL = frozenset({"And", "Or", "Xor"})
ATTRIBUTES: dict[str, dict[str, Any]] = {"Cast": {"to": 11}, "Gelu": {"approximate": "tanh"}}


def applied(net: Net, operator: str, *values: str, out: str = "") -> str:
    """An operator on values, or on what truth values can be made of them."""
    if operator in LOGICAL or operator == "Not":
        values = tuple(net.node("Greater", value, "zero") for value in values)
    if operator == "Where":
        values = (net.node("Greater", values[0], "zero"), *values)
    return net.node(operator, *values, out=out, **ATTRIBUTES.get(operator, {}))


@pytest.mark.parametrize("operator", sorted({*UNARY, *PAIRED}))
def test_transpositions_are_moved_past_it(operator: str) -> None:
    """Whatever treats all elements alike does so before a transposition and behind it."""
    count = 1 if operator in UNARY else 2
    nets = Net(opset=20, ir_version=9), Net(opset=20, ir_version=9)
    for net in nets:
        net.input(2, 3, 4)
        net.store(0.0, "zero")
        net.node("Exp", "x", out="e1")
        net.node("Sigmoid", "x", out="e2")
    one, other = nets
    turned = [one.node("Transpose", f"e{i + 1}", perm=[2, 0, 1]) for i in range(count)]
    applied(one, operator, *turned, out="y")
    plain = applied(other, operator, *(f"e{i + 1}" for i in range(count)))
    other.node("Transpose", plain, perm=[2, 0, 1], out="y")
    reference, candidate = models(one, other)
    feed = feed_for(reference)
    assert (run(reference, feed)[0] == run(candidate, feed)[0]).all()
    assert isinstance(judged(reference, candidate), Matched)


@pytest.mark.parametrize("operator", sorted(_SAME_SINCE))
def test_later_versions_only_take_more_types(operator: str) -> None:
    """Versions that count as one have the same attributes, defaults, inputs and outputs."""
    latest = defs.onnx_opset_version()
    schemas = [defs.get_schema(operator, v) for v in range(_SAME_SINCE[operator], latest + 1)]
    forms = {
        (
            tuple(
                sorted((n, a.default_value.SerializeToString()) for n, a in s.attributes.items())
            ),
            (s.min_input, s.max_input, s.min_output, s.max_output),
        )
        for s in schemas
    }
    assert len(forms) == 1


@pytest.mark.parametrize("build", PAIRS, ids=lambda build: build.__name__)
def test_it_matches(build: Callable[[], Pair]) -> None:
    """Two ways to write the same function match, and are the same function."""
    reference, candidate = build()
    feed = feed_for(reference)
    for one, other in zip(run(reference, feed), run(candidate, feed), strict=True):
        assert distance(one, other) <= 1e-5
    found = judged(reference, candidate)
    assert isinstance(found, Matched), found
    assert found.worst <= 1


@pytest.mark.parametrize("build", PAIRS, ids=lambda build: build.__name__)
def test_it_matches_the_other_way_round(build: Callable[[], Pair]) -> None:
    """It does not matter which of both is the reference."""
    candidate, reference = build()
    assert isinstance(judged(reference, candidate), Matched)


def test_a_split_of_a_length_that_one_side_knows_is_the_same() -> None:
    """A tool may have inferred more than is in the file of the reference."""
    for said in ({}, {"num_outputs": 2}):
        models = []
        for is_known in (False, True):
            net = Net(opset=18 if said else 17)
            net.node("Split", net.node("Relu", net.input(5, "n"), out="r"), axis=1, out="a,b")
            net.nodes[-1].attribute.extend(helper.make_attribute(*one) for one in said.items())
            net.node("Concat", "b", "a", axis=1, out="y")
            model = net.model("y")
            if is_known:
                model.graph.value_info.append(helper.make_tensor_value_info("r", FLOAT, (5, 6)))
            models.append(in_memory(model))
        assert isinstance(compare(*models), Matched)


@pytest.mark.parametrize("operator", ["Softmax", "ArgMax", "LpNormalization", "TopK"])
def test_an_axis_is_the_same_counted_from_either_end(operator: str) -> None:
    """One side may not know how many there are; they are as many as on the other side."""
    models = []
    for shape, axis in (((2, 3, 4), 2), (None, -1), ((2, 3, 4), -2)):
        net = Net()
        net.input(*(shape or ()))
        if shape is None:
            net.inputs[0].type.tensor_type.ClearField("shape")
        given = [net.integers(1)] if operator == "TopK" else []
        net.node(operator, net.node("Neg", "x"), *given, out="y,i" if given else "y", axis=axis)
        models.append(in_memory(net.model("y")))
    known, unknown, other = models
    assert isinstance(compare(known, unknown), Matched)
    assert not isinstance(compare(unknown, other), Matched)
