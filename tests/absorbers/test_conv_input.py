"""Conv with an affine before its data: scaled by input channel, shifted where nothing is padded."""

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
from folding.absorbers.base import columns_of
from folding.absorbers.conv import at_input
from folding.plan import Kept, Reason

SHAPES: dict[int, tuple[int, ...]] = {1: (2, 6, 7), 2: (2, 6, 7, 4), 3: (1, 6, 4, 3, 5)}


def net(
    *shape: int | str, taps: tuple[int, ...], out: int = 6, bias: bool = False, **attributes: Any
) -> Net:
    """A Conv of six input channels."""
    made = Net(DOUBLE)
    group = attributes.get("group", 1)
    inputs = [made.input(*shape), made.weight(out, 6 // group, *taps, name="w")]
    inputs += [made.weight(out, name="b")] if bias else []
    made.node("Conv", *inputs, out="y", **attributes)
    return made


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 2, 3, 6])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shift", [True, False])
def test_weight_and_bias_take_in_scales_and_shifts_by_input_channel(
    axes: int, group: int, *, bias: bool, shift: bool
) -> None:
    made = net(*SHAPES[axes], taps=(3, 2, 2)[:axes], out=2 * group, bias=bias, group=group)

    answer = assert_taken(made, random_affine(6, -1 - axes, shift=shift))

    assert set(answer.factors) == {1}
    assert set(answer.constants) == ({2} if shift else set())
    assert answer.shift is None


@pytest.mark.parametrize("group", [1, 2])
def test_strides_dilations_and_pads_of_zero_do_not_matter(group: int) -> None:
    given: dict[str, Any] = {"strides": [2, 1], "dilations": [1, 3], "pads": [0] * 4}
    made = net(2, 6, 7, 8, taps=(3, 2), bias=True, group=group, **given)

    assert_taken(made, random_affine(6, -3, sign=1))


@pytest.mark.parametrize("group", [1, 3])
def test_the_same_affine_for_all_channels_goes_in(group: int) -> None:
    assert_taken(net(2, 6, 5, taps=(3,), group=group), affine_of(-0.75, 1.5, None))


def test_data_of_unknown_size_goes_in() -> None:
    assert_taken(net("n", 6, "h", taps=(3,)), random_affine(6, -2), n=3, h=5)


def test_each_row_and_column_has_the_channel_of_its_group() -> None:
    channels = columns_of((4, 3, 1), 2)

    assert channels[:, :, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]


def test_without_groups_one_row_says_the_channels_of_all() -> None:
    assert columns_of((4, 3, 1), 1).tolist() == [[[0], [1], [2]]]


@pytest.mark.parametrize(
    "attributes", [{"pads": [1, 1]}, {"pads": [0, 2]}, {"auto_pad": "VALID"}, {"strides": [2]}]
)
def test_scales_alone_go_in_whatever_is_padded_and_whatever_the_bias(
    attributes: dict[str, Any],
) -> None:
    made = net(2, 6, 7, taps=(3,), **attributes)
    made.nodes[0].input.append(made.input(6, name="b"))

    assert not assert_taken(made, random_affine(6, -2, shift=False)).constants


@pytest.mark.parametrize("mode", ["VALID", "NOTSET"])
def test_modes_that_never_pad_let_shifts_in(mode: str) -> None:
    assert_taken(net("n", 6, "h", taps=(3,), auto_pad=mode), random_affine(6, -2), n=2, h=7)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_automatic_padding_that_pads_nothing_lets_shifts_in(mode: str) -> None:
    """One tap needs no padding, whatever the stride and the size."""
    made = net("n", 6, "h", taps=(1,), auto_pad=mode, strides=[2], dilations=[4])

    assert_taken(made, random_affine(6, -2), n=2, h=7)


@pytest.mark.parametrize(
    ("size", "taps", "stride", "dilation"), [(6, 2, 2, 1), (7, 3, 4, 1), (8, 2, 4, 3), (9, 1, 3, 2)]
)
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_windows_that_fit_the_size_are_not_padded_by_same(
    size: int, taps: int, stride: int, dilation: int, mode: str
) -> None:
    made = net(
        2, 6, size, taps=(taps,), auto_pad=mode, strides=[stride], dilations=[dilation], bias=True
    )

    assert_taken(made, random_affine(6, -2))


