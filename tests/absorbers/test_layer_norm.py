"""LayerNormalization: its Scale and B take in what acts along an axis that it normalises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, INT64, Net
from normed import assert_defined, assert_refused, assert_taken
from onnx import helper
from passing import affine_of, random_affine

from folding.plan import Reason

# The shape of x, ``axis``, the shapes of Scale and B (None where it is absent), the affine's axis.
FITTING = [
    ((2, 3, 5), -1, (5,), (5,), -1),
    ((2, 3, 5), 2, (5,), (5,), -1),
    ((2, 3, 5), -2, (3, 5), (3, 5), -1),
    ((2, 3, 5), -2, (3, 5), (3, 5), -2),
    ((2, 3, 5), 1, (3, 5), None, -2),
    ((2, 3, 5, 5), 1, (3, 5, 5), (3, 5, 5), -3),
    ((2, 3, 5, 5), 1, (3, 1, 1), (3, 1, 1), -3),
    ((2, 3, 5), 0, (2, 3, 5), (2, 3, 5), -3),
    ((2, 3, 5), -1, (2, 3, 5), (5,), -1),
    ((5,), 0, (5,), (5,), -1),
]
GROWING = [
    ((2, 3, 5), -2, (5,), (5,), -2),
    ((2, 3, 5), 1, (1, 5), (1, 5), -2),
    ((2, 3, 5), 1, (3, 1), (3, 1), -1),
    ((2, 3, 5), -1, (1,), (1,), -1),
    ((2, 3, 4, 5), 1, (5,), (4, 5), -3),
    ((2, 3, 4, 5), 1, (1,), None, -3),
]


NOT_NORMALISED = Reason.NOT_OUTPUT_CHANNELS


def net(
    shape: tuple[int | str, ...],
    axis: int | None,
    scale: tuple[int, ...],
    bias: tuple[int, ...] | None,
    *,
    elem_type: int = DOUBLE,
    outputs: str = "y",
) -> Net:
    made = Net(elem_type)
    inputs = [made.input(*shape), made.weight(*scale, name="scale")]
    inputs += [made.weight(*bias, name="bias")] if bias is not None else []
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    made.node("LayerNormalization", *inputs, out=outputs, epsilon=0.25, **given)
    return made


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize(("shape", "axis", "scale", "bias", "acts"), FITTING)
def test_scale_and_b_take_in_what_acts_along_an_axis_of_theirs(
    shape: tuple[int, ...],
    axis: int,
    scale: tuple[int, ...],
    bias: tuple[int, ...] | None,
    acts: int,
    *,
    shift: bool,
) -> None:
    affine = random_affine(shape[acts], acts, shift=shift)

    answer = assert_taken(net(shape, axis, scale, bias), affine)

    assert set(answer.factors) == {1}
    assert set(answer.constants) == ({2} if shift or bias else set())


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize(("shape", "axis", "scale", "bias", "acts"), GROWING)
def test_scale_and_b_grow_along_an_axis_that_they_lack(
    shape: tuple[int, ...],
    axis: int,
    scale: tuple[int, ...],
    bias: tuple[int, ...] | None,
    acts: int,
    *,
    shift: bool,
) -> None:
    affine = random_affine(shape[acts], acts, shift=shift)

    answer = assert_taken(net(shape, axis, scale, bias), affine)

    assert not answer.factors
    assert set(answer.constants) == ({1, 2} if shift or bias else {1})


@pytest.mark.parametrize("bias", [(3, 5), (5,), None])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_a_scalar_goes_to_every_element(bias: tuple[int, ...] | None, shift: float) -> None:
    answer = assert_taken(net((2, 3, 5), 1, (3, 5), bias), affine_of(-0.5, shift, None))

    assert set(answer.factors) == {1}
    assert set(answer.constants) == ({2} if bias or shift else set())


def test_a_b_without_axes_stays_without_for_a_scalar() -> None:
    answer = assert_taken(net((2, 3, 5), -1, (5,), ()), affine_of(-0.5, 1.5, None))

    assert answer.constants[2].shape == ()


def test_the_last_axis_is_normalised_by_default_and_a_scale_may_be_zero() -> None:
    affine = affine_of(np.array([0.0, -1.0, 2.0]), np.array([1.0, 0.0, -3.0]), -1)

    assert_taken(net((2, 4, 3), None, (3,), (3,)), affine)
    assert_refused(net((2, 3, 3), None, (3,), (3,)), random_affine(3, -2), NOT_NORMALISED)


def test_a_new_b_has_the_shape_of_scale() -> None:
    answer = assert_taken(net((2, 3, 5), 1, (3, 5), None), random_affine(3, -2))

    assert answer.constants[2].shape == (3, 5)


def test_one_that_is_empty_is_no_b() -> None:
    made = net((2, 3, 5), 1, (3, 5), None)
    made.nodes[-1].input.append("")

    assert_taken(made, random_affine(5, -1))


def test_mean_and_deviation_may_be_read_and_stay() -> None:
    assert_taken(net((2, 3, 5), -1, (5,), (5,), outputs="y,mean,inverse"), random_affine(5, -1))


@pytest.mark.parametrize(("axis", "acts"), [(-1, -2), (2, -2), (-2, -3), (1, -3)])
def test_an_axis_that_is_not_normalised_is_refused(axis: int, acts: int) -> None:
    made = net((4, 4, 4), axis, (4,), (4,))

    assert_refused(made, random_affine(4, acts), NOT_NORMALISED)


def test_an_axis_counted_from_the_left_is_refused_without_a_rank() -> None:
    made = net((2, 4, 5), 1, (5,), (5,))
    made.inputs[0].CopyFrom(helper.make_tensor_value_info("x", DOUBLE, None))

    assert_refused(made, random_affine(5, -1), Reason.MISSING_AXES)


def test_an_axis_counted_from_the_right_needs_no_rank() -> None:
    made = net((2, 4, 5), -2, (4, 5), (4, 5))
    made.inputs[0].CopyFrom(helper.make_tensor_value_info("x", DOUBLE, None))
    feed = {"x": np.random.default_rng(0).standard_normal((2, 4, 5))}

    assert_taken(made, random_affine(4, -2), feed=feed)
    assert_refused(made, random_affine(2, -3), NOT_NORMALISED)


@pytest.mark.parametrize(
    ("scale", "bias"), [((3, 5), (4, 5)), ((4, 5), (3, 5)), ((2, 5), None), ((4, 5), (2, 1))]
)
def test_other_lengths_than_the_channels_are_refused(
    scale: tuple[int, ...], bias: tuple[int, ...] | None
) -> None:
    made = net(("a", "b", 5), 1, scale, bias)

    assert_refused(made, random_affine(4, -2), Reason.BAD_LAYER)


def test_a_scale_without_axes_is_refused() -> None:
    assert_refused(net((2, 5), -1, (), (5,)), affine_of(2.0, 0.0, None), Reason.UNUSUAL_FORM)


def test_a_scale_that_is_computed_at_run_time_is_refused() -> None:
    made = Net(DOUBLE)
    made.node("LayerNormalization", made.input(2, 5), made.input(5, name="scale"), out="y")

    assert_refused(made, random_affine(5, -1), Reason.RUNTIME_WEIGHT)


def test_a_scale_of_integers_is_refused() -> None:
    made = Net(DOUBLE)
    scale = made.weight(5, name="scale", elem_type=INT64)
    made.node("LayerNormalization", made.input(2, 5), scale, out="y")

    assert_refused(made, random_affine(5, -1), Reason.WEIGHT_TYPE, at="scale")


@pytest.mark.parametrize("shift", [True, False])
def test_a_b_that_is_computed_at_run_time_is_refused(*, shift: bool) -> None:
    made = Net(DOUBLE)
    x, bias = made.input(2, 5), made.input(5, name="bias")
    made.node("LayerNormalization", x, made.weight(5), bias, out="y")

    assert_refused(made, random_affine(5, -1, shift=shift), Reason.RUNTIME_BIAS)


def test_a_scale_that_is_not_finite_does_not_grow() -> None:
    made = net((2, 3, 5), 1, (5,), (5,))
    made.stored["scale"][1] = np.inf

    assert_refused(made, random_affine(3, -2), Reason.NOT_FINITE, at="scale")


@pytest.mark.parametrize(
    ("shape", "axis", "scale", "bias"),
    [
        ((2, 3, 5), -1, (5,), (5,)),
        ((2, 3, 5), 1, (3, 5), None),
        ((2, 3, 5), 1, (3, 1), (3, 5)),
        ((2, 3, 5), -2, (5,), (1, 5)),
    ],
)
def test_the_definition_is_that_of_the_runtime(
    shape: tuple[int, ...], axis: int, scale: tuple[int, ...], bias: tuple[int, ...] | None
) -> None:
    outputs = "y,mean,inverse"
    assert_defined(net(shape, axis, scale, bias, elem_type=FLOAT, outputs=outputs))
