"""Rounding once, to the nearest number of each type, ties to even."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from graphs import BFLOAT, DOUBLE, FLOAT, HALF
from hypothesis import assume, given
from hypothesis import strategies as st

from folding.floats import FLOATS

ALL = [FLOAT, DOUBLE, HALF, BFLOAT]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("elem_type", ALL)
@given(NUMBERS)
def test_no_neighbour_is_nearer_than_the_rounded_number(elem_type: int, value: float) -> None:
    kind = FLOATS[elem_type]
    rounded = kind.round(np.array([value]))

    if np.isfinite(rounded.astype(float)).all():
        missed = abs(Fraction(float(rounded[0])) - Fraction(value))
        for limit in (-np.inf, np.inf):
            with np.errstate(over="ignore"):
                neighbour = float(np.nextafter(rounded, rounded.dtype.type(limit))[0])
            if np.isfinite(neighbour):
                assert missed <= abs(Fraction(neighbour) - Fraction(value))


@given(st.integers(0, 2**16 - 1), st.sampled_from([-1, 1]))
def test_a_hair_beside_the_middle_of_two_bfloat16_goes_to_its_side(bits: int, side: int) -> None:
    low = np.array([bits], np.uint16).view(ml_dtypes.bfloat16)
    high = np.array([bits + 1 & 0x7FFF], np.uint16).view(ml_dtypes.bfloat16)
    one, other = float(low[0]), float(high[0])
    assume(0 < one < other < np.inf)
    middle = (one + other) / 2 * (1 + side * 2.0**-40)

    rounded = FLOATS[BFLOAT].round(np.array([middle]))

    assert float(rounded[0]) == (other if side > 0 else one)


@pytest.mark.parametrize("elem_type", ALL)
def test_half_an_ulp_is_half_the_distance_to_the_next_number(elem_type: int) -> None:
    kind = FLOATS[elem_type]
    values = np.array([1.0, 1.5, -3.0, 0.1, 1000.0])
    stored = kind.round(values)
    away = np.copysign(np.inf, values).astype(kind.dtype)

    halves = kind.half_ulp(stored.astype(float))

    gaps = np.abs(np.nextafter(stored, away).astype(float) - stored.astype(float))
    np.testing.assert_array_equal(halves, gaps / 2)


@pytest.mark.parametrize("elem_type", [FLOAT, HALF, BFLOAT])
def test_below_the_least_normal_the_distance_stays(elem_type: int) -> None:
    kind = FLOATS[elem_type]

    halves = kind.half_ulp(np.array([0.0, kind.tiny / 8, kind.tiny]))

    assert halves[0] == halves[1] == halves[2] == kind.tiny * kind.roundoff


@pytest.mark.parametrize("elem_type", [FLOAT, HALF, BFLOAT])
def test_beyond_the_largest_number_is_infinity(elem_type: int) -> None:
    kind = FLOATS[elem_type]

    rounded = kind.round(np.array([kind.largest, kind.largest * 1.01, -kind.largest * 2]))

    assert rounded.astype(float).tolist() == [kind.largest, np.inf, -np.inf]
