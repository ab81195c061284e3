"""Blocks of axes: an affine on one side's axis is looked for on the other side's."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from moves import follow_from_one_axis, patterns, repeated, tiled
from passing import affine_of, applied, random_affine

from folding.affine import ChannelAffine
from folding.carriers.blocks import LARGEST, Cut, cuts_between, refit, reshaped
from folding.inference import Shape
from folding.plan import Reason

TWO, THREE, SIX = (random_affine(size, -1, seed=size) for size in (2, 3, 6))
FOUR, TWELVE = random_affine(4, -1), random_affine(12, -1)

# Sizes of a block on both sides, None where one is not known, an affine on one of the first side's
# axes, and what may be in place of the unknown ones.
OPEN: list[tuple[Shape, Shape, ChannelAffine, list[tuple[list[int], list[int]]]]] = [
    ((None, 3), (None, 6), THREE, [([2], [1]), ([8], [4])]),
    ((None, 6), (None, 3), tiled(THREE, 2), [([1], [2]), ([4], [8])]),
    ((None, 6), (None, 4), tiled(TWO, 3), [([2], [3]), ([6], [9])]),
    ((None, 4), (None, 6), tiled(TWO, 2), [([3], [2])]),
    ((None, 2, 3), (None, 6), TWO.along(-2), [([5], [5])]),
    ((None, 2, None, 3), (None, 6), THREE, [([5, 2], [10]), ([1, 1], [1]), ([3, 4], [12])]),
    ((3, None), (6, None), THREE.along(-2), [([2], [1]), ([8], [4])]),
    ((6, None), (3, None), repeated(THREE, 2).along(-2), [([1], [2]), ([4], [8])]),
    ((6, None), (4, None), repeated(TWO, 3).along(-2), [([2], [3])]),
    ((2, None, None), (2, 3, None), TWO.along(-3), [([3, 5], [5]), ([2, 3], [2])]),
    ((12,), (2, None, None), repeated(TWO, 6), [([], [2, 3]), ([], [1, 6]), ([], [6, 1])]),
    ((None,), (2, 3), repeated(TWO, 3), [([6], [])]),
    ((None,), (2, 3), tiled(THREE, 2), [([6], [])]),
    ((2, 3), (None,), TWO.along(-2), [([], [6])]),
    ((4, 3), (2, None), repeated(TWO, 2).along(-2), [([], [6])]),
]


def filled(shape: Shape, sizes: list[int]) -> list[int]:
    rest = iter(sizes)
    return [next(rest) if size is None else size for size in shape]


@pytest.mark.parametrize(("source", "target", "affine", "examples"), OPEN)
def test_an_affine_moves_alike_whatever_the_unknown_sizes_are(
    source: Shape,
    target: Shape,
    affine: ChannelAffine,
    examples: list[tuple[list[int], list[int]]],
) -> None:
    """The answer is given without them."""
    moved = refit(affine, source, target)

    assert isinstance(moved, ChannelAffine)
    assert moved.axis is not None
    for here, there in examples:
        value = np.random.default_rng(0).normal(size=filled(source, here))
        shape = filled(target, there)
        assert target[moved.axis] in (None, moved.channels)
        assert moved.channels == shape[moved.axis]
        wanted = applied(affine, value).reshape(shape)
        assert (applied(moved, value.reshape(shape)) == wanted).all()


@pytest.mark.parametrize(
    ("source", "target", "affine"),
    [
        ((None, 3), (None,), THREE),
        ((None, 6), (None, 3), SIX),
        ((None, 6), (None, 4), THREE),
        ((None, 6), (None, 4), SIX),
        ((None, 2, 3), (None, 3), TWO.along(-2)),
        ((3, None), (None,), THREE.along(-2)),
        ((6, None), (3, None), SIX.along(-2)),
        ((None, 3, None), (None, None), THREE.along(-2)),
        ((None, 3, None), (3, None), THREE.along(-2)),
        ((12,), (2, None, None), TWELVE),
        ((12,), (None, None), repeated(TWO, 6)),
        ((None, 3), (None, 4), SIX.along(-2)),
    ],
)
def test_it_stays_where_it_would_go_to_an_axis_of_an_unknown_size(
    source: Shape, target: Shape, affine: ChannelAffine
) -> None:
    """Or where it depends on one whether it goes at all."""
    unknown = (Reason.SIZES_UNKNOWN, Reason.MIXES_CHANNELS)

    assert refit(affine, source, target) in unknown


def test_another_size_than_that_of_the_vector_is_not_trusted() -> None:
    """No axis is guessed from a size."""
    assert refit(THREE, (2, 6), (12,)) is Reason.SIZES_UNKNOWN


@pytest.mark.parametrize(("source", "target"), [((3, 0), (0,)), ((0, 3), (0,)), ((3,), (3, 0))])
def test_a_size_of_zero_is_refused(source: Shape, target: Shape) -> None:
    """It makes all products equal."""
    affine = THREE.along(source.index(3) - len(source))

    assert refit(affine, source, target) is Reason.UNUSUAL_FORM


def test_a_large_block_is_refused() -> None:
    """It would take too long to look at."""
    assert isinstance(refit(TWO.along(-2), (2, LARGEST // 2), (LARGEST,)), ChannelAffine)
    large = (2, LARGEST // 2 + 1)
    assert refit(TWO.along(-2), large, (prod(large),)) is Reason.UNUSUAL_FORM


@pytest.mark.parametrize("sizes", [(2, None, 0), (), (None, None)])
def test_one_number_for_all_passes_without_a_question(sizes: Shape) -> None:
    """It stands on no axis afterwards."""
    same = refit(affine_of([2.0, 2.0], [3.0, 3.0], -1), sizes, (None,))

    assert isinstance(same, ChannelAffine)
    assert same.axis is None
    assert same.scale.equals(2)
    assert same.shift.equals(3)


def test_numbers_that_differ_beyond_float64_are_different() -> None:
    """Both halves of a double-double number are compared."""
    affine = affine_of([1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], -1)
    affine.scale.low[0] = 2.0**-60

    assert refit(affine, (4,), (2, 2)) is Reason.MIXES_CHANNELS


@pytest.mark.parametrize("part", ["scale", "shift"])
def test_scale_and_shift_must_both_repeat(part: str) -> None:
    """One of them alone is not enough to go over a merge."""
    few, many = [1.0, 1.0, 2.0, 2.0], [1.0, 2.0, 3.0, 4.0]
    affine = affine_of(few, many, -1) if part == "shift" else affine_of(many, few, -1)

    assert refit(affine, (4,), (2, 2)) is Reason.MIXES_CHANNELS


@pytest.mark.parametrize(
    ("source", "target", "equal", "cuts"),
    [
        ((2, 3, 4), (2, 12), [], [(0, 0), (1, 1), (3, 2), (3, 2)]),
        ((None, 3, 4), (None, 12), [], [(0, 0), (1, 1), (3, 2)]),
        ((None, 3, None), (None, 3, None), [], [(0, 0), (3, 3)]),
        ((None, 3, None), (None, 3, None), [(0, 0)], [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ((None, 6, None), (None, 2, 3, None), [(0, 0)], [(0, 0), (1, 1), (2, 3), (3, 4)]),
        ((2, None, 4), (2, None, 2, 2), [], [(0, 0), (1, 1), (2, 2), (3, 4)]),
        ((2, 1, 3), (1, 6), [], [(0, 0), (3, 2), (3, 2)]),
        ((3, 1), (3,), [], [(0, 0), (1, 1), (2, 1)]),
        ((None, 2), (2, None), [(1, 1)], [(0, 0), (1, 1), (2, 2)]),
        ((None, 2), (2, None), [(1, 0)], [(0, 0), (2, 2)]),
        ((3, None), (3, None, None), [(1, 1), (1, 2)], [(0, 0), (1, 1), (2, 2), (2, 3)]),
        ((None, 2), (2, None), [(0, 1)], [(0, 0), (2, 2)]),
        ((None, 3, None), (None, None), [(2, 1)], [(0, 0), (2, 1), (3, 2)]),
        ((None, 3, None), (None, None), [(0, 0)], [(0, 0), (1, 1), (3, 2)]),
        ((2, 3, None, None), (None, 3, 2, None), [(1, 1), (3, 3)], [(0, 0), (3, 3), (4, 4)]),
        ((2, 3, 5, None), (6, None, 5), [(2, 2)], [(0, 0), (2, 1), (4, 3)]),
    ],
)
def test_shapes_are_cut_where_the_products_from_one_end_are_equal(
    source: Shape, target: Shape, equal: list[Cut], cuts: list[Cut]
) -> None:
    """Equal sizes count only beside a cut."""
    found = cuts_between(source, target, equal)

    assert list(dict.fromkeys(found)) == list(dict.fromkeys(cuts))


@pytest.mark.parametrize(
    ("source", "target", "affine"),
    [
        ((None, 6, 1), (1,), SIX.along(-2)),
        ((None, 6), (4,), SIX),
        ((4,), (None, 6), FOUR),
        ((2, 3), (3,), TWO.along(-2)),
    ],
)
def test_sizes_that_do_not_multiply_out_are_not_known(
    source: Shape, target: Shape, affine: ChannelAffine
) -> None:
    """Shape inference and the runtime may differ in how often a window fits."""
    assert refit(affine, source, target) is Reason.SIZES_UNKNOWN


FACTORED = [(2, 3, 4), (6, 4), (2, 12), (24,), (3, 8), (2, 3, 2, 2), (1, 24), (4, 1, 6), (24, 1)]


@pytest.mark.parametrize("source", FACTORED)
@pytest.mark.parametrize("target", FACTORED)
def test_of_known_sizes_every_affine_goes_that_can(
    source: tuple[int, ...], target: tuple[int, ...]
) -> None:
    """It can if it does the same to all elements at one index of an axis on the other side."""
    ones, cuts = np.ones(source), cuts_between(source, target, ())
    for axis in (axis - len(source) for axis, size in enumerate(source) if size != 1):
        for affine in patterns(source[axis], axis):
            wanted = applied(affine, ones).reshape(target)
            moved = reshaped(affine.narrowed(), source, target, cuts)
            if isinstance(moved, Reason):
                assert moved is Reason.MIXES_CHANNELS
                assert not follow_from_one_axis(dict(np.ndenumerate(wanted)))
            else:
                assert (applied(moved, ones.reshape(target)) == wanted).all()
