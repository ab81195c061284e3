"""Double-double numbers are right to 100 bits, and know how wrong a rougher tool may be."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from operator import add, mul, sub, truediv
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from folding.doubled import Doubled

MODERATE = st.floats(-1e60, 1e60, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-60)
OPERATIONS: list[Callable[[Any, Any], Any]] = [add, sub, mul, truediv]
PRECISION = Fraction(1, 2**100)


def exact(value: Doubled) -> Fraction:
    return Fraction(float(value.high)) + Fraction(float(value.low))


@pytest.mark.parametrize("operation", OPERATIONS)
@given(MODERATE, MODERATE, MODERATE, MODERATE)
def test_arithmetic_is_right_to_100_bits(
    operation: Callable[[Any, Any], Any], a: float, b: float, c: float, d: float
) -> None:
    one = Doubled.exact(a) + Doubled.exact(b * 2.0**-54)
    other = Doubled.exact(c) + Doubled.exact(d * 2.0**-54)
    assume(operation is not truediv or exact(other) != 0)
    terms = abs(exact(one)) + abs(exact(other))

    result = operation(one, other)

    truth = operation(exact(one), exact(other))
    scale = terms if operation in (add, sub) else abs(truth)
    assert abs(exact(result) - truth) <= PRECISION * scale


@given(MODERATE, MODERATE)
def test_a_sum_of_two_stored_numbers_is_exact(a: float, b: float) -> None:
    result = Doubled.exact(a) + Doubled.exact(b)

    assert exact(result) == Fraction(a) + Fraction(b)


@given(st.floats(1e-60, 1e60))
def test_a_square_root_is_right_to_100_bits(a: float) -> None:
    root = Doubled.exact(a).sqrt()

    digits = isqrt(int(Fraction(a) * 2**1000))
    truth = Fraction(digits, 2**500)
    assert abs(exact(root) - truth) <= PRECISION * truth


@given(MODERATE, MODERATE)
def test_the_high_part_is_the_nearest_float64(a: float, b: float) -> None:
    product = Doubled.exact(a) * Doubled.exact(b)

    assert float(product.high) == float(Fraction(a) * Fraction(b))


def test_the_magnitude_of_a_difference_is_the_sum_of_the_magnitudes() -> None:
    difference = Doubled.exact(1e8) - Doubled.exact(1e8 - 1)

    assert float(difference.high) == 1
    assert float(difference.magnitude) == 2e8 - 1


def test_the_magnitude_passes_through_products_quotients_and_roots() -> None:
    one = Doubled.exact(3.0) - Doubled.exact(2.0)

    assert float((one * Doubled.exact(-2.0)).magnitude) == 10
    assert float((one / Doubled.exact(-2.0)).magnitude) == 2.5
    assert float((Doubled.exact(1.0) / one).magnitude) == 5
    assert float(one.sqrt().magnitude) == 5


def test_overflow_stays_infinite_and_never_becomes_a_number() -> None:
    huge = Doubled.exact(1e300)

    assert not (huge * huge).is_finite()
    assert not (huge / Doubled.exact(0.0)).is_finite()
    assert not Doubled.exact(np.nan).is_finite()


def test_numbers_near_the_limit_of_float64_multiply() -> None:
    product = Doubled.exact(1e300) * Doubled.exact(1e5)

    assert float(product.high) == 1e300 * 1e5


def test_zero_over_a_number_and_the_root_of_zero_are_zero() -> None:
    zero = Doubled.exact(0.0)

    assert (zero / Doubled.exact(3.0)).equals(0)
    assert zero.sqrt().equals(0)


def test_equals_asks_for_every_element_and_both_halves() -> None:
    near = Doubled.exact([1.0, 1.0]) + Doubled.exact([0.0, 2.0**-80])

    assert Doubled.exact([1.0, 1.0]).equals(1)
    assert not Doubled.exact([1.0, 2.0]).equals(1)
    assert not near.equals(1)


def test_a_product_of_scales_is_not_known_below_what_float64_holds() -> None:
    """What stands behind it may be as large; but 0 is 0."""
    product = Doubled.exact([1e-200, 1e-200, 0.0, 1e-200]).scaled(
        Doubled.exact([1e-200, 1e-100, 1e-200, 0.0])
    )

    np.testing.assert_array_equal(product.high, [np.nan, 1e-300, 0.0, 0.0])
