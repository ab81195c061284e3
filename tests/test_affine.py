"""Affine maps compose like the functions that they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from folding.affine import ChannelAffine, identity
from folding.doubled import Doubled, Doubles

#: No product of two that are not 0 is below what float64 holds.
NUMBERS = st.just(0.0) | st.floats(1e-150, 100) | st.floats(-100, -1e-150)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=3)


def vector(pairs: list[tuple[float, float]], axis: int = -2) -> ChannelAffine:
    scale, shift = np.array(pairs).T
    return ChannelAffine(Doubled.exact(scale), Doubled.exact(shift), axis)


def scalar(scale: float, shift: float) -> ChannelAffine:
    return ChannelAffine(Doubled.exact(scale), Doubled.exact(shift), None)


def apply(affine: ChannelAffine, x: Doubles) -> Doubles:
    return np.asarray(affine.scale.high * x + affine.shift.high)


@given(PAIRS, PAIRS)
def test_one_after_another_is_the_composition(
    outer: list[tuple[float, float]], inner: list[tuple[float, float]]
) -> None:
    x = np.array([0.5, -3.0, 7.0])

    both = vector(outer).after(vector(inner))

    np.testing.assert_allclose(
        apply(both, x), apply(vector(outer), apply(vector(inner), x)), rtol=1e-12, atol=1e-9
    )


@given(PAIRS)
def test_the_identity_changes_nothing(pairs: list[tuple[float, float]]) -> None:
    affine = vector(pairs)

    after, before = affine.after(identity()), identity().after(affine)

    for same in (after, before):
        np.testing.assert_array_equal(same.scale.high, affine.scale.high)
        np.testing.assert_array_equal(same.shift.high, affine.shift.high)
        assert same.axis == affine.axis


def test_a_scalar_composes_with_a_vector_and_keeps_its_axis() -> None:
    affine = vector([(2, 1), (3, 4), (5, 6)])

    assert scalar(2, 1).after(affine).axis == -2
    assert affine.after(scalar(2, 1)).axis == -2
    assert affine.after(scalar(2, 1)).shift.high.tolist() == [3, 7, 11]


def test_only_affines_of_one_axis_and_length_agree() -> None:
    affine = vector([(2, 1), (3, 4), (5, 6)])
    longer = vector([(2, 1), (3, 4), (5, 6), (7, 8)])

    assert affine.agrees_with(affine)
    assert affine.agrees_with(identity())
    assert not affine.agrees_with(affine.along(-1))
    assert not affine.agrees_with(longer)


def test_a_uniform_affine_agrees_with_one_of_any_axis() -> None:
    affine, uniform = vector([(2, 1), (3, 4), (5, 6)]), vector([(2, 1)] * 3, -1)

    assert affine.agrees_with(uniform)
    assert uniform.agrees_with(affine)
    assert not affine.agrees_with(vector([(2, 1), (2, 1), (2, 3)], -1))
    for both, shift in ((affine.after(uniform), [3, 7, 11]), (uniform.after(affine), [3, 9, 13])):
        assert both.axis == -2
        assert both.shift.high.tolist() == shift


def test_a_scalar_has_no_axis_to_move() -> None:
    assert scalar(2, 1).along(-3).axis is None


def test_spreading_gives_each_channel_its_number() -> None:
    whole = scalar(2, 1).spread(3)

    assert whole.scale.high.tolist() == [2, 2, 2]
    assert whole.shift.high.tolist() == [1, 1, 1]


def test_the_number_of_channels_is_that_of_the_longer_of_scale_and_shift() -> None:
    shift_only = ChannelAffine(Doubled.exact(1.0), Doubled.exact([1.0, 2.0]), -1)

    assert shift_only.channels == 2
    assert scalar(2, 1).channels is None
