"""ConvTranspose: the scale of an output channel is found by group and column."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from graphs import TYPES, Net, assert_folds_to, fold, refusal
from onnx import TensorProto, helper

from folding.absorbers import Weight
from folding.absorbers.base import columns_of
from folding.absorbers.conv_transpose import at_output
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.plan import Kept, Reason

SHAPES = {1: (2, 6, 5), 2: (1, 6, 3, 4), 3: (1, 6, 2, 3, 2)}


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 2, 3])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_batch_norm_disappears_into_weight_and_bias(
    elem_type: int, axes: int, group: int, *, has_bias: bool
) -> None:
    net = Net(elem_type)
    x = net.input(*SHAPES[axes])
    channels = 2 * group
    inputs = [net.weight(6, 2, *[2] * axes)] + [net.weight(channels)] * has_bias
    net.node("ConvTranspose", x, *inputs, out="v", group=group, strides=[2] * axes)
    net.batch_norm("v", channels, "y")

    assert_folds_to(net.model("y"), "ConvTranspose")


@pytest.mark.parametrize("elem_type", TYPES)
def test_pads_dilations_and_output_padding_do_not_matter(elem_type: int) -> None:
    net = Net(elem_type)
    net.node(
        "ConvTranspose",
        net.input(2, 4, 3, 4),
        net.weight(4, 3, 2, 3),
        net.weight(6),
        out="v",
        group=2,
        strides=[2, 3],
        dilations=[1, 2],
        pads=[1, 0, 0, 2],
        output_padding=[1, 1],
    )
    net.batch_norm("v", 6, "y")

    assert_folds_to(net.model("y"), "ConvTranspose")


def test_each_column_of_each_block_is_a_channel_of_its_own() -> None:
    channels = columns_of((4, 3, 1), 2)

    assert channels[:, :, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]


def test_only_the_columns_of_the_scaled_channel_change() -> None:
    net = Net()
    weight = net.weight(4, 2, 3, name="w")
    net.node("ConvTranspose", net.input(1, 4, 5), weight, out="v", group=2)
    net.node("Mul", "v", net.store([[1.0], [1.0], [1.0], [2.0]]), out="y")
    model = net.model("y")

    after, before = fold(model).tensors["w"], net.stored["w"]

    assert np.argwhere(after != before)[:, :2].tolist() == [[2, 1]] * 3 + [[3, 1]] * 3


def test_a_weight_computed_at_run_time_is_refused() -> None:
    net = Net()
    net.node("ConvTranspose", net.input(2, 3, 5), net.input(3, 4, 3, name="w"), out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_WEIGHT, "v")


def test_a_bias_computed_at_run_time_is_refused() -> None:
    net = Net()
    inputs = net.input(2, 3, 5), net.weight(3, 4, 3), net.input(4, name="b")
    net.node("ConvTranspose", *inputs, out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_BIAS, "v")


def test_a_bias_of_another_length_than_the_channels_is_refused() -> None:
    net = Net()
    inputs = net.input(2, 4, 5), net.weight(4, 2, 3), net.weight(2)
    net.node("ConvTranspose", *inputs, out="v", group=2)
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.BAD_LAYER, "v")


def test_an_affine_along_a_spatial_axis_of_the_same_length_stays() -> None:
    net = Net()
    net.node("ConvTranspose", net.input(4, 4, 2, 2), net.weight(4, 4, 3, 3), out="v")
    net.node("Mul", "v", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


@pytest.mark.parametrize(("dims", "group"), [((4, 2, 3), 3), ((4, 2, 3), 0), ((4, 2), 1)])
def test_groups_that_do_not_divide_the_rows_are_refused(dims: tuple[int, ...], group: int) -> None:
    """ONNX's own inference refuses such a layer, so the rule is asked directly."""
    layer = Mock(node=helper.make_node("ConvTranspose", ["x", "w"], ["v"], group=group))
    layer.weight.return_value = Weight(dims, TensorProto.FLOAT)
    halved = ChannelAffine(Doubled.exact(0.5), Doubled.exact(0.0), None)

    answer = at_output(layer, halved)

    assert answer == Kept(Reason.BAD_LAYER, "v", "ConvTranspose")
