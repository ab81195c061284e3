"""InstanceNormalization: its scale and B take in what acts along axis 1."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, Net
from normed import assert_defined, assert_refused, assert_taken
from onnx import helper
from passing import affine_of, random_affine

from folding.plan import Reason

SHAPES = [(2, 4, 5), (2, 4, 3, 5), (2, 4, 3, 2, 2), (1, 4, 7)]


def net(
    shape: tuple[int | str, ...],
    opset: int = 17,
    *,
    scale: tuple[int, ...] = (4,),
    bias: tuple[int, ...] = (4,),
    elem_type: int = DOUBLE,
) -> Net:
    made = Net(elem_type, opset=opset, ir_version=10)
    inputs = [made.input(*shape), made.weight(*scale), made.weight(*bias)]
    made.node("InstanceNormalization", *inputs, out="y", epsilon=0.25)
    return made


@pytest.mark.parametrize("opset", [6, 17, 22])
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_scale_and_b_take_in_what_acts_along_the_channels(
    shape: tuple[int, ...], opset: int, *, shift: bool
) -> None:
    affine = random_affine(4, 1 - len(shape), shift=shift)

    answer = assert_taken(net(shape, opset), affine)

    assert (set(answer.factors), set(answer.constants)) == ({1}, {2})


def test_a_scale_of_zero() -> None:
    affine = affine_of(np.array([0.0, -1.0, 2.0, 0.5]), np.array([1.0, 0.0, -3.0, 0.5]), -2)

    assert_taken(net((2, 4, 5)), affine)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_a_scalar_goes_to_every_channel(shift: float) -> None:
    made = net((2, 4, 5))
    made.inputs[0].CopyFrom(helper.make_tensor_value_info("x", DOUBLE, None))
    feed = {"x": np.random.default_rng(0).standard_normal((2, 4, 5))}

    assert_taken(made, affine_of(-0.5, shift, None), feed=feed)


@pytest.mark.parametrize("acts", [-1, -2, -4])
def test_another_axis_is_refused(acts: int) -> None:
    assert_refused(net((4, 4, 4, 4)), random_affine(4, acts), Reason.NOT_OUTPUT_CHANNELS)


def test_an_unknown_rank_is_refused() -> None:
    made = net((2, 4, 5))
    made.inputs[0].CopyFrom(helper.make_tensor_value_info("x", DOUBLE, None))

    assert_refused(made, random_affine(4, -2), Reason.MISSING_AXES)


@pytest.mark.parametrize(
    ("scale", "bias"),
    [((3,), (3,)), ((4,), (3,)), ((4,), (1,)), ((4,), (1, 4)), ((4, 1), (4, 1)), ((), ())],
)
def test_parameters_of_other_shapes_are_refused(
    scale: tuple[int, ...], bias: tuple[int, ...]
) -> None:
    made = net(("n", "c", 5), scale=scale, bias=bias)

    assert_refused(made, random_affine(4, -2), Reason.BAD_LAYER)


@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_b_is_refused(*, empty: bool) -> None:
    made = net((2, 4, 5))
    if empty:
        made.nodes[-1].input[2] = ""
    else:
        made.nodes[-1].input.pop()

    assert_refused(made, random_affine(4, -2), Reason.BAD_LAYER)


@pytest.mark.parametrize(("slot", "reason"), [(1, Reason.RUNTIME_WEIGHT), (2, Reason.RUNTIME_BIAS)])
def test_parameters_computed_at_run_time_are_refused(slot: int, reason: Reason) -> None:
    made = net((2, 4, 5))
    made.nodes[-1].input[slot] = made.input(4, name="given")

    assert_refused(made, random_affine(4, -2, shift=False), reason)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_definition_is_that_of_the_runtime(shape: tuple[int, ...]) -> None:
    assert_defined(net(shape, elem_type=FLOAT))
