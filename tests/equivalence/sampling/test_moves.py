"""Operators that only move elements, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import INT64, Feed, Net, feed_for
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from samples import assert_exact, assert_value, sampled, untyped, whole_numbers

from folding.equivalence.sampling import Sampled, Unsupported

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
    ("Expand", [(2, 4, 6)], {}, (2, 4, 5)),
    ("Expand", [(4, 6)], {}, (6,)),
    ("Tile", [(1, 1)], {}, (4, 9)),
    ("Tile", [(1, 1)], {}, (2, 4, 6)),
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


def test_indices_may_be_an_input() -> None:
    """As those of an embedding are."""
    net = Net()
    indices = net.input(2, 3, name="i", elem_type=INT64)
    net.node("Gather", whole_numbers(net, 5, 6), indices, out="y")
    feed: Feed = {"i": np.array([[0, -1, 4], [2, 2, -5]])}

    assert_value(net.model("y"), feed)


def test_indices_that_are_no_integers_are_not_supported() -> None:
    """Nor those that some node computes: they would have to be evaluated as integers."""
    net = Net()
    net.node("Gather", net.input(4, 6), net.input(2, name="i"), out="y")
    computed = net.node("Neg", net.input(2, name="j", elem_type=INT64))
    net.node("Gather", "x", computed, out="z")
    model = untyped(net, "y", "z")
    feed: Feed = {
        "x": np.ones((4, 6), np.float32),
        "i": np.zeros(2, np.float32),
        "j": np.zeros(2, np.int64),
    }

    for output, index in (("y", "i"), ("z", computed)):
        found = sampled(model, feed, {output: (2, 6), computed: (2,)}, output)
        assert found == Unsupported(f"'{index}' is no constant of integers")


@st.composite
def expands(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
    asked = [draw(st.sampled_from([1, size] if size > 1 else [1, 3])) for size in shape]
    asked = asked[draw(st.integers(0, len(shape))) :] or [1]
    longer = draw(st.lists(st.integers(1, 2), max_size=2)) if len(asked) == len(shape) else []
    net.node("Expand", x, net.integers(*longer, *asked), out="y")
    return net.model("y")


@st.composite
def tiles(draw: st.DrawFn) -> ModelProto:
    net, x, shape = data(draw)
    times = [draw(st.integers(1, 3)) for _ in shape]
    net.node("Tile", x, net.integers(*times), out="y")
    return net.model("y")


@given(expands())
def test_expand_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Axes may be new, or repeated, or stay though less is asked for."""
    assert_exact(model)


@given(tiles())
def test_tile_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Along any axes."""
    assert_exact(model)


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("mode", ["DCR", "CRD", None])
def test_depth_to_space_is_what_the_runtime_computes(mode: str | None, block: int) -> None:
    """In both orders, of which DCR is the default."""
    net = Net()
    given: dict[str, Any] = {} if mode is None else {"mode": mode}
    x = net.input(2, 2 * block**2, 3, 2)
    net.node("DepthToSpace", x, out="y", blocksize=block, **given)

    assert_exact(net.model("y"))


@pytest.mark.parametrize("block", [1, 2, 3])
def test_space_to_depth_is_what_the_runtime_computes(block: int) -> None:
    """It has one order."""
    net = Net()
    net.node("SpaceToDepth", net.input(2, 3, 2 * block, 3 * block), out="y", blocksize=block)

    assert_exact(net.model("y"))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_space_to_depth_undoes_depth_to_space_in_either_order(mode: str) -> None:
    """Since opset 28 it has the attribute, too."""
    net = Net(opset=28)
    wide = net.node("DepthToSpace", net.input(1, 12, 2, 3), out="wide", blocksize=2, mode=mode)
    net.node("SpaceToDepth", wide, out="y", blocksize=2, mode=mode)
    model = untyped(net, "y")
    feed = feed_for(model)

    found = sampled(model, feed, {"wide": (1, 3, 4, 6), "y": (1, 12, 2, 3)}, "y")

    assert isinstance(found, Sampled)
    np.testing.assert_array_equal(found.value, feed["x"])


@pytest.mark.parametrize(
    ("operator", "given", "result"),
    [
        ("DepthToSpace", {"blocksize": 2, "mode": "RCD"}, (1, 1, 4, 4)),
        ("DepthToSpace", {"blocksize": 0}, (1, 4, 2, 2)),
        ("DepthToSpace", {"blocksize": 3}, (1, 1, 6, 6)),
        ("DepthToSpace", {"blocksize": 2}, (1, 4, 4)),
        ("SpaceToDepth", {"blocksize": 2}, (1, 15, 1, 1)),
        ("SpaceToDepth", {"blocksize": -2}, (1, 16, 1, 1)),
    ],
)
def test_blocks_that_do_not_fit_the_shapes_are_not_supported(
    operator: str, given: dict[str, Any], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of them."""
    net = Net()
    net.node(operator, net.input(1, 4, 2, 2), out="y", **given)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)
