"""Mismatch: what differs between two arrays, counted element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from folding.equivalence.mismatch import mismatch

#: More elements than are looked at at a time.
MANY = 100_000


def test_elements_that_are_off_by_more_than_the_bound_are_counted() -> None:
    one = np.ones(MANY)
    other = one.copy()
    other[[0, MANY - 1]] = 1.5, 3.0
    other[1] = 1 + 1e-4

    assert mismatch(one, other, 1e-3) == (
        "Mismatched elements: 2 / 100000 (0.002%)",
        "Max absolute difference among violations: 2",
        "Max relative difference among violations: 2",
    )
    assert mismatch(one, other, 1e-5)[0].startswith("Mismatched elements: 3 ")


def test_what_is_no_number_differs_from_all_but_itself() -> None:
    one, other = np.array([np.nan, np.inf, 1.0]), np.array([np.nan, np.inf, np.nan])

    count, absolute, _ = mismatch(one, other, 1e-3)

    assert count == "Mismatched elements: 1 / 3 (33.3%)"
    assert absolute.endswith(" inf")


NOTHING: dict[str, tuple[Any, Any]] = {
    "another shape": (np.ones(2), np.ones((2, 1))),
    "texts": (np.array(["a"], object), np.array(["b"], object)),
    "sequences": ([np.ones(2)], [np.zeros(2)]),
    "no elements": (np.ones(0), np.ones(0)),
}


@pytest.mark.parametrize("what", NOTHING)
def test_of_what_are_no_two_arrays_of_numbers_nothing_is_said(what: str) -> None:
    assert mismatch(*NOTHING[what], 1e-3) == ()
