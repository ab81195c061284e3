"""Gather from a constant table: the table takes in what acts along an axis of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, INT64, Feed, Net
from normed import assert_defined, assert_refused, assert_taken
from onnx import TensorProto, helper
from passing import affine_of, random_affine

from folding.plan import Reason

# The table, ``axis`` (None: by default), the indices, and the affine's axis behind them.
TABLES = [
    ((7, 5), None, (2, 3), -1),
    ((7, 5), 0, (), -1),
    ((7, 5), 0, (4,), -1),
    ((7, 5), -2, (2, 3), -1),
    ((5, 7), 1, (2, 3), -3),
    ((5, 7), -1, (2,), -2),
    ((5, 7), 1, (), -1),
    ((5, 7), 1, (2, 1, 3), -4),
    ((7, 3, 5), 0, (2, 2), -2),
    ((3, 7, 5), 1, (2, 2), -4),
    ((3, 7, 5), 1, (2,), -1),
    ((3, 7, 5), -2, (), -2),
]


def net(
    table: tuple[int, ...],
    axis: int | None,
    indices: tuple[int | str, ...],
    *,
    elem_type: int = DOUBLE,
    opset: int = 17,
    index_type: int = INT64,
) -> Net:
    made = Net(elem_type, opset=opset)
    stored = made.weight(*table, name="table")
    i = made.input(*indices, name="i", elem_type=index_type)
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    made.node("Gather", stored, i, out="y", **given)
    return made


def feed_of(length: int, indices: tuple[int, ...], dtype: type = np.int64) -> Feed:
    """Indices of both signs."""
    return {"i": np.random.default_rng(1).integers(-length, length, indices).astype(dtype)}


def without_rank(made: Net) -> Net:
    made.inputs[0].CopyFrom(helper.make_tensor_value_info("i", INT64, None))
    return made


@pytest.mark.parametrize("opset", [10, 17])
@pytest.mark.parametrize(("table", "axis", "indices", "acts"), TABLES)
@pytest.mark.parametrize("shift", [True, False])
def test_the_table_takes_in_what_acts_along_an_axis_of_its_own(
    table: tuple[int, ...],
    axis: int | None,
    indices: tuple[int, ...],
    acts: int,
    opset: int,
    *,
    shift: bool,
) -> None:
    made = net(table, axis, indices, opset=opset)
    out = [*table]
    out[axis or 0 : ((axis or 0) + 1) or None] = indices
    affine = random_affine(out[acts], acts, shift=shift)

    answer = assert_taken(made, affine, feed=feed_of(table[axis or 0], indices))

    assert (set(answer.factors), set(answer.constants)) == ((set(), {0}) if shift else ({0}, set()))


@pytest.mark.parametrize(("table", "axis", "indices", "acts"), TABLES)
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_a_scalar_goes_to_every_element(
    table: tuple[int, ...], axis: int | None, indices: tuple[int, ...], acts: int, shift: float
) -> None:
    feed = feed_of(table[axis or 0], indices)

    assert_taken(net(table, axis, indices), affine_of(-0.5, shift, None), feed=feed)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_a_scalar_goes_to_a_table_of_one_axis(shift: float) -> None:
    assert_taken(net((7,), 0, (2, 3)), affine_of(-0.5, shift, None), feed=feed_of(7, (2, 3)))


def test_indices_may_be_of_32_bits_and_the_scale_zero() -> None:
    made = net((7, 3), 0, (4,), index_type=TensorProto.INT32)
    affine = affine_of(np.array([0.0, -2.0, 1.0]), np.array([1.0, 0.0, 0.5]), -1)

    assert_taken(made, affine, feed=feed_of(7, (4,), np.int32))


def test_an_axis_on_the_right_needs_no_rank_of_the_indices() -> None:
    made = without_rank(net((7, 5), 0, (2, 3)))

    assert_taken(made, random_affine(5, -1), feed=feed_of(7, (2, 3)))


@pytest.mark.parametrize("acts", [-1, -2, -3, -4])
def test_an_axis_on_the_left_is_refused_without_the_rank_of_the_indices(acts: int) -> None:
    made = without_rank(net((5, 5), 1, (2, 5)))

    assert_refused(made, random_affine(5, acts), Reason.MISSING_AXES)


@pytest.mark.parametrize(
    ("axis", "acts"),
    [(0, -2), (0, -3), (1, -1), (1, -2), (0, -4), (1, -4)],
)
def test_an_axis_of_the_indices_or_of_nothing_is_refused(axis: int, acts: int) -> None:
    made = net((5, 5), axis, (5, 5))

    assert_refused(made, random_affine(5, acts), Reason.NOT_OUTPUT_CHANNELS)


def test_other_channels_than_those_of_the_table_are_refused() -> None:
    assert_refused(net((7, 5), 0, (2,)), random_affine(4, -1), Reason.BAD_LAYER)


def test_a_table_without_axes_is_refused() -> None:
    assert_refused(net((), 0, (2,)), affine_of(2.0, 0.0, None), Reason.BAD_LAYER)


def test_a_large_table_takes_in_a_scale_alone() -> None:
    small, large = net((1 << 18, 4), 0, (2,)), net((1 << 18, 5), 0, (2,))
    feed = feed_of(1 << 18, (2,))

    assert_taken(small, random_affine(4, -1), feed=feed)
    assert_taken(large, random_affine(5, -1, shift=False), feed=feed)
    assert_refused(large, random_affine(5, -1), Reason.HAS_NO_BIAS)


def test_a_table_that_is_given_at_run_time_is_refused() -> None:
    made = Net(DOUBLE)
    table, indices = made.input(7, 5), made.input(2, name="i", elem_type=INT64)
    made.node("Gather", table, indices, out="y")

    assert_refused(made, random_affine(5, -1), Reason.RUNTIME_WEIGHT)


def test_a_table_of_integers_is_refused() -> None:
    made = Net(DOUBLE)
    table = made.weight(7, 5, name="table", elem_type=INT64)
    made.node("Gather", table, made.input(2, name="i", elem_type=INT64), out="y")

    assert_refused(made, random_affine(5, -1), Reason.WEIGHT_TYPE, at="table")


def test_a_table_that_is_not_finite_takes_in_no_shift() -> None:
    made = net((7, 5), 0, (2,))
    made.stored["table"][1, 1] = np.inf

    assert_refused(made, random_affine(5, -1), Reason.NOT_FINITE, at="table")


@pytest.mark.parametrize(("table", "axis", "indices", "acts"), TABLES)
def test_the_definition_is_that_of_the_runtime(
    table: tuple[int, ...], axis: int | None, indices: tuple[int, ...], acts: int
) -> None:
    assert_defined(net(table, axis, indices, elem_type=FLOAT), feed_of(table[axis or 0], indices))
