"""Work buffers: pieces that are an array's elements once each, and buffers nobody else has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import prod
from threading import Barrier

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from folding.scratch import ELEMENTS, Scratch, scratch, tiles

SHAPES = [
    (),
    (0,),
    (1,),
    (7,),
    (100,),
    (1, 1, 1),
    (1, 7),
    (1, 100),
    (7, 1),
    (100, 1),
    (3, 0, 5),
    (0, 100),
    (100, 0),
    (2, 3, 5),
    (5, 1, 4, 1),
    (1, 2, 1, 100),
    (100, 2, 1),
    (4, 100, 3),
    (13, 11),
    (2, 2, 2, 2, 2, 2),
]


def assert_covered(dims: tuple[int, ...], most: int) -> None:
    """Every element comes once, in C order, in pieces of the size and place that are said."""
    whole = np.arange(prod(dims)).reshape(dims)
    found, end = [np.empty(0, whole.dtype)], 0
    for start, index, shape in tiles(dims, most):
        piece = whole[index]
        assert start == end
        assert piece.shape == shape
        assert piece.size <= most
        end = start + piece.size
        found.append(piece.reshape(-1))
    np.testing.assert_array_equal(np.concatenate(found), whole.reshape(-1))


@pytest.mark.parametrize("most", [1, 2, 3, 10, 99, 100, 101, 1000])
@pytest.mark.parametrize("dims", SHAPES, ids=str)
def test_pieces_cover_every_element_once_in_order(dims: tuple[int, ...], most: int) -> None:
    """Whatever the dimensions are, and wherever the pieces end in them."""
    assert_covered(dims, most)


@given(st.lists(st.integers(0, 6), max_size=5).map(tuple), st.integers(1, 40))
@example((6, 1, 6), 6)
def test_pieces_of_any_array_cover_it(dims: tuple[int, ...], most: int) -> None:
    """The same for drawn dimensions."""
    assert_covered(dims, most)


@pytest.mark.parametrize(
    ("dims", "count"),
    [
        ((ELEMENTS,), 1),
        ((ELEMENTS + 1,), 2),
        ((1, 3 * ELEMENTS), 3),
        ((3, ELEMENTS), 3),
        ((64, 3, 7, 7), 1),
        ((50_000, 3), 2),
    ],
    ids=str,
)
def test_pieces_are_as_large_as_a_buffer_allows(dims: tuple[int, ...], count: int) -> None:
    """No more pieces than are needed, each of which fits."""
    sizes = [prod(shape) for _, _, shape in tiles(dims)]

    assert len(sizes) == count
    assert sum(sizes) == prod(dims)
    assert max(sizes) <= ELEMENTS


def test_pieces_of_a_huge_array_cost_nothing_in_advance() -> None:
    """They are made one by one."""
    pieces = tiles((1 << 20, 1 << 20), 1 << 17)

    assert next(pieces) == (0, (slice(0, 1), slice(0, 1 << 17)), (1, 1 << 17))


KINDS = [np.float64, np.float32, np.float16, np.int8, np.bool_, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_a_buffer_is_an_array_of_any_type(dtype: npt.DTypeLike) -> None:
    """As many elements as were promised fit, and they are written to the buffer itself."""
    work = Scratch()

    array = work.array(dtype, (2, ELEMENTS // 2))

    assert (array.dtype, array.shape) == (np.dtype(dtype), (2, ELEMENTS // 2))
    assert np.shares_memory(array, work.array(np.uint8, (1,)))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)], ids=str)
def test_a_buffer_is_an_array_of_any_small_shape(shape: tuple[int, ...]) -> None:
    """Scalars and empty arrays as well."""
    assert Scratch().array(np.float32, shape).shape == shape


def test_what_is_too_large_for_a_buffer_gets_memory_of_its_own() -> None:
    """A small tensor's numbers are not cut in pieces, and small is up to a million of them."""
    work = Scratch()

    large = work.array(np.float64, (3, ELEMENTS))

    assert large.shape == (3, ELEMENTS)
    assert not np.shares_memory(large, work.array(np.uint8, (1,)))


def are_apart(buffers: list[Scratch]) -> bool:
    arrays = [buffer.array(np.uint8, (ELEMENTS,)) for buffer in buffers]
    pairs = ((a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    return not any(np.shares_memory(a, b) for a, b in pairs)


def test_buffers_in_nested_blocks_are_different() -> None:
    """Also after the inner block gave its own back."""
    with scratch(2) as outer:
        with scratch(3) as inner:
            assert are_apart([*outer, *inner])
        with scratch(1) as again:
            assert are_apart([*outer, *again])


def test_buffers_are_used_again() -> None:
    """A second block makes no new ones."""
    with scratch(2) as first:
        pass
    with scratch(2) as second:
        assert {id(buffer) for buffer in first} == {id(buffer) for buffer in second}


def test_buffers_come_back_after_an_error() -> None:
    """A block that fails loses none."""
    taken: list[Scratch] = []

    def fail() -> None:
        with scratch(1) as (work,):
            taken.append(work)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with scratch(1) as (again,):
        assert again is taken[0]


def test_buffers_of_threads_are_different() -> None:
    """While eight threads hold theirs at once, none has another's."""
    count, rounds = 8, 50
    together = Barrier(count)
    held: dict[int, list[Scratch]] = {}

    def hold(number: int) -> bool:
        good = True
        for _ in range(rounds):
            with scratch(2) as mine:
                held[number] = mine
                together.wait(10)
                good = good and are_apart([buffer for some in held.values() for buffer in some])
                together.wait(10)
        return good

    with ThreadPoolExecutor(count) as pool:
        assert all(pool.map(hold, range(count)))
