"""Pad, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, Net, feed_for
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from padded import AROUND, REPEATING, RUN, padded
from samples import assert_by_definition, assert_exact, outputs_of, sampled, untyped

from folding.equivalence.sampling import Unsupported

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
#: What the input of ``padded`` allows at most; some of it is cropped.
PADS = [AROUND, (0, 0, 3, 4, 0, 0, 3, 4), (0, 0, -1, 2, 0, 0, 1, -2), (1, 0, 0, 0, 0, 2, 0, 0)]


@st.composite
def pads(draw: st.DrawFn) -> ModelProto:
    shape = draw(SHAPES)
    net = Net(seed=draw(st.integers(0, 1000)))
    x = net.input(*shape)
    net.opset = draw(st.sampled_from([10, 11, 18]))
    lengths = [draw(st.integers(-(size // 2) + (size > 1), 2)) for size in shape * 2]
    value = float(draw(st.integers(0, 2)))
    if net.opset < 11:
        net.node("Pad", x, out="y", pads=lengths, value=value)
        return net.model("y")
    inputs = [x, net.integers(*lengths)]
    if draw(st.booleans()):
        inputs.append(net.store(value))
    if net.opset >= 18 and draw(st.booleans()):
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        inputs = [x, net.integers(1, 2), net.store(value), net.integers(axis)]
    net.node("Pad", *inputs, out="y")
    return net.model("y")


@given(pads())
def test_pad_is_what_the_runtime_computes(model: ModelProto) -> None:
    """By attribute or input, of some axes or all; negative lengths crop."""
    assert_exact(model)


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize(("mode", "opset"), RUN)
def test_what_repeats_is_what_the_runtime_computes(
    mode: str, opset: int, pads: tuple[int, ...]
) -> None:
    """On either side; what is cropped is not repeated."""
    assert_exact(padded(pads, opset=opset, elem_type=FLOAT, mode=mode).model("y"))


@pytest.mark.parametrize("pads", [*PADS, (0, 0, 9, 0, 0, 0, 0, 11)])
@pytest.mark.parametrize(("mode", "opset"), REPEATING)
def test_what_repeats_is_what_the_specification_says(
    mode: str, opset: int, pads: tuple[int, ...]
) -> None:
    """As often as there is room."""
    net = padded(pads, opset=opset, mode=mode)

    assert_by_definition(net.model("y") if opset > 2 else untyped(net, "y"))


@pytest.mark.parametrize("opset", [10, 17])
def test_what_is_padded_with_a_negative_number_has_a_magnitude(opset: int) -> None:
    """Its absolute value."""
    net = Net(opset=opset)
    x = net.input(1)
    if opset < 11:
        net.node("Pad", x, out="y", pads=[1, 0], value=-2.0)
    else:
        net.node("Pad", x, net.integers(1, 0), net.store(-2.0), out="y")

    (found,) = outputs_of(net.model("y"), {"x": np.array([-3], np.float32)})

    assert (found.value.tolist(), found.magnitude.tolist()) == ([-2, -3], [2, 3])


@pytest.mark.parametrize(
    ("pads", "given", "result"),
    [
        ((1, 1, 1), {}, (5, 7)),
        ((1, 0, 0, 0), {}, (4, 6)),
        ((1, 0, 0, 0), {"mode": "edge"}, (4, 6)),
        ((1, 0, 0, 0), {"mode": "mirror"}, (5, 6)),
        ((-5, 0, 6, 0), {"mode": "wrap"}, (5, 6)),
    ],
)
def test_a_pad_that_does_not_fit_its_shapes_is_not_supported(
    pads: tuple[int, ...], given: dict[str, Any], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    net.node("Pad", net.input(4, 6), net.integers(*pads), out="y", **given)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)
