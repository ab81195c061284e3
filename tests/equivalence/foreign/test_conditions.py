"""Conditions of what is seen through: each keeps two functions apart that all others let pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import BFLOAT, BOOL, DOUBLE, FLOAT, HALF, INT64, Net, feed_for, run
from onnx import ModelProto, helper
from pairs import Pair, judged, models, nets

from folding.equivalence.foreign import Matched, NotEstablished
from folding.equivalence.foreign.check import compare
from folding.modelfile import in_memory

PAIRS: list[Callable[[], Pair]] = []


def pair(build: Callable[[], Pair]) -> Callable[[], Pair]:
    PAIRS.append(build)
    return build


@pair
def another_output_in_a_wider_type() -> Pair:
    one, other = nets(2, 3, 4, elem_type=HALF)
    for net in (one, other):
        net.weight(4, name="scale")
    one.node("LayerNormalization", "x", "scale", out="y", axis=-1)
    wide = [other.node("Cast", name, to=FLOAT) for name in ("x", "scale")]
    other.node("LayerNormalization", *wide, out="n,mean", axis=-1)
    other.node("Cast", "mean", to=HALF, out="y")
    return models(one, other)


@pair
def padding_of_axes_in_another_order() -> Pair:
    one, other = nets(1, 3, 6, 6, opset=18)
    for net in (one, other):
        net.weight(4, 3, 3, 3, name="w")
    pads, axes = one.integers(0, 0, 1, 0, 0, 0, 1, 0), one.integers(0, 1, 3, 2)
    one.node("Conv", one.node("Pad", "x", pads, "", axes), "w", out="y")
    other.node("Conv", "x", "w", pads=[1, 0, 1, 0], out="y")
    return models(one, other)


@pair
def bias_of_another_type() -> Pair:
    one, other = nets(1, 3, 6, 6)
    for net in (one, other):
        net.weight(4, 3, 3, 3, name="w")
    layer = one.node("Conv", "x", "w")
    one.node("Add", layer, one.store(np.ones((4, 1, 1)), elem_type=DOUBLE), out="y")
    other.node("Conv", "x", "w", other.store(np.ones(4)), out="y")
    return models(one, other)


@pair
def dimension_of_0_that_is_meant() -> Pair:
    one, other = nets("n", 3, 4)
    one.node("Relu", "x", out="y")
    rest = other.node("Identity", other.node("Shape", "x", start=1))
    shape = other.node("Concat", other.integers(0), rest, axis=0)
    other.node("Relu", other.node("Reshape", "x", shape, allowzero=1), out="y")
    return models(one, other)


@pair
def dimensions_read_backwards() -> Pair:
    one, other = nets("n")
    ends, axes, steps = one.integers(-9), one.integers(0), one.integers(-1)
    turned = one.node("Slice", one.node("Shape", "x"), one.integers(-1), ends, axes, steps)
    shape = one.node("Concat", turned, one.integers(1), axis=0)
    one.node("Reshape", "x", shape, out="y")
    other.node("Reshape", "x", other.integers(1), out="y")
    return models(one, other)


@pair
def dropout_that_trains_unless_told() -> Pair:
    one, other = nets(2, 3, opset=6)
    one.node("Relu", one.node("Dropout", "x"), out="y")
    other.node("Relu", "x", out="y")
    return models(one, other)


@pair
def choice_by_several_conditions() -> Pair:
    one, other = nets(2, 3)
    for net, flags in ((one, [True, False]), (other, [True, True])):
        branches = {
            name: helper.make_graph(
                [helper.make_node(operator, ["x"], [f"{operator}_y"])],
                name,
                [],
                [helper.make_tensor_value_info(f"{operator}_y", FLOAT, (2, 3))],
            )
            for name, operator in (("then_branch", "Relu"), ("else_branch", "Neg"))
        }
        net.node("If", net.store(flags, elem_type=BOOL), out="y", **branches)  # type: ignore[arg-type]
    return models(one, other)


@pair
def no_elements_in_another_number_of_rows() -> Pair:
    one, other = nets("a", 2, 0)
    one.node("Flatten", "x", axis=1, out="y")
    other.node("Flatten", "x", axis=2, out="y")
    return models(one, other)


@pair
def axis_among_those_of_the_result() -> Pair:
    one, other = nets(2, 3, elem_type=INT64)
    for net, axis in ((one, -1), (other, 1)):
        depth, values = net.integers(4), net.integers(0, 1)
        net.node("OneHot", "x", depth, values, axis=axis, out="y")
    return models(one, other)


@pytest.mark.parametrize("build", PAIRS, ids=lambda build: build.__name__)
def test_it_does_not_match(build: Callable[[], Pair]) -> None:
    """Another function does not match, whichever of both is the reference."""
    one, other = map(in_memory, build())
    assert not isinstance(compare(one, other), Matched)
    assert not isinstance(compare(other, one), Matched)


def padded(**said: Any) -> ModelProto:
    net = Net()
    net.node("Conv", net.input(1, 3, 6, 6), net.weight(4, 3, 2, 2), out="y", **said)
    return net.model("y")


@pytest.mark.parametrize(
    ("mode", "pads"), [("SAME_UPPER", [0, 0, 1, 1]), ("SAME_LOWER", [1, 1, 0, 0])]
)
def test_padding_that_cannot_be_halved_is_longer_where_the_name_says(
    mode: str, pads: list[int]
) -> None:
    """By name and by number, it is at the same end."""
    named, right, wrong = padded(auto_pad=mode), padded(pads=pads), padded(pads=pads[::-1])
    feed = feed_for(named)
    assert np.array_equal(run(named, feed)[0], run(right, feed)[0])
    assert isinstance(judged(named, right), Matched)
    assert not isinstance(judged(named, wrong), Matched)


def test_a_value_of_a_third_type_is_not_narrowed() -> None:
    """A conversion to float32 from anything else than the narrow type rounds otherwise."""
    narrow, wide = nets(2, 3, elem_type=BFLOAT)
    narrow.node("Relu", narrow.node("Cast", "x", to=HALF), out="y")
    relu = wide.node("Relu", wide.node("Cast", "x", to=FLOAT))
    wide.node("Cast", relu, to=HALF, out="y")
    found = judged(*models(narrow, wide))
    assert isinstance(found, NotEstablished)
    assert found.why == "where the reference has Relu 'y', the candidate has Cast 'y'"
