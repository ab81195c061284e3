"""Made-up numbers: each kind is what it says, the same for the same seed, in every type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from folding.equivalence.kinds import KINDS, Kind, floats
from folding.floats import FLOATS

FLOAT = TensorProto.FLOAT
PICTURE = (2, 3, 8, 8)
SMALL = (
    *(TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2),
    *(TensorProto.FLOAT8E5M2FNUZ, TensorProto.FLOAT8E8M0, TensorProto.FLOAT4E2M1),
    *(TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2),
)


def drawn(
    *kinds: Kind, shape: tuple[int, ...] = PICTURE, seed: int = 0, place: int = 0, of: int = FLOAT
) -> Any:
    """Numbers of some kinds, as float64 where they are not."""
    dtype = helper.tensor_dtype_to_np_dtype(of)
    array = floats(kinds, seed, place, shape, dtype, of)
    assert array.dtype == dtype
    assert array.shape == shape
    return array.astype(np.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("elem_type", FLOATS)
def test_every_kind_is_finite_in_every_type(kind: Kind, elem_type: int) -> None:
    assert np.isfinite(drawn(kind, of=elem_type)).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Kind.ZEROS])
def test_a_seed_gives_the_same_numbers_and_another_one_others(kind: Kind) -> None:
    one, same, other = drawn(kind), drawn(kind), drawn(kind, seed=1)

    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert (one != drawn(kind, place=1)).any()


def test_normal_numbers_have_mean_0_and_deviation_1() -> None:
    numbers = drawn(Kind.NORMAL, shape=(100, 1000))

    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02


def test_uniform_numbers_lie_between_0_and_1() -> None:
    numbers = drawn(Kind.UNIFORM, shape=(100, 1000))

    assert numbers.min() >= 0
    assert numbers.max() <= 1
    assert abs(numbers.mean() - 0.5) < 0.01


def test_zeros_are_zeros() -> None:
    assert not drawn(Kind.ZEROS).any()


@pytest.mark.parametrize(
    ("elem_type", "scale"),
    [
        *((FLOAT, 2.0**42), (TensorProto.FLOAT16, 32.0)),
        *((TensorProto.DOUBLE, 2.0**341), (TensorProto.BFLOAT16, 2.0**42)),
    ],
)
def test_large_numbers_leave_layers_room_to_enlarge_them(elem_type: int, scale: float) -> None:
    numbers = drawn(Kind.LARGE, shape=(10, 100), of=elem_type)

    assert 0.9 < (numbers / scale).std() < 1.1
    assert np.abs(numbers).max() < FLOATS[elem_type].largest / 256


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_numbers_can_be_squared_and_added_up(dtype: Any) -> None:
    elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    numbers = drawn(Kind.LARGE, shape=(1000, 1000), of=elem_type).astype(dtype)

    assert np.isfinite(np.sum(numbers**2, dtype=dtype))


@pytest.mark.parametrize("elem_type", FLOATS)
def test_tiny_numbers_are_on_both_sides_of_the_least_normal_one(elem_type: int) -> None:
    numbers, least = np.abs(drawn(Kind.TINY, shape=(10, 100), of=elem_type)), FLOATS[elem_type].tiny

    assert 0.2 < np.mean(numbers < least) < 0.8
    assert numbers.max() < 8 * least
    assert np.mean(numbers > 0) > 0.9


@pytest.mark.parametrize("shape", [PICTURE, (2, 8, 8, 3), (1, 16, 19), (1, 4, 5, 6, 7)])
def test_every_index_of_every_axis_has_an_impulse(shape: tuple[int, ...]) -> None:
    found = drawn(Kind.IMPULSES, shape=shape) != 0

    for axis in range(1, len(shape)):
        others = tuple(other for other in range(len(shape)) if other != axis)
        assert found.any(axis=others).all()


def test_impulses_are_few_and_of_size_1() -> None:
    numbers = drawn(Kind.IMPULSES)

    assert set(np.unique(numbers)) == {-1.0, 0.0, 1.0}
    assert np.mean(numbers != 0) <= 1 / 8


def test_impulses_are_at_corners() -> None:
    found = drawn(Kind.IMPULSES, shape=(1, 64, 9, 9))[0] != 0

    assert all(found[:, row, column].any() for row in (0, 8) for column in (0, 8))
    assert found[:, 1:8, 1:8].any()


def test_impulses_of_vectors_have_every_place_over_the_seeds() -> None:
    found = [drawn(Kind.IMPULSES, shape=(2, 64), seed=seed) != 0 for seed in range(4)]

    assert all(one.sum(axis=1).max() <= 8 for one in found)
    assert np.any(found, axis=(0, 1)).all()


@pytest.mark.parametrize("shape", [(), (5,)])
def test_an_impulse_without_room_is_1(shape: tuple[int, ...]) -> None:
    assert (drawn(Kind.IMPULSES, shape=shape) == 1).all()


def test_entries_of_a_batch_take_the_kinds_in_turn() -> None:
    numbers = drawn(Kind.ZEROS, Kind.LARGE, Kind.TINY, shape=(5, 2, 50))

    sizes = np.abs(numbers).max(axis=(1, 2))
    assert sizes[0] == sizes[3] == 0
    assert min(sizes[1], sizes[4]) > 2.0**42
    assert 0 < sizes[2] < 2.0**-120


def test_impulses_beside_other_kinds_still_reach_every_channel() -> None:
    numbers = drawn(*KINDS, shape=(6, 16, 8, 8))[KINDS.index(Kind.IMPULSES)]

    assert (numbers != 0).any(axis=(1, 2)).all()


@pytest.mark.parametrize("kinds", [(Kind.NORMAL,), (Kind.NORMAL, Kind.UNIFORM)])
@pytest.mark.parametrize("shape", [(2, 70_000), (70_000, 2), (), (3,), (1, 1)])
def test_every_number_is_drawn_whatever_the_pieces(
    kinds: tuple[Kind, ...], shape: tuple[int, ...]
) -> None:
    numbers = drawn(*kinds, shape=shape)

    assert (numbers != 0).all()
    assert len(np.unique(numbers)) > 0.99 * numbers.size


@pytest.mark.parametrize("elem_type", SMALL)
@pytest.mark.parametrize("kind", KINDS)
def test_types_of_a_few_bits_get_0_and_1(elem_type: int, kind: Kind) -> None:
    numbers = drawn(kind, shape=(4, 50), of=elem_type)

    allowed = {1.0} if elem_type == TensorProto.FLOAT8E8M0 else {-1.0, 0.0, 1.0}
    assert set(np.unique(numbers)) <= allowed
    assert numbers.any()
