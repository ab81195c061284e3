"""Reshape: an affine goes where its numbers follow from one axis, and only there."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import DOUBLE, FLOAT, INT64, Net, feed_for, run
from moves import assert_goes_where_it_can, patterns, repeated, tiled
from onnx import helper
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine
from folding.carriers import Moved
from folding.carriers.blocks import LARGEST
from folding.plan import Kept, Reason

Dims = tuple[int | str, ...]
SHAPES = [(2, 3, 4), (6, 4), (2, 12), (24,), (2, 1, 3, 4), (4, 3, 2), (1, 24, 1)]
TWO, THREE, FOUR = (random_affine(size, -1, seed=size) for size in (2, 3, 4))


def network(before: Dims, shape: tuple[int, ...], opset: int = 17, *, allowzero: int = 0) -> Net:
    net = Net(DOUBLE, opset=opset)
    given: dict[str, Any] = {"allowzero": allowzero} if allowzero else {}
    net.node("Reshape", net.input(*before), net.integers(*shape), out="y", **given)
    return net


def moved(net: Net, affine: ChannelAffine, *, down: bool = False) -> ChannelAffine:
    """The affine after the answer."""
    _, answer = ask(net, affine, down=down)
    assert not isinstance(answer, Kept), answer
    assert answer == (Moved({0: answer[0].affines[0]}),)
    return answer[0].affines[0]


@pytest.mark.parametrize("after", SHAPES)
@pytest.mark.parametrize("before", SHAPES)
@pytest.mark.parametrize("down", [False, True])
def test_every_affine_that_can_goes(
    before: tuple[int, ...], after: tuple[int, ...], *, down: bool
) -> None:
    """Whatever is merged and split, on every axis, with numbers that repeat and that do not."""
    here = before if down else after
    for axis in (axis - len(here) for axis, size in enumerate(here) if size > 1):
        for affine in patterns(here[axis], axis):
            assert_goes_where_it_can(network(before, after), affine, down=down)


@pytest.mark.parametrize("opset", [5, 7, 13, 14, 19, 21, 23, 24, 25])
@pytest.mark.parametrize("shape", [(2, 12), (0, 12), (0, -1), (-1, 12)])
def test_all_forms_of_the_shape_mean_the_same(shape: tuple[int, ...], opset: int) -> None:
    """A 0 copies a size and a -1 is what is left, in all versions."""
    assert_goes_down(network((2, 3, 4), shape, opset), random_affine(3, -2))
    assert_goes_up(network((2, 3, 4), shape, opset), repeated(THREE, 4))


def test_behind_a_split_axis_it_is_repeated_or_tiled() -> None:
    """Condition 1, upward."""
    outer = moved(network((2, 12), (2, 3, 4)), THREE.along(-2))
    inner = moved(network((2, 12), (2, 3, 4)), FOUR)

    assert (outer.axis, outer.scale.high.tolist()) == (-1, repeated(THREE, 4).scale.high.tolist())
    assert (inner.axis, inner.scale.high.tolist()) == (-1, tiled(FOUR, 3).scale.high.tolist())


def test_before_a_merged_axis_it_is_repeated_or_tiled() -> None:
    """Condition 1, downward."""
    outer = moved(network((2, 3, 4), (2, 12)), THREE.along(-2), down=True)
    inner = moved(network((2, 3, 4), (2, 12)), FOUR, down=True)

    assert (outer.axis, outer.shift.high.tolist()) == (-1, repeated(THREE, 4).shift.high.tolist())
    assert (inner.axis, inner.shift.high.tolist()) == (-1, tiled(FOUR, 3).shift.high.tolist())


def test_what_differs_within_a_merged_axis_stays() -> None:
    """Condition 2, in both directions."""
    mixed = Reason.MIXES_CHANNELS

    assert_stays(network((2, 3, 4), (2, 12)), random_affine(12, -1), mixed)
    assert_stays(network((2, 12), (2, 3, 4)), random_affine(12, -1), mixed, down=True)


# Sizes before, the shape, an affine behind the node, and what the open sizes may be.
OPEN_UP: list[tuple[Dims, tuple[int, ...], ChannelAffine, list[dict[str, int]]]] = [
    (("n", 3, 4, 5), (0, -1), repeated(THREE, 20), [{"n": 1}, {"n": 3}]),
    (("n", 3, 4, 5), (-1, 60), repeated(THREE, 20), [{"n": 1}, {"n": 3}]),
    (("n", 3, 4, 5), (-1, 4, 5), FOUR.along(-2), [{"n": 1}, {"n": 3}]),
    (("n", 3, "h", "w"), (0, 3, -1), THREE.along(-2), [{"n": 2, "h": 3, "w": 5}]),
    (("n", 6, "h", "w"), (0, 2, 3, -1), THREE.along(-2), [{"n": 2, "h": 3, "w": 5}]),
    (("n", 6, "t"), (0, 2, 3, -1), TWO.along(-3), [{"n": 2, "t": 4}]),
    (("n", "m", 3, "t"), (0, 0, 3, -1), THREE.along(-2), [{"n": 2, "m": 5, "t": 4}]),
    (("n", 3, "t"), (-1, 3, 0), THREE.along(-2), [{"n": 2, "t": 4}]),
    (("n", 2, 6, "t"), (-1, 4, 3, 0), tiled(TWO, 2).along(-3), [{"n": 2, "t": 4}]),
    ((1, 6, "h", "w"), (1, 2, 3, -1), TWO.along(-3), [{"h": 2, "w": 5}]),
    (("n", "t", 12), (0, 0, 3, 4), FOUR, [{"n": 2, "t": 3}]),
    (("n", "t", 12), (0, 0, 3, 4), THREE.along(-2), [{"n": 2, "t": 3}]),
    (("n", "t", 12), (-1, 12), repeated(FOUR, 3), [{"n": 2, "t": 3}]),
    (("n", 6), (-1, 3), THREE, [{"n": 2}, {"n": 3}]),
    ((6, "n"), (3, -1), THREE.along(-2), [{"n": 2}, {"n": 3}]),
    (("n", 3, 4), (2, 12), TWO.along(-2), [{"n": 2}]),
]
OPEN_DOWN: list[tuple[Dims, tuple[int, ...], ChannelAffine, list[dict[str, int]]]] = [
    (("n", 3, 4, 5), (0, -1), THREE.along(-3), [{"n": 1}, {"n": 3}]),
    (("n", 3, 4, 5), (-1, 60), FOUR.along(-2), [{"n": 1}, {"n": 3}]),
    (("n", 3, "h", "w"), (0, 3, -1), THREE.along(-3), [{"n": 2, "h": 3, "w": 5}]),
    (("n", 6, "h", "w"), (0, 2, 3, -1), repeated(TWO, 3).along(-3), [{"n": 2, "h": 3, "w": 5}]),
    (("n", "t", 3, 4), (0, 0, -1), THREE.along(-2), [{"n": 2, "t": 3}]),
    (("n", "t", 3, 4), (-1, 12), FOUR, [{"n": 2, "t": 3}]),
    (("n", 3, "t"), (-1, 3, 0), THREE.along(-2), [{"n": 2, "t": 4}]),
    (("n", 6), (-1, 3), tiled(THREE, 2), [{"n": 2}, {"n": 3}]),
    ((6, "n"), (3, -1), repeated(THREE, 2).along(-2), [{"n": 2}, {"n": 3}]),
]


@pytest.mark.parametrize(("before", "shape", "affine", "examples"), OPEN_UP)
def test_other_sizes_may_be_unknown_behind_it(
    before: Dims, shape: tuple[int, ...], affine: ChannelAffine, examples: list[dict[str, int]]
) -> None:
    """Condition 3, upward: a batch, a length, rows and columns."""
    for sizes in examples:
        assert_goes_up(network(before, shape), affine, **sizes)


@pytest.mark.parametrize(("before", "shape", "affine", "examples"), OPEN_DOWN)
def test_other_sizes_may_be_unknown_before_it(
    before: Dims, shape: tuple[int, ...], affine: ChannelAffine, examples: list[dict[str, int]]
) -> None:
    """Condition 3, downward."""
    for sizes in examples:
        assert_goes_down(network(before, shape), affine, **sizes)


def with_computed_shape() -> Net:
    """The shape is another input's, so that nothing is known of the sizes behind."""
    net = Net(DOUBLE)
    net.node("Shape", net.input("n", "m", name="other"), out="shape")
    net.node("Reshape", net.input("k", 3, 4, 5), "shape", out="y")
    net.inputs.reverse()
    return net


