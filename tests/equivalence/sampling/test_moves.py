"""Operators that only move elements, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Feed, Net, feed_for
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from samples import assert_exact, outputs_of, sampled, untyped, whole_numbers

from folding.equivalence.sampling import Unsupported

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
SHAPES_OF_EQUAL_SIZE = [(2, 3, 4), (24,), (6, 4), (1, 2, 1, 3, 4), (4, 3, 2)]


def data(draw: st.DrawFn) -> tuple[Net, str, list[int]]:
    shape = draw(SHAPES)
    net = Net(seed=draw(st.integers(0, 1000)))
    return net, net.input(*shape), shape


def axis_of(draw: st.DrawFn, shape: list[int]) -> int:
    return draw(st.integers(-len(shape), len(shape) - 1))


@st.composite
def transposes(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
    perm = draw(st.permutations(range(len(shape))))
    given: dict[str, Any] = {"perm": perm} if draw(st.booleans()) else {}
    net.node("Transpose", x, out="y", **given)
    return net.model("y")


@st.composite
def concats(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
    axis, inputs = axis_of(draw, shape), [x]
    for _ in range(draw(st.integers(0, 2))):
        dims = list(shape)
        dims[axis] = draw(st.integers(0, 3))
        inputs.append(whole_numbers(net, *dims))
    net.node("Concat", *draw(st.permutations(inputs)), out="y", axis=axis)
    return net.model("y")


@st.composite
def splits(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
    net.opset = draw(st.sampled_from([11, 13, 18]))
    axis = axis_of(draw, shape)
    size = shape[axis]
    given: dict[str, Any] = {"axis": axis}
    cut = draw(st.integers(0, size))
    sizes = [cut, size - cut]
    if net.opset >= 18 and draw(st.booleans()):
        count = draw(
            st.sampled_from([n for n in range(1, size + 1) if (n - 1) * -(-size // n) < size])
        )
        names = [f"y{i}" for i in range(count)]
        net.node("Split", x, out=",".join(names), num_outputs=count, **given)
        return net.model(*names)
    if net.opset < 13:
        net.node("Split", x, out="y0,y1", split=sizes, **given)
    else:
        net.node("Split", x, net.integers(*sizes), out="y0,y1", **given)
    return net.model("y0", "y1")


@st.composite
def slices(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
    net.opset = draw(st.sampled_from([9, 10, 13]))
    axes = draw(st.lists(st.sampled_from(range(len(shape))), min_size=1, unique=True))
    steps = [draw(STEPS) if net.opset >= 10 else 1 for _ in axes]
    starts = [draw(st.integers(-6, 6)) for _ in axes]
    ends = [draw(st.integers(-6, 6) | FAR[step > 0]) for step in steps]
    named = [axis - draw(st.sampled_from([0, len(shape)])) for axis in axes]
    if net.opset < 10:
        net.node("Slice", x, out="y", starts=starts, ends=ends, axes=named)
    else:
        inputs = [net.integers(*values) for values in (starts, ends, named, steps)]
        net.node("Slice", x, *inputs, out="y")
    return net.model("y")


STEPS = st.sampled_from([1, 2, 3, -1, -2])
#: What stands for the end, backwards and forwards.
FAR = st.sampled_from([-(2**31), -(2**63)]), st.sampled_from([2**31 - 1, 2**63 - 1])


@st.composite
def gathers(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
    axis, dims = axis_of(draw, shape), draw(st.lists(st.integers(1, 3), max_size=2))
    indices = net.random.integers(-shape[axis], shape[axis], dims)
    net.node("Gather", x, net.store(indices, elem_type=0), out="y", axis=axis)
    return net.model("y")


@st.composite
def pads(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
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
        axis = axis_of(draw, shape)
        inputs = [x, net.integers(1, 2), net.store(value), net.integers(axis)]
    net.node("Pad", *inputs, out="y")
    return net.model("y")


@given(transposes())
def test_transpose_is_what_the_runtime_computes(model: ModelProto) -> None:
    """The axes are reversed by default."""
    assert_exact(model)


@given(concats())
def test_concat_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Along any axis, of values and constants, of empty ones too."""
    assert_exact(model)


@given(splits())
def test_split_is_what_the_runtime_computes(model: ModelProto) -> None:
    """By attribute or input, into parts that are equal or not."""
    assert_exact(model)


@given(slices())
def test_slice_is_what_the_runtime_computes(model: ModelProto) -> None:
    """By attribute or input, forwards and backwards, out of range or not."""
    assert_exact(model)


