"""GroupNormalization: its scale and bias, by channel since opset 21 and by group before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, Net
from normed import assert_defined, assert_refused, assert_taken
from onnx import helper
from passing import affine_of, random_affine

from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.plan import Reason

BY_GROUP, BY_CHANNEL = (18, 20), (21, 22)


def net(
    shape: tuple[int | str, ...] = (2, 6, 5),
    opset: int = 21,
    groups: int = 3,
    *,
    size: int | None = None,
    elem_type: int = DOUBLE,
) -> Net:
    """Six channels, unless ``size`` says how many parameters there are."""
    made = Net(elem_type, opset=opset, ir_version=10)
    size = size or (6 if opset >= 21 else groups)
    inputs = [made.input(*shape), made.weight(size), made.weight(size)]
    made.node("GroupNormalization", *inputs, out="y", num_groups=groups, epsilon=0.25)
    return made


def uniform(groups: int, axis: int, *, shift: bool = True) -> ChannelAffine:
    """An affine of six channels with the same numbers throughout each group."""
    affine = random_affine(groups, axis, shift=shift)
    return affine.of_channels(np.repeat(np.arange(groups), 6 // groups), axis)


@pytest.mark.parametrize("opset", BY_CHANNEL)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 3, 2)])
def test_by_channel_any_affine_along_the_channels_is_taken(
    shape: tuple[int, ...], groups: int, opset: int
) -> None:
    answer = assert_taken(net(shape, opset, groups), random_affine(6, 1 - len(shape)))

    assert (set(answer.factors), set(answer.constants)) == ({1}, {2})


@pytest.mark.parametrize("opset", BY_GROUP)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 3, 2)])
@pytest.mark.parametrize("shift", [True, False])
def test_by_group_an_affine_that_is_uniform_in_each_is_taken(
    shape: tuple[int, ...], groups: int, opset: int, *, shift: bool
) -> None:
    answer = assert_taken(net(shape, opset, groups), uniform(groups, 1 - len(shape), shift=shift))

    assert answer.constants[2].shape == (groups,)


@pytest.mark.parametrize("opset", [*BY_GROUP, *BY_CHANNEL])
def test_a_scalar_goes_to_every_channel(opset: int) -> None:
    assert_taken(net(opset=opset), affine_of(-0.5, 1.5, None))


@pytest.mark.parametrize("opset", BY_GROUP)
@pytest.mark.parametrize("part", ["scale", "shift"])
@pytest.mark.parametrize("channel", range(6))
def test_by_group_an_affine_that_differs_within_one_is_refused(
    opset: int, part: str, channel: int
) -> None:
    given: dict[str, Any] = {"scale": np.full(6, 2.0), "shift": np.full(6, 0.5)}
    given[part][channel] += 2.0**-50
    affine = affine_of(given["scale"], given["shift"], -2)

    assert_refused(net(opset=opset), affine, Reason.NOT_OUTPUT_CHANNELS)


def test_by_group_more_digits_than_float64_has_are_compared() -> None:
    whole = uniform(3, -2)
    scale = Doubled(whole.scale.high, np.array([0, 0, 0, 0, 0, 1e-20]), whole.scale.magnitude)
    affine = ChannelAffine(scale, whole.shift, -2)

    assert_refused(net(opset=18), affine, Reason.NOT_OUTPUT_CHANNELS)


@pytest.mark.parametrize("opset", [*BY_GROUP, *BY_CHANNEL])
@pytest.mark.parametrize("acts", [-1, -2, -4])
def test_another_axis_is_refused(acts: int, opset: int) -> None:
    made = net((6, 6, 6, 6), opset)

    assert_refused(made, uniform(3, acts), Reason.NOT_OUTPUT_CHANNELS)


@pytest.mark.parametrize("opset", [18, 21])
def test_an_unknown_rank_is_refused(opset: int) -> None:
    made = net(opset=opset)
    made.inputs[0].CopyFrom(helper.make_tensor_value_info("x", DOUBLE, None))

    assert_refused(made, uniform(3, -2), Reason.MISSING_AXES)


@pytest.mark.parametrize("groups", [4, 0, -3, 12])
def test_groups_that_do_not_divide_the_channels_are_refused(groups: int) -> None:
    made = net(opset=18, groups=groups, size=6)

    assert_refused(made, uniform(1, -2), Reason.BAD_LAYER)


def test_a_number_of_groups_must_be_given() -> None:
    made = net(opset=18)
    del made.nodes[-1].attribute[:]

    assert_refused(made, uniform(3, -2), Reason.BAD_LAYER)


@pytest.mark.parametrize(("opset", "size"), [(18, 6), (18, 1), (21, 3)])
def test_parameters_of_the_other_kind_are_refused(opset: int, size: int) -> None:
    assert_refused(net(opset=opset, size=size), uniform(3, -2), Reason.BAD_LAYER)


@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize(("slot", "reason"), [(1, Reason.RUNTIME_WEIGHT), (2, Reason.RUNTIME_BIAS)])
def test_parameters_computed_at_run_time_are_refused(slot: int, reason: Reason, opset: int) -> None:
    made = net(opset=opset)
    made.nodes[-1].input[slot] = made.input(6, name="given")

    assert_refused(made, uniform(3, -2), reason)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("opset", [18, 21])
def test_the_definition_is_that_of_the_runtime(opset: int, groups: int) -> None:
    assert_defined(net((2, 6, 3, 2), opset, groups, elem_type=FLOAT))
