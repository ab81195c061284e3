"""Several affines before one node, downward: what they come to behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from graphs import DOUBLE, Net
from passing import affine_of, assert_joins, assert_joins_not, random_affine

from folding.affine import ChannelAffine, identity
from folding.plan import Reason

SHAPE = (2, 3, 5, 3)
SUMS = ["Add", "Sub", "Sum", "Mean"]
EXTREMES = ["Max", "Min"]
SCALE = [0.5, -2.0, 0.0]
ONE = affine_of(SCALE, [1.0, -3.0, 0.25], -3)
OTHER = affine_of(SCALE, [2.0, 0.0, -5.0], -3)
POSITIVE = random_affine(3, -3, sign=1)
ALIKE = affine_of([-2.0] * 3, [1.5] * 3, -3)
NUMBER = affine_of(-2.0, 1.5, None)


def network(operator: str, *shapes: Sequence[int | str], constant: int = -1, **given: Any) -> Net:
    """One node on inputs of these shapes, one of which may be a constant instead."""
    net = Net(DOUBLE)
    names = [
        net.weight(*(s for s in shape if isinstance(s, int)), name=name)
        if place == constant
        else net.input(*shape, name=name)
        for place, (name, shape) in enumerate(zip("abcd", shapes, strict=False))
    ]
    net.node(operator, *names, out="y", **given)
    return net


# --- sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", SUMS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_shifts_are_summed_by_their_weights(axis: int, operator: str) -> None:
    """Where the scales are the same, zero and negative ones among them."""
    scale = random_affine(SHAPE[axis], axis).scale
    pair = [
        ChannelAffine(scale, random_affine(SHAPE[axis], axis, seed).shift, axis) for seed in (1, 2)
    ]

    assert_joins(network(operator, SHAPE, SHAPE), dict(enumerate(pair)))


def test_behind_a_difference_nothing_is_left_of_equal_shifts() -> None:
    """What both add is taken away again."""
    moved = assert_joins(network("Sub", SHAPE, SHAPE), {0: ONE, 1: ONE})

    assert moved.affines[0].is_scale


@pytest.mark.parametrize("operator", ["Sum", "Mean"])
def test_three_branches_come_to_one(operator: str) -> None:
    """Each with a shift of its own."""
    third = affine_of(SCALE, [0.0, 7.0, 1.0], -3)

    assert_joins(network(operator, SHAPE, SHAPE, SHAPE), {0: ONE, 1: OTHER, 2: third})


@pytest.mark.parametrize("operator", SUMS)
@pytest.mark.parametrize("small", [(3, 1, 1), (2, 3, 1, 1), (3, 5, 3), (1, 3, 1, "one")])
def test_a_smaller_branch_keeps_its_channels(small: tuple[int | str, ...], operator: str) -> None:
    """Axes are counted from the right, so broadcasting does not move them."""
    assert_joins(network(operator, SHAPE, small), {0: ONE, 1: OTHER}, one=1)
    assert_joins(network(operator, small, SHAPE), {0: ONE, 1: OTHER}, one=1)


@pytest.mark.parametrize("operator", SUMS)
def test_equal_numbers_for_all_channels_are_one_number(operator: str) -> None:
    """It does not matter where they stand, nor that the other has but one channel."""
    net = network(operator, SHAPE, (5, 3))

    assert_joins(net, {0: ALIKE, 1: NUMBER})
    assert_joins(net, {0: NUMBER, 1: affine_of([-2.0] * 3, [1.0, 2.0, 3.0], -1)})
    assert_joins(network(operator, SHAPE, (1, 1, 1)), {0: ALIKE, 1: affine_of([-2], [4], -3)})


@pytest.mark.parametrize("operator", ["Sum", "Mean"])
@pytest.mark.parametrize("constant", [0, 1, 2])
def test_a_constant_among_branches_is_divided(constant: int, operator: str) -> None:
    """By the scale that all the others have."""
    net = network(operator, SHAPE, SHAPE, SHAPE, constant=constant)
    scale = [0.5, -2.0, 4.0]
    parts = [affine_of(scale, [1.0, -3.0, float(seed)], -3) for seed in range(3)]

    moved = assert_joins(net, {slot: parts[slot] for slot in range(3) if slot != constant})
    assert moved.constants.keys() == {constant}


def test_a_constant_is_not_divided_by_zero() -> None:
    """Nothing would give it back (condition 3)."""
    net = network("Sum", SHAPE, SHAPE, SHAPE, constant=2)

    assert_joins_not(net, {0: ONE, 1: OTHER}, Reason.UNUSUAL_FORM)


@pytest.mark.parametrize("operator", ["Sum", "Mean"])
def test_shifts_alone_ask_nothing_of_the_others(operator: str) -> None:
    """Neither of a branch nor of a constant."""
    shifts = {0: affine_of([1.0] * 3, [1.0, -3.0, 0.25], -3), 2: affine_of(1.0, 2.0, None)}

    assert_joins(network(operator, SHAPE, SHAPE, SHAPE), shifts)
    assert not assert_joins(network(operator, *[SHAPE] * 3, constant=1), shifts).constants


@pytest.mark.parametrize("operator", SUMS)
@pytest.mark.parametrize(
    "other",
    [
        affine_of([0.5, -2.0, 1e-300], [1.0, -3.0, 0.25], -3),
        affine_of(SCALE, [1.0, -3.0, 0.25], -1),
        affine_of(0.5, 1.0, None),
        identity(),
    ],
)
def test_other_scales_do_not_meet(other: ChannelAffine, operator: str) -> None:
    """A single number, another axis of the same size, and nothing at all (condition 3)."""
    net = network(operator, SHAPE, SHAPE)

    assert_joins_not(net, {0: ONE, 1: other}, Reason.BRANCHES_DIFFER)
    assert_joins_not(net, {0: other, 1: ONE}, Reason.BRANCHES_DIFFER)


def test_shifts_along_two_axes_do_not_meet() -> None:
    """They are no affine along one axis together."""
    shifts = {0: affine_of([1.0] * 3, [1, 2, 3], -1), 1: affine_of([1.0] * 3, [1, 2, 3], -3)}

    assert_joins_not(network("Add", SHAPE, SHAPE), shifts, Reason.BRANCHES_DIFFER)


@pytest.mark.parametrize("operator", ["Sum", "Mean"])
def test_a_branch_without_the_scale_keeps_the_others(operator: str) -> None:
    """Also where one of those has nothing but a shift (condition 3)."""
    net = network(operator, SHAPE, SHAPE, SHAPE)

    assert_joins_not(net, {0: ONE, 1: OTHER}, Reason.OTHER_BRANCH)
    assert_joins_not(net, {0: affine_of(1.0, 2.0, None), 2: ONE}, Reason.OTHER_BRANCH)


def test_a_value_less_itself_stays_beside_another() -> None:
    """Its slots cancel out (condition 2)."""
    net = Net(DOUBLE)
    net.node("Sub", net.input(*SHAPE), "x", out="y")

    assert_joins_not(net, {0: ONE, 1: ONE}, Reason.UNUSUAL_FORM)


# --- extremes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", EXTREMES)
def test_the_same_affine_before_all_is_behind(operator: str) -> None:
    """Of any number of branches."""
    assert_joins(network(operator, SHAPE, SHAPE), {0: POSITIVE, 1: POSITIVE})
    assert_joins(network(operator, SHAPE, (3, 1, 1), SHAPE), dict.fromkeys(range(3), POSITIVE))
    number, alike = affine_of(2.0, 1.0, None), affine_of([2.0] * 3, [1.0] * 3, -3)
    assert_joins(network(operator, SHAPE, (5, 3)), {0: alike, 1: number})


@pytest.mark.parametrize("operator", EXTREMES)
def test_a_constant_among_branches_moves_back(operator: str) -> None:
    """To where the affine reaches what it was."""
    affine = affine_of([0.5, 2.0, 1.0], [1.0, -1.0, 3.0], -3)
    net = network(operator, SHAPE, SHAPE, SHAPE, constant=1)

    assert_joins(net, {0: affine, 2: affine})
    assert_joins_not(net, {0: POSITIVE, 2: POSITIVE}, Reason.UNUSUAL_FORM)


@pytest.mark.parametrize("operator", EXTREMES)
def test_extremes_ask_for_one_affine_of_all(operator: str) -> None:
    """Conditions 1 and 3."""
    net = network(operator, SHAPE, SHAPE, SHAPE)
    shifted = ChannelAffine(POSITIVE.scale, ONE.shift, -3)

    assert_joins_not(net, {0: POSITIVE, 1: POSITIVE}, Reason.OTHER_BRANCH)
    assert_joins_not(net, {0: POSITIVE, 1: POSITIVE, 2: shifted}, Reason.BRANCHES_DIFFER)
    turned = POSITIVE.along(-1)
    assert_joins_not(net, {0: POSITIVE, 1: POSITIVE, 2: turned}, Reason.BRANCHES_DIFFER)
    assert_joins_not(net, dict.fromkeys(range(3), ONE), Reason.NEGATIVE_SCALE)


# --- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("small", [SHAPE, (3, 1, 1), (5, 3)])
def test_scales_are_multiplied_or_divided(small: tuple[int, ...], operator: str) -> None:
    """Behind a divisor stands the reciprocal."""
    dividend = affine_of([0.5, -2.0, 0.0], 0.0, -3)
    divisor = affine_of(3.0, 0.0, None) if small == (5, 3) else affine_of([4, -1, 7], 0.0, -3)

    assert_joins(network(operator, SHAPE, small), {0: dividend, 1: divisor})


def test_a_product_asks_for_scales_along_one_axis() -> None:
    """Conditions 1, 3 and 4."""
    scale = affine_of([4.0, -1.0, 0.0], 0.0, -3)

    for operator in ("Mul", "Div"):
        net = network(operator, SHAPE, SHAPE)
        assert_joins_not(net, {0: scale, 1: ONE}, Reason.SHIFT_BLOCKED)
        nonzero = affine_of([4.0, -1.0, 2.0], 0.0, -1)
        assert_joins_not(net, {0: scale, 1: nonzero}, Reason.BRANCHES_DIFFER)
    assert_joins_not(network("Div", SHAPE, SHAPE), {0: scale, 1: scale}, Reason.UNUSUAL_FORM)


# --- concatenations ------------------------------------------------------------------------------

PARTS = [(2, 3, 5, 3), (2, 2, 5, 3), (2, 1, 5, 3)]


@pytest.mark.parametrize("slots", [(0, 1, 2), (0, 2), (1, 2)])
def test_along_the_channels_affines_are_joined_too(slots: tuple[int, ...]) -> None:
    """With the identity for the others, and numbers for as many channels as they stood before."""
    affines = [ONE, NUMBER, affine_of([3.0], [-1.0], -3)]

    assert_joins(network("Concat", *PARTS, axis=1), {slot: affines[slot] for slot in slots})


def test_the_same_along_another_axis_is_behind() -> None:
    """It must stand before all of them (condition 5)."""
    net, across = network("Concat", *PARTS, axis=1), random_affine(5, -2)

    assert_joins(net, dict.fromkeys(range(3), across))
    assert_joins_not(net, {0: across, 2: across}, Reason.OTHER_BRANCH)
    mixed = {0: across, 1: across, 2: NUMBER}
    assert_joins_not(net, mixed, Reason.BRANCHES_DIFFER)
    assert_joins_not(net, {0: ONE, 1: across, 2: across}, Reason.BRANCHES_DIFFER)
    assert_joins_not(net, {0: across, 1: across, 2: across.along(-1)}, Reason.BRANCHES_DIFFER)


def test_one_number_for_all_stays_a_number() -> None:
    """Different ones are a number for each channel."""
    net = network("Concat", *PARTS, axis=1)

    assert assert_joins(net, dict.fromkeys(range(3), NUMBER)).affines[0].axis is None
    numbers = [affine_of(float(n + 2), float(n), None) for n in range(3)]
    assert assert_joins(net, dict(enumerate(numbers))).affines[0].channels == 6


def test_numbers_of_branches_of_unknown_sizes_may_be_the_same() -> None:
    """Where they are not, it is not known how many channels get which (condition 2)."""
    net = network("Concat", ("n", 3, 5), ("n", "c", 5), axis=1)

    assert_joins(net, {0: NUMBER, 1: NUMBER})
    assert_joins_not(net, {0: NUMBER, 1: affine_of(3.0, 0.0, None)}, Reason.SIZES_UNKNOWN)
