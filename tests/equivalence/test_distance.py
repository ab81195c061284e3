"""Distance: the root mean square of all differences, wherever in an output they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from folding.equivalence.distance import distance

#: Several of the pieces that are compared at a time, and a part of one.
MANY = 100_001


def test_it_is_the_root_mean_square_relative_to_what_was_expected() -> None:
    rng = np.random.default_rng(1)
    one, other = (rng.normal(size=(11, MANY // 11)).astype(np.float32) for _ in range(2))
    exact = np.sqrt(np.mean((one.astype(float) - other) ** 2) / np.mean(one.astype(float) ** 2))

    assert distance(one, other) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("place", [0, 1 << 15, MANY - 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_number_that_is_none_is_seen_wherever_it_is(place: int, value: float) -> None:
    one, other = np.ones(MANY), np.ones(MANY)
    other[place] = value

    assert distance(one, other) == "NaN or Inf elsewhere"


def test_the_largest_number_of_all_scales_every_piece() -> None:
    one, other = np.full(MANY, 1e200), np.full(MANY, 1e200)
    one[-1] = other[-1] = 1e308
    other[0] = 3e200

    assert distance(one, other) == pytest.approx(2e200 / np.hypot(1e308, 1e200 * MANY**0.5))


def test_zeros_are_as_far_from_others_as_those_are_large() -> None:
    assert distance(np.zeros(4), np.full(4, 1e-3)) == pytest.approx(1e-3)


UNLIKE: dict[str, tuple[Any, Any]] = {
    "one element more": ([np.ones(2)], [np.ones(2), np.ones(2)]),
    "another shape in a sequence": ([np.ones(2), np.ones(3)], [np.ones(2), np.ones(4)]),
    "another value in a map": ({"a": 1.0}, {"a": 2.0}),
    "something instead of nothing": (None, np.ones(2)),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_what_no_number_measures_is_said_in_words(what: str) -> None:
    one, other = UNLIKE[what]

    assert isinstance(distance(one, other), str)
    assert distance(one, one) == 0.0


def test_a_sequence_is_as_far_as_its_farthest_element() -> None:
    one = [np.ones(4), np.ones(4)]

    assert distance(one, [np.ones(4), np.full(4, 1.5)]) == pytest.approx(0.5)


def test_a_channel_is_as_far_as_it_is_large_but_no_less_than_a_part_of_the_whole() -> None:
    one = np.ones((2, 4, 3))
    one[:, 0] = 0.5
    one[:, 1] = 1e-6
    other = one.copy()
    other[:, 0] += 0.05

    assert distance(one, other, by_channel=True) == pytest.approx(0.1)
    assert distance(one, other) == pytest.approx(0.05 * np.sqrt(6 / np.sum(one**2)))
    other = one.copy()
    other[:, 1] *= -1
    size = np.sqrt(np.mean(one**2)) / 64
    assert distance(one, other, by_channel=True) == pytest.approx(2e-6 / size)


def test_numbers_of_a_channel_that_are_none_are_left_out() -> None:
    one = np.ones((2, 3))
    one[:, 1] = np.nan

    assert distance(one, one.copy(), by_channel=True) == 0.0


def test_integers_that_float64_cannot_tell_apart_still_differ() -> None:
    one = np.array([2**62])

    assert distance(one, one + 1) != 0.0
    assert distance(np.array([3]), np.array([6])) == pytest.approx(1.0)
