"""Reductions are passed along axes that they leave, and along others by what is uniform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from graphs import FLOAT, INT64, Net, distance, feed_for, run
from onnx import helper
from oracle import evaluate
from passing import (
    affine_of,
    ask,
    assert_goes_down,
    assert_goes_up,
    assert_stays,
    random_affine,
)

from folding.affine import ChannelAffine
from folding.plan import Kept, Reason

OPERATORS = ["ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"]
SHAPE = (2, 3, 5, 4)
#: Those reduced.
AXES: list[list[int]] = [[2, 3], [-1], [-2, 3], [1], [0], [0, -2], [1, 2, 3], [-4, 1, -1]]
FORMS = [(11, 1), (13, 0), (18, 0), (18, 1), (20, 0)]


def reduction(
    operator: str,
    axes: Sequence[int] | None,
    *,
    keepdims: int = 1,
    opset: int = 18,
    shape: Sequence[int | str | None] = SHAPE,
    noop: int = 0,
) -> Net:
    """A net of one reduction, its axes given as they are in that opset."""
    net = Net(opset=opset)
    given: dict[str, Any] = {"keepdims": keepdims, "noop_with_empty_axes": noop} if noop else {}
    if not keepdims:
        given["keepdims"] = 0
    inputs = [net.input(*shape)]
    if axes is not None and opset < (13 if operator == "ReduceSum" else 18):
        given["axes"] = axes
    elif axes is not None:
        inputs.append(net.integers(*axes, name="axes"))
    net.node(operator, *inputs, out="y", **given)
    return net


def suited(operator: str, channels: int, axis: int) -> ChannelAffine:
    """Whatever passes the operator upward."""
    sign = 0 if operator in ("ReduceMean", "ReduceSum") else 1
    return random_affine(channels, axis, sign=sign, shift=operator not in ("ReduceL1", "ReduceL2"))


def left(axes: Sequence[int]) -> list[int]:
    """The axes of the input that are not reduced."""
    return [axis for axis in range(4) if axis not in {a % 4 for a in axes}]


@pytest.mark.parametrize(("opset", "keepdims"), FORMS)
@pytest.mark.parametrize("axes", [*AXES, None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_definitions_are_what_onnxruntime_computes(
    operator: str, axes: list[int] | None, opset: int, keepdims: int
) -> None:
    model = reduction(operator, axes, keepdims=keepdims, opset=opset).model("y")
    feed = feed_for(model)

    assert distance(run(model, feed)[0], evaluate(model, feed)[0]) < 1e-6


@pytest.mark.parametrize("axes", [[1], [], None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_definitions_agree_where_there_may_be_nothing_to_do(
    operator: str, axes: list[int] | None
) -> None:
    model = reduction(operator, axes, noop=1).model("y")
    feed = feed_for(model)

    assert distance(run(model, feed)[0], evaluate(model, feed)[0]) < 1e-6


@pytest.mark.parametrize(("opset", "keepdims"), FORMS)
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_affine_along_an_axis_that_is_left_passes(
    operator: str, axes: list[int], opset: int, keepdims: int
) -> None:
    net = reduction(operator, axes, keepdims=keepdims, opset=opset)

    for place, axis in enumerate(left(axes)):
        behind = axis - 4 if keepdims else place - len(left(axes))
        assert_goes_up(net, suited(operator, SHAPE[axis], behind))
        assert_goes_down(net, suited(operator, SHAPE[axis], axis - 4))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [*AXES, [], None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_scalars_pass(operator: str, axes: list[int] | None, keepdims: int) -> None:
    net = reduction(operator, axes, keepdims=keepdims)
    affine = affine_of(0.5, 0.0 if "L" in operator else -1.5, None)

    assert_goes_up(net, affine)
    assert_goes_down(net, affine)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1, 2], [], None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_what_is_the_same_for_all_channels_goes_down_where_they_are_reduced(
    operator: str, axes: list[int] | None, keepdims: int
) -> None:
    shift = 0.0 if "L" in operator else -1.5

    net = reduction(operator, axes, keepdims=keepdims)

    assert_goes_down(net, affine_of([0.5] * 3, [shift] * 3, -3))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_one_channel_that_is_left_of_an_axis_goes_up(operator: str) -> None:
    shift = 0.0 if "L" in operator else -1.5

    assert_goes_up(reduction(operator, [1, 3]), affine_of([0.5], [shift], -3))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("opset", [13, 18])
def test_an_empty_list_of_axes_is_nothing_to_do_if_the_node_says_so(
    opset: int, keepdims: int
) -> None:
    given: tuple[list[int] | None, ...] = ([], None)
    for axes in given:
        net = reduction("ReduceSum", axes, keepdims=keepdims, opset=opset, noop=1)
        assert_goes_up(net, random_affine(3, -3))
        assert_goes_down(net, random_affine(4, -1))


@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2", "ReduceMax", "ReduceMin"])
def test_no_axis_leaves_a_maximum_or_norm_to_scales_that_are_not_negative(operator: str) -> None:
    net = reduction(operator, [], noop=1)

    assert_goes_up(net, suited(operator, 3, -3))
    assert_goes_down(net, suited(operator, 3, -3))


def test_an_empty_name_is_no_axes() -> None:
    net = Net(opset=18)
    net.node("ReduceMean", net.input(*SHAPE), "", out="y", noop_with_empty_axes=1)

    assert_goes_up(net, random_affine(3, -3))


def test_an_empty_attribute_is_all_axes() -> None:
    net = Net(opset=13)
    net.node("ReduceMean", net.input(*SHAPE), out="y")
    net.nodes[0].attribute.append(helper.make_attribute("axes", [], attr_type=7))

    assert_goes_down(net, affine_of([0.5] * 3, [-1.5] * 3, -3))
    assert_stays(net, random_affine(3, -3), Reason.MIXES_CHANNELS, down=True)


@pytest.mark.parametrize("operator", OPERATORS)
def test_lengths_need_not_be_known(operator: str) -> None:
    """But those that are added with a shift."""
    net = reduction(operator, [2, 3], keepdims=0, shape=["n", 3, "h", "w"])
    affine = random_affine(3, -3, sign=1, shift=operator in ("ReduceMax", "ReduceMean"))

    assert_goes_up(net, affine.along(-1), h=3, w=5)
    assert_goes_down(net, affine, h=3, w=5)


def test_a_sum_needs_the_lengths_of_the_axes_that_it_reduces_only() -> None:
    net = reduction("ReduceSum", [2, 3], shape=["n", 3, 5, 4])

    assert_goes_up(net, random_affine(3, -3))
    assert_goes_down(net, random_affine(3, -3))


@pytest.mark.parametrize("down", [False, True])
def test_a_sum_of_who_knows_how_many_has_an_unknown_shift(*, down: bool) -> None:
    net = reduction("ReduceSum", [2, 3], shape=["n", 3, 5, "w"])

    assert_stays(net, random_affine(3, -3), Reason.SIZES_UNKNOWN, down=down)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [], None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_channels_that_are_reduced_are_mixed(
    operator: str, axes: list[int] | None, keepdims: int
) -> None:
    net = reduction(operator, axes, keepdims=keepdims)

    for scale, shift in (([1.0, 2.0, 2.0], [0.0] * 3), ([1.0] * 3, [0.0, 1.0, 1.0])):
        assert_stays(net, affine_of(scale, shift, -3), Reason.MIXES_CHANNELS, down=True)


def unknown(operator: str, what: str) -> Net:
    """A reduction whose axes are not known, for one reason or the other."""
    net = Net(opset=18)
    if what == "rank":
        net.inputs.append(helper.make_tensor_value_info("x", FLOAT, None))
        net.node(operator, "x", net.integers(2), out="y")
    elif what == "input":
        net.node(operator, net.input(*SHAPE), net.input(1, name="a", elem_type=INT64), out="y")
    else:
        net.node(operator, net.input(*SHAPE), net.integers(1, 4), out="y")
    return net


UNKNOWN = ["rank", "input", "out of range"]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("what", UNKNOWN)
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_axes_must_be_known(operator: str, what: str, *, down: bool) -> None:
    net = unknown(operator, what)

    assert_stays(net, affine_of([1.0] * 3, [0.0] * 3, -3), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("what", UNKNOWN)
@pytest.mark.parametrize("operator", OPERATORS)
def test_scalars_need_no_axes(operator: str, what: str, *, down: bool) -> None:
    affine = affine_of(0.5, 0.0, None)

    _, answer = ask(unknown(operator, what), affine, down=down)

    assert not isinstance(answer, Kept)
    assert answer[0].affines[0].scale.equals(0.5)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("what", UNKNOWN)
def test_the_shift_of_a_sum_needs_them(what: str, *, down: bool) -> None:
    affine = affine_of(0.5, 1.0, None)

    assert_stays(unknown("ReduceSum", what), affine, Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
def test_what_comes_of_nothing_is_a_constant(operator: str, *, down: bool) -> None:
    net = reduction(operator, [2], shape=[2, 3, 0, 4])

    assert_stays(net, affine_of(0.5, 0.0, None), Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin"])
def test_a_negative_scale_would_make_the_largest_the_smallest(operator: str, *, down: bool) -> None:
    affine = affine_of([1.0, -0.5, 2.0], [0.0] * 3, -3)

    assert_stays(reduction(operator, [2]), affine, Reason.NEGATIVE_SCALE, down=down)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2"])
def test_a_norm_takes_the_magnitude_of_a_scale_down_and_none_negative_up(
    operator: str, keepdims: int
) -> None:
    net = reduction(operator, [2], keepdims=keepdims)
    affine = affine_of([1.0, -0.5, 0.0], [0.0] * 3, -3)

    assert_goes_down(net, affine)
    assert_stays(net, affine.along(-3 if keepdims else -2), Reason.NEGATIVE_SCALE)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2"])
def test_no_shift_passes_a_norm(operator: str, *, down: bool) -> None:
    affine = affine_of([1.0, 0.5, 0.0], [0.0, 0.0, 1.0], -3)

    assert_stays(reduction(operator, [2]), affine, Reason.SHIFT_BLOCKED, down=down)


@pytest.mark.parametrize("axes", [[], None])
@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2"])
def test_a_norm_that_may_do_nothing_keeps_the_sign_of_a_scale(
    operator: str, axes: list[int] | None
) -> None:
    net = reduction(operator, axes, noop=1)

    assert_stays(net, affine_of(-0.5, 0.0, None), Reason.NEGATIVE_SCALE, down=True)
    assert_goes_down(reduction(operator, [1], noop=1), affine_of(-0.5, 0.0, None))


@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2"])
def test_axes_that_are_not_known_may_be_none(operator: str) -> None:
    net = Net(opset=18)
    x, axes = net.input(*SHAPE), net.input(1, name="a", elem_type=INT64)
    net.node(operator, x, axes, out="y", noop_with_empty_axes=1)

    assert_stays(net, affine_of(-0.5, 0.0, None), Reason.NEGATIVE_SCALE, down=True)