@given(gathers())
def test_gather_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Along any axis, with indices of any rank and sign."""
    assert_exact(model)


@given(pads())
def test_pad_is_what_the_runtime_computes(model: ModelProto) -> None:
    """By attribute or input, of some axes or all; negative lengths crop."""
    assert_exact(model)


def test_defaults_are_the_runtimes() -> None:
    """Slice takes the first axes by steps of one; Split, Gather and Pad have defaults as well."""
    net = Net()
    x = net.input(4, 3)
    net.node("Slice", x, net.integers(1), net.integers(3), out="sliced")
    net.node("Split", x, out="first,second")
    net.node("Gather", x, net.integers(2, 0), out="gathered")
    net.node("Pad", x, net.integers(1, 0, 0, 2), out="padded")

    assert_exact(net.model("sliced", "first", "second", "gathered", "padded"))


@pytest.mark.parametrize("source", SHAPES_OF_EQUAL_SIZE)
@pytest.mark.parametrize("target", SHAPES_OF_EQUAL_SIZE)
def test_reshape_is_what_the_runtime_computes(
    source: tuple[int, ...], target: tuple[int, ...]
) -> None:
    """The elements stay in their order."""
    net = Net()
    net.node("Reshape", net.input(*source), net.integers(*target), out="y")

    assert_exact(net.model("y"))


@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 3])
def test_flatten_is_what_the_runtime_computes(axis: int) -> None:
    """From any axis on."""
    net = Net()
    net.node("Flatten", net.input(2, 3, 4), out="y", axis=axis)

    assert_exact(net.model("y"))


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze_are_what_the_runtime_computes(opset: int) -> None:
    """By attribute or input."""
    net = Net(opset=opset)
    x = net.input(2, 1, 3, 1)
    if opset < 13:
        net.node("Squeeze", x, out="y", axes=[1])
        net.node("Unsqueeze", x, out="z", axes=[0, -2])
    else:
        net.node("Squeeze", x, net.integers(1), out="y")
        net.node("Unsqueeze", x, net.integers(0, -2), out="z")
    net.node("Squeeze", x, out="all")

    assert_exact(net.model("y", "z", "all"))


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


MISFITS: list[tuple[str, list[Any], dict[str, Any], tuple[int, ...]]] = [
    ("Transpose", [], {"perm": [0, 0]}, (4, 4)),
    ("Transpose", [], {"perm": [1, 0, 2]}, (6, 4)),
    ("Transpose", [], {"perm": [1, 0]}, (4, 4)),
    ("Reshape", [(6, 5)], {}, (6, 5)),
    ("Flatten", [], {}, (4, 6, 2)),
    ("Concat", [], {"axis": 2}, (4, 6)),
    ("Concat", [], {"axis": 0}, (5, 6)),
    ("Split", [(5,)], {}, (5, 6)),
    ("Split", [(3,)], {}, (3, 6)),
    ("Split", [(4,)], {}, (4, 5)),
    ("Slice", [(0,), (2,)], {}, (3, 6)),
    ("Slice", [(0,), (2,), (2,)], {}, (2, 6)),
    ("Slice", [(0,), (2,), (0,), (0,)], {}, (2, 6)),
    ("Slice", [(0, 0), (2,)], {}, (2, 6)),
    ("Gather", [(4,)], {}, (1, 6)),
    ("Gather", [(-5,)], {}, (1, 6)),
    ("Gather", [(1,)], {"axis": 2}, (1, 6)),
    ("Gather", [(1,)], {}, (1, 5)),
    ("Gather", [(1,)], {}, (6,)),
    ("Pad", [(1, 1, 1)], {}, (5, 7)),
    ("Pad", [(1, 0, 0, 0)], {}, (4, 6)),
    ("Pad", [(1, 0, 0, 0)], {"mode": "reflect"}, (5, 6)),
]


@pytest.mark.parametrize(("operator", "constants", "given", "result"), MISFITS)
def test_a_move_that_does_not_fit_its_shapes_is_not_supported(
    operator: str, constants: list[Any], given: dict[str, Any], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    x = net.input(4, 6)
    net.node(operator, x, *(net.integers(*values) for values in constants), out="y", **given)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


def test_pieces_of_other_shapes_do_not_make_a_whole() -> None:
    """All axes but one must be the same."""
    net = Net()
    net.node("Concat", net.input(4, 6), net.weight(2, 5), out="y", axis=0)
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (6, 6)}, "y")

    assert found == Unsupported("the shapes of Concat do not fit")


def test_indices_that_are_no_constant_are_not_supported() -> None:
    """They would have to be evaluated as integers."""
    net = Net()
    indices = net.input(2, name="i", elem_type=7)
    net.node("Gather", net.input(4, 6), indices, out="y")
    model = untyped(net, "y")
    feed: Feed = {"x": np.ones((4, 6), np.float32), "i": np.zeros(2, np.int64)}

    found = sampled(model, feed, {"y": (2, 6)}, "y")

    assert found == Unsupported("'i' is no constant of integers")
