"""Which elements are compared."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from graphs import Array
from hypothesis import given
from hypothesis import strategies as st

from folding.equivalence.sampling import choose


def chosen(shape: tuple[int, ...], axis: int | None, positions: int, seed: int = 0) -> Array:
    return choose(shape, axis, np.random.default_rng(seed), positions)


def rows(coords: Array) -> set[tuple[int, ...]]:
    return {tuple(map(int, row)) for row in coords}


@given(
    st.lists(st.integers(0, 40), max_size=5).map(tuple),
    st.integers(-9, 9),
    st.integers(1, 20),
    st.integers(0, 99),
)
def test_every_channel_is_taken_at_the_same_places(
    shape: tuple[int, ...], number: int, positions: int, seed: int
) -> None:
    """Different ones, all of them inside; no more than were asked for unless that is all."""
    axis = number % (2 * len(shape)) - len(shape) if shape else None

    coords = chosen(shape, axis, positions, seed)

    assert coords.dtype == np.int64
    assert coords.shape[1:] == (len(shape),)
    assert len(rows(coords)) == len(coords)
    assert all(0 <= i < size for row in rows(coords) for i, size in zip(row, shape, strict=True))
    if axis is None or not np.prod(shape):
        assert len(coords) == np.prod(shape)
        return
    at = axis % len(shape)
    places = {(*row[:at], *row[at + 1 :]) for row in rows(coords)}
    assert len(coords) == len(places) * shape[at]
    total = int(np.prod(shape))
    count = total // shape[at]
    assert len(places) == (count if total <= 256 else min(count, positions))


def test_without_an_axis_each_place_is_one_element() -> None:
    """A value may have no channels."""
    assert len(chosen((50, 50), None, 9)) == 9


def test_a_negative_axis_counts_from_the_right() -> None:
    """As affines keep theirs."""
    left, right = chosen((2, 30, 8, 9), 1, 6), chosen((2, 30, 8, 9), -3, 6)

    np.testing.assert_array_equal(left, right)
    assert set(left[:, 1]) == set(range(30))


def test_the_corners_come_first() -> None:
    """Opposite ones before others; padding is seen at them."""
    all_corners = set(product((0, 29), (0, 39)))

    assert {(0, 0), (29, 39)} < rows(chosen((30, 40), None, 4))
    assert all_corners < rows(chosen((30, 40), None, 8))


def test_places_along_the_borders_come_next_and_then_any() -> None:
    """A window at a border lacks other taps than one in a corner."""
    inside = borders = 0
    for row, column in rows(chosen((100, 100), None, 24)):
        count = (row in (0, 99)) + (column in (0, 99))
        borders += count == 1
        inside += count == 0

    assert borders >= 8
    assert inside >= 6


def test_a_small_tensor_is_taken_as_a_whole() -> None:
    """However few places were asked for."""
    assert len(chosen((4, 8, 8), 0, 1)) == 256
    assert len(chosen((4, 8, 9), 0, 1)) == 4


@pytest.mark.parametrize("shape", [(2,) * 30, (1 << 20, 8, 1 << 20)])
def test_huge_tensors_have_few_places_too(shape: tuple[int, ...]) -> None:
    """Neither all corners nor all places are ever written down."""
    assert len(chosen(shape, 1, 7)) == 7 * shape[1]


def test_the_same_seed_chooses_the_same_places() -> None:
    """And another one others."""
    shape = (1, 5, 40, 40)

    np.testing.assert_array_equal(chosen(shape, 1, 20, 3), chosen(shape, 1, 20, 3))
    assert rows(chosen(shape, 1, 20, 3)) != rows(chosen(shape, 1, 20, 4))


@pytest.mark.parametrize("positions", [4, 16, 17])
def test_corners_do_not_take_all_places(positions: int) -> None:
    """With five axes there are sixteen, and all of them may be padding."""
    coords = chosen((2, 3, 4, 4, 4), 1, positions)

    inner = (coords[:, 2:] > 0) & (coords[:, 2:] < 3)
    assert inner.any(1).any()
