"""RMSNormalization: its scale takes in a scale along an axis that it normalises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, Net
from normed import assert_defined, assert_refused, assert_taken
from onnx import helper
from passing import affine_of, random_affine

from folding.affine import ChannelAffine
from folding.plan import Reason


def net(
    shape: tuple[int, ...], axis: int | None, scale: tuple[int, ...], elem_type: int = DOUBLE
) -> Net:
    made = Net(elem_type, opset=23, ir_version=11)
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    x, weight = made.input(*shape), made.weight(*scale, name="scale")
    made.node("RMSNormalization", x, weight, out="y", epsilon=0.25, **given)
    return made


@pytest.mark.parametrize(
    ("shape", "axis", "scale", "acts"),
    [
        ((2, 3, 5), None, (5,), -1),
        ((2, 3, 5), 2, (5,), -1),
        ((2, 3, 5), -2, (3, 5), -1),
        ((2, 3, 5), 1, (3, 5), -2),
        ((2, 3, 5), 0, (2, 3, 5), -3),
    ],
)
def test_the_scale_takes_in_what_acts_along_an_axis_of_its_own(
    shape: tuple[int, ...], axis: int | None, scale: tuple[int, ...], acts: int
) -> None:
    answer = assert_taken(net(shape, axis, scale), random_affine(shape[acts], acts, shift=False))

    assert set(answer.factors) == {1}


@pytest.mark.parametrize("scale", [(5,), (1, 5), (1,)])
def test_the_scale_grows_along_an_axis_that_it_lacks(scale: tuple[int, ...]) -> None:
    answer = assert_taken(net((2, 3, 5), 1, scale), random_affine(3, -2, shift=False))

    assert set(answer.constants) == {1}


def test_a_scalar_goes_to_every_element() -> None:
    assert_taken(net((2, 3, 5), -1, (5,)), affine_of(-0.5, 0.0, None))


@pytest.mark.parametrize(
    "affine", [random_affine(5, -1), affine_of(1.0, 0.5, None), affine_of([0.0] * 5, [0.5] * 5, -1)]
)
def test_a_shift_is_refused(affine: ChannelAffine) -> None:
    assert_refused(net((2, 3, 5), -1, (5,)), affine, Reason.HAS_NO_BIAS)


def test_an_axis_that_is_not_normalised_is_refused() -> None:
    affine = random_affine(4, -2, shift=False)

    assert_refused(net((2, 4, 4), -1, (4,)), affine, Reason.NOT_OUTPUT_CHANNELS)


def test_an_axis_counted_from_the_left_is_refused_without_a_rank() -> None:
    made = net((2, 4, 5), 1, (5,))
    made.inputs[0].CopyFrom(helper.make_tensor_value_info("x", DOUBLE, None))

    assert_refused(made, random_affine(5, -1, shift=False), Reason.MISSING_AXES)


def test_another_length_than_the_channels_is_refused() -> None:
    made = net((2, 4, 5), 1, (3, 5))

    assert_refused(made, random_affine(4, -2, shift=False), Reason.BAD_LAYER)


def test_a_scale_that_is_computed_at_run_time_is_refused() -> None:
    made = Net(DOUBLE, opset=23, ir_version=11)
    made.node("RMSNormalization", made.input(2, 5), made.input(5, name="scale"), out="y")

    assert_refused(made, random_affine(5, -1, shift=False), Reason.RUNTIME_WEIGHT)


@pytest.mark.parametrize(
    ("axis", "scale"), [(None, (5,)), (1, (3, 5)), (-2, (5,)), (1, (3, 1)), (0, (2, 3, 5))]
)
def test_the_definition_is_that_of_the_runtime(axis: int | None, scale: tuple[int, ...]) -> None:
    assert_defined(net((2, 3, 5), axis, scale, FLOAT))


def test_a_scale_of_another_type_than_the_data_stays_of_that_type() -> None:
    made = net((2, 3, 5), -1, (5,))
    made.stored["scale"] = made.stored["scale"].astype(np.float32)

    assert_taken(made, random_affine(5, -1, shift=False))