def test_the_channels_of_the_affine_itself_are_a_size() -> None:
    """Behind a shape that is computed."""
    assert_goes_up(with_computed_shape(), repeated(THREE, 20), k=2, n=2, m=60)
    assert_stays(with_computed_shape(), random_affine(60, -1), Reason.MIXES_CHANNELS)


def test_of_a_shape_that_is_computed_the_channels_may_be_anywhere() -> None:
    """Condition 3: the sizes are not known."""
    for axis, size in ((-3, 3), (-2, 4), (-1, 5)):
        affine = random_affine(size, axis)
        assert_stays(with_computed_shape(), affine, Reason.SIZES_UNKNOWN, down=True)


def keeping(count: int, *before: int | str) -> Net:
    """The first sizes are those of the data, and the last one is what is left."""
    net = Net(DOUBLE)
    net.node("Shape", net.input(*before), out="all")
    net.node("Slice", "all", net.integers(0), net.integers(count), out="some")
    net.node("Concat", "some", net.integers(-1), out="shape", axis=0)
    net.node("Reshape", "x", "shape", out="y")
    return net


def test_sizes_that_are_taken_from_the_data_are_known_to_be_the_same() -> None:
    """Condition 3: all that is known of them is their names."""
    assert_goes_down(keeping(1, "n", 3, 4), THREE.along(-2), n=2)
    assert_goes_down(keeping(1, "n", 3, 4), FOUR, n=5)
    assert_goes_up(keeping(1, "n", 3, 4), tiled(FOUR, 3), n=5)
    assert_goes_up(keeping(2, "n", 3, "h", "w"), THREE.along(-2), n=2, h=4, w=3)
    assert_goes_down(keeping(2, "n", 3, "h", "w"), THREE.along(-3), n=2, h=4, w=3)
    unknown = Reason.SIZES_UNKNOWN
    assert_stays(keeping(1, "n", 3, "t"), THREE.along(-2), unknown, down=True)


