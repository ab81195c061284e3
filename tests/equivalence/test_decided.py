"""Decided: what may become of an index, a flag or a count, and what may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from folding.equivalence.decided import Made, decided, has_numbers, is_float

EXACT = Made(exact=True, alike=False, measured=False)
ALIKE = Made(exact=False, alike=True, measured=True)
OTHER = Made(exact=False, alike=False, measured=False)
BOUND = 2.0**-12


def said(one: Any, other: Any, made: Made, *noisy: Any) -> str:
    return decided(one, other, made, BOUND, lambda: list(noisy))


@pytest.mark.parametrize("made", [EXACT, ALIKE, OTHER])
def test_the_same_is_never_wrong(made: Made) -> None:
    for value in (np.arange(3), np.array([True]), np.array(["a"], object), [np.ones(2)]):
        assert said(value, value, made) == ""


@pytest.mark.parametrize("made", [EXACT, ALIKE])
def test_one_integer_of_many_is_wrong_where_nothing_rounds(made: Made) -> None:
    one = np.full(1000, 10**9)
    other = one.copy()
    other[7] += 1

    assert said(one, other, made).startswith("1 of 1000 elements differ, though ")


def test_floats_may_be_a_rounding_off_even_where_none_is_known() -> None:
    one = np.ones(4)

    assert said(one, one * (1 + 1e-6), EXACT) == ""
    assert said(one, one * (1 + 1e-2), EXACT)


def test_what_noise_changes_may_be_different_and_nothing_else() -> None:
    one = np.zeros(100, np.int64)
    other, noisy = one.copy(), one.copy()
    other[:5] = 10**6

    noisy[:5] = 1
    assert said(one, other, OTHER, noisy) == ""
    assert said(one, other, OTHER, one) == "5 elements differ, which noise does not change"


def test_without_noise_integers_are_held_to_the_bound_and_floats_to_nothing() -> None:
    """Floats behind a decision may be any others."""
    one = np.array([1000, 2000])

    assert said(one, np.add(one, [0, 1]), OTHER) == "1 of 2 elements differ"
    assert said(one * 1000, np.add(one * 1000, [0, 1]), OTHER) == ""
    assert said(one.astype(np.float32), -one.astype(np.float32), OTHER) == ""
    assert said(one, one[:1], OTHER) == "int64 (2,) became int64 (1,)"


NUMBERS: dict[str, tuple[Any, bool, bool]] = {
    "floats": (np.ones(2), True, True),
    "one number among none": (np.array([np.nan, 1.0]), True, True),
    "none": (np.array([np.nan, np.inf]), True, False),
    "no elements": (np.ones((0, 3)), True, False),
    "integers": (np.ones(2, np.int64), False, True),
    "no integers": (np.ones(0, np.int64), False, False),
    "a sequence": ([np.ones(0), np.ones(1)], True, True),
    "an empty sequence": ([], False, False),
    "a map": ({1: 2.0}, False, True),
    "nothing": (None, False, False),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_a_value_is_told_by_what_is_in_it(what: str) -> None:
    value, holds_floats, has_some = NUMBERS[what]

    assert is_float(value) == holds_floats
    assert has_numbers(value) == has_some