@pytest.mark.parametrize(
    ("size", "taps", "stride", "dilation"), [(7, 2, 2, 1), (6, 3, 4, 1), (8, 2, 4, 4), (5, 3, 1, 1)]
)
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_shifts_stay_where_same_pads(
    size: int, taps: int, stride: int, dilation: int, mode: str
) -> None:
    made = net(2, 6, size, taps=(taps,), auto_pad=mode, strides=[stride], dilations=[dilation])

    assert_refused(made, random_affine(6, -2), Reason.PADS_ZEROS)


@pytest.mark.parametrize("shape", [("n", 6, "h"), (2, 6, 8, "w")])
def test_shifts_stay_where_same_may_pad(shape: tuple[int | str, ...]) -> None:
    axes = len(shape) - 2
    made = net(*shape, taps=(2,) * axes, auto_pad="SAME_UPPER", strides=[2] * axes)

    assert_refused(made, random_affine(6, -1 - axes), Reason.PADS_ZEROS)


@pytest.mark.parametrize("pads", [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
def test_shifts_stay_where_any_side_is_padded(pads: list[int]) -> None:
    made = net(2, 6, 5, 4, taps=(2, 3), bias=True, pads=pads)

    assert_refused(made, random_affine(6, -3), Reason.PADS_ZEROS)


@pytest.mark.parametrize("slot", [1, 2])
def test_an_affine_before_the_weight_or_the_bias_stays(slot: int) -> None:
    assert_refused(
        net(2, 6, 6, taps=(3,), bias=True), affine_of(2, 0, None), Reason.NOT_INPUT_CHANNELS, slot
    )


@pytest.mark.parametrize("axis", [-1, -2, -4])
def test_an_affine_along_another_axis_of_the_same_length_stays(axis: int) -> None:
    made = net(6, 6, 6, 6, taps=(3, 3))

    assert_refused(made, random_affine(6, axis, shift=False), Reason.NOT_INPUT_CHANNELS)


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_channels_that_are_not_those_of_all_groups_are_refused(channels: int) -> None:
    made = net(2, 6, 5, taps=(3,), group=2)

    assert_refused(made, random_affine(channels, -2), Reason.BAD_LAYER)


def test_a_weight_computed_at_run_time_is_refused() -> None:
    made = Net(DOUBLE)
    made.node("Conv", made.input(2, 6, 5), made.input(4, 6, 3, name="w"), out="y")

    assert_refused(made, random_affine(6, -2), Reason.RUNTIME_WEIGHT)


def test_a_bias_computed_at_run_time_is_refused() -> None:
    made = net(2, 6, 5, taps=(3,))
    made.nodes[0].input.append(made.input(6, name="b"))

    assert_refused(made, random_affine(6, -2), Reason.RUNTIME_BIAS)


def test_a_bias_of_another_length_than_the_channels_is_refused() -> None:
    made = net(2, 6, 5, taps=(3,))
    made.nodes[0].input.append(made.weight(1, name="b"))

    assert_refused(made, random_affine(6, -2), Reason.BAD_LAYER)


def test_a_weight_that_is_not_finite_takes_no_shift_in() -> None:
    made = net(2, 6, 5, taps=(3,))
    made.stored["w"][2, 3, 1] = np.inf

    _, answer = ask(made, random_affine(6, -2))

    assert answer == Kept(Reason.NOT_FINITE, "w")


@pytest.mark.parametrize(("dims", "group"), [((4, 2, 3), 3), ((4, 2, 3), 0), ((4, 2), 1)])
def test_groups_that_do_not_divide_the_channels_are_refused(
    dims: tuple[int, ...], group: int
) -> None:
    """ONNX's own inference refuses such a layer, so the rule is asked directly."""
    layer = Mock(node=helper.make_node("Conv", ["x", "w"], ["v"], group=group))
    layer.weight.return_value = Weight(dims, TensorProto.FLOAT)

    answer = at_input(layer, affine_of(0.5, 0.0, None), 0)

    assert answer == Kept(Reason.BAD_LAYER, "v", "Conv")
