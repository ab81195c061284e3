"""ConvTranspose with an affine before its data: shifted where each element gets all taps."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from absorbing import ask, assert_refused, assert_taken
from graphs import DOUBLE, Net
from onnx import TensorProto, helper
from passing import affine_of, random_affine

from folding.absorbers import Weight
from folding.absorbers.conv_transpose import at_input
from folding.plan import Kept, Reason

SHAPES: dict[int, tuple[int, ...]] = {1: (2, 6, 7), 2: (2, 6, 7, 4), 3: (1, 6, 4, 5, 5)}


def net(
    *shape: int | str, taps: tuple[int, ...], bias: bool = False, columns: int = 2, **given: Any
) -> Net:
    """A ConvTranspose of six input channels, and some output channels in each group."""
    made = Net(DOUBLE)
    channels = columns * given.get("group", 1)
    inputs = [made.input(*shape), made.weight(6, columns, *taps, name="w")]
    inputs += [made.weight(channels, name="b")] if bias else []
    made.node("ConvTranspose", *inputs, out="y", **given)
    return made


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 2, 3, 6])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shift", [True, False])
def test_weight_and_bias_take_in_scales_and_shifts_by_input_channel(
    axes: int, group: int, *, bias: bool, shift: bool
) -> None:
    taps = (3, 2, 2)[:axes]
    edges = [tap - 1 for tap in taps]
    made = net(*SHAPES[axes], taps=taps, bias=bias, group=group, pads=edges * 2)

    answer = assert_taken(made, random_affine(6, -1 - axes, shift=shift))

    assert set(answer.factors) == {1}
    assert set(answer.constants) == ({2} if shift else set())
    assert answer.shift is None


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("columns", [1, 3])
def test_more_may_be_cut_and_taps_may_be_apart(group: int, columns: int) -> None:
    given = {"dilations": [2, 1], "strides": [1, 1], "pads": [4, 3, 5, 2], "output_padding": [0, 0]}
    made = net(2, 6, 9, 6, taps=(3, 3), columns=columns, group=group, bias=True, **given)

    assert_taken(made, random_affine(6, -3, sign=1))


def test_one_tap_reaches_every_element() -> None:
    assert_taken(net("n", 6, "h", taps=(1,), dilations=[3]), random_affine(6, -2), n=2, h=5)


@pytest.mark.parametrize("group", [1, 3])
def test_the_same_affine_for_all_channels_goes_in(group: int) -> None:
    assert_taken(net(2, 6, 5, taps=(2,), group=group, pads=[1, 1]), affine_of(-0.75, 1.5, None))


@pytest.mark.parametrize(
    "given",
    [{}, {"strides": [2]}, {"strides": [3], "output_padding": [2]}, {"pads": [1, 0]}],
)
def test_scales_alone_go_in_whatever_its_form_and_its_bias(given: dict[str, Any]) -> None:
    made = net(2, 6, 5, taps=(3,), group=2, **given)
    made.nodes[0].input.append(made.input(4, name="b"))

    assert not assert_taken(made, random_affine(6, -2, shift=False)).constants


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"pads": [1, 2, 2, 2]},
        {"pads": [2, 1, 2, 2]},
        {"pads": [2, 2, 1, 2]},
        {"pads": [2, 2, 2, 1]},
        {"pads": [2] * 4, "dilations": [1, 2]},
        {"pads": [2] * 4, "strides": [1, 2]},
        {"pads": [2] * 4, "strides": [3, 1]},
        {"pads": [2] * 4, "dilations": [1, 1], "output_padding": [0, 1]},
        {"pads": [2] * 4, "auto_pad": "VALID"},
        {"pads": [2] * 4, "auto_pad": "SAME_UPPER"},
        {"auto_pad": "SAME_LOWER"},
        {"pads": [2] * 4, "output_shape": [9, 9]},
    ],
)
def test_shifts_stay_where_elements_may_get_fewer_taps(given: dict[str, Any]) -> None:
    made = net(2, 6, 9, 9, taps=(3, 3), bias=True, **given)

    assert_refused(made, random_affine(6, -3), Reason.PADS_ZEROS)


@pytest.mark.parametrize("slot", [1, 2])
def test_an_affine_before_the_weight_or_the_bias_stays(slot: int) -> None:
    made = net(2, 6, 6, taps=(3,), bias=True)

    assert_refused(made, affine_of(2.0, 0.0, None), Reason.NOT_INPUT_CHANNELS, slot)


@pytest.mark.parametrize("axis", [-1, -2, -4])
def test_an_affine_along_another_axis_of_the_same_length_stays(axis: int) -> None:
    made = net(6, 6, 6, 6, taps=(3, 3))

    assert_refused(made, random_affine(6, axis, shift=False), Reason.NOT_INPUT_CHANNELS)


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_other_channels_than_the_rows_are_refused(channels: int) -> None:
    assert_refused(net(2, 6, 5, taps=(3,), group=2), random_affine(channels, -2), Reason.BAD_LAYER)


def test_a_weight_computed_at_run_time_is_refused() -> None:
    made = Net(DOUBLE)
    made.node("ConvTranspose", made.input(2, 6, 5), made.input(6, 4, 3, name="w"), out="y")

    assert_refused(made, random_affine(6, -2), Reason.RUNTIME_WEIGHT)


def test_a_bias_computed_at_run_time_is_refused() -> None:
    made = net(2, 6, 5, taps=(1,))
    made.nodes[0].input.append(made.input(2, name="b"))

    assert_refused(made, random_affine(6, -2), Reason.RUNTIME_BIAS)


def test_a_bias_of_another_length_than_the_channels_is_refused() -> None:
    made = net(2, 6, 5, taps=(1,), group=2)
    made.nodes[0].input.append(made.weight(2, name="b"))

    assert_refused(made, random_affine(6, -2), Reason.BAD_LAYER)


def test_a_weight_that_is_not_finite_takes_no_shift_in() -> None:
    made = net(2, 6, 5, taps=(1,))
    made.stored["w"][2, 1, 0] = np.nan

    _, answer = ask(made, random_affine(6, -2))

    assert answer == Kept(Reason.NOT_FINITE, "w")


@pytest.mark.parametrize(("dims", "group"), [((4, 2, 3), 3), ((4, 2, 3), 0), ((4, 2), 1)])
def test_groups_that_do_not_divide_the_rows_are_refused(dims: tuple[int, ...], group: int) -> None:
    """ONNX's own inference refuses such a layer, so the rule is asked directly."""
    layer = Mock(node=helper.make_node("ConvTranspose", ["x", "w"], ["v"], group=group))
    layer.weight.return_value = Weight(dims, TensorProto.FLOAT)

    answer = at_input(layer, affine_of(0.5, 0.0, None), 0)

    assert answer == Kept(Reason.BAD_LAYER, "v", "ConvTranspose")