@pytest.mark.parametrize(
    ("before", "shape", "affine"),
    [
        (("n", 3), (-1,), THREE),
        (("n", 3, 4), (-1, 4), THREE.along(-2)),
        (("n", 3, "t"), (0, -1), THREE.along(-2)),
        (("n", 3, "t"), (-1, 3), THREE.along(-2)),
        (("n", "t", 3, 4), (0, -1, 4), THREE.along(-2)),
        ((2, 2, 3, "t"), (4, -1, 0), THREE.along(-2)),
    ],
)
def test_it_does_not_go_to_an_axis_of_an_unknown_size(
    before: Dims, shape: tuple[int, ...], affine: ChannelAffine
) -> None:
    """Condition 3."""
    assert_stays(network(before, shape), affine, Reason.SIZES_UNKNOWN, down=True)


def test_equal_sizes_between_unknown_ones_are_not_taken_for_one_axis() -> None:
    """Without a copying 0 anything may have been merged in front (condition 3)."""
    net = Net(DOUBLE)
    net.node("Reshape", net.input("n", 3, "t"), net.integers(-1, 3, 5), out="y")

    assert_stays(net, THREE.along(-2), Reason.SIZES_UNKNOWN)
    assert_stays(net, THREE.along(-2), Reason.SIZES_UNKNOWN, down=True)


def test_with_allowzero_a_zero_copies_nothing() -> None:
    """Condition 3, and 4: there is a size of zero."""
    net = network(("n", 3, "t"), (0, 3, 2), allowzero=1)

    assert_stays(net, THREE.along(-2), Reason.UNUSUAL_FORM)
    assert_goes_up(network(("n", 3, "t"), (0, 3, 2)), THREE.along(-2), n=4)


@pytest.mark.parametrize("affine", [THREE.along(-3), FOUR])
def test_sizes_of_zero_are_refused(affine: ChannelAffine) -> None:
    """Condition 4."""
    net = network((3, 0, 4), (0,), allowzero=1)

    assert_stays(net, affine, Reason.UNUSUAL_FORM, down=True)


def test_a_very_large_block_is_refused() -> None:
    """Condition 6."""
    affine = TWO.along(-2)

    assert moved(network((2, LARGEST // 2), (-1,)), affine, down=True).channels == LARGEST
    assert moved(network(("n", 2, LARGEST, 2), (-1, 2, LARGEST * 2)), affine).axis == -3
    too_large = network((2, LARGEST // 2 + 1), (-1,))
    assert_stays(too_large, affine, Reason.UNUSUAL_FORM, down=True)


@pytest.mark.parametrize("down", [False, True])
def test_without_a_known_rank_it_stays(*, down: bool) -> None:
    """Condition 3: no axis can be told; but one number for all passes."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    net.node("Reshape", "x", net.integers(2, 12), out="y")

    assert_stays(net, repeated(THREE, 4), Reason.MISSING_AXES, down=down)
    assert moved(net, affine_of([2.0] * 12, [3.0] * 12, -1), down=down).axis is None


def test_a_shape_of_unknown_length_leaves_no_axis_behind() -> None:
    """Condition 3, downward."""
    net = Net(DOUBLE)
    net.node("Reshape", net.input(2, 3), net.input("r", name="s", elem_type=INT64), out="y")

    assert_stays(net, THREE, Reason.MISSING_AXES, down=True)


@pytest.mark.parametrize("axis", [None, -1])
def test_one_number_for_all_passes_any_form(axis: int | None) -> None:
    """Condition 2: it stands on no axis."""
    affine = affine_of([2.0] * 4, [3.0] * 4, -1) if axis else affine_of(-2.0, 3.0, None)

    assert_goes_up(network((2, 3, 4), (6, 4)), affine)
    assert_goes_down(network((2, 3, 4), (6, 4)), affine)


@pytest.mark.parametrize("opset", [7, 13, 14, 17, 21])
def test_the_definition_agrees_with_onnxruntime(opset: int) -> None:
    """What the rule is tested against."""
    net = Net(FLOAT, opset=opset)
    net.input(2, 3, 4)
    shapes = ((0, -1), (4, 0, 2), (-1,), (2, 3, 2, 2))
    model = net.model(*[net.node("Reshape", "x", net.integers(*shape)) for shape in shapes])
    feed = feed_for(model)

    for found, wanted in zip(evaluate(model, feed), run(model, feed), strict=True):
        assert found.shape == wanted.shape
        assert (found == wanted).all()
