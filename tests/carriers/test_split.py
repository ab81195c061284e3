"""Split: an affine is filled up with the identity for the other outputs, or cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, INT64, Net, feed_for, run
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

SIZES = (2, 3, 1)
EVERY = "y0,y1,y2"


def cut(
    axis: int = 1, *, opset: int = 13, out: str = EVERY, elem_type: int = DOUBLE, **attributes: Any
) -> Net:
    """A value of six channels on the axis, cut into three, by sizes or as the attributes say."""
    shape = [2, 4, 5]
    shape[axis] = 6
    net = Net(elem_type, opset=opset)
    names = [net.input(*shape)]
    if not attributes and opset < 13:
        attributes = {"split": SIZES}
    elif not attributes:
        names.append(net.integers(*SIZES))
    net.node("Split", *names, out=out, axis=axis, **attributes)
    return net


@pytest.mark.parametrize("opset", [2, 11, 13, 18])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_upward_the_channels_of_the_other_outputs_get_the_identity(
    place: int, axis: int, opset: int
) -> None:
    """They are the same as before."""
    affine = random_affine(SIZES[place], axis % 3 - 3)

    assert_goes_up(cut(axis, opset=opset), affine, place=place)


@pytest.mark.parametrize("opset", [2, 11, 13, 18])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_downward_it_is_cut_on_the_cut_axis(axis: int, opset: int) -> None:
    """Each output gets as many channels as it has."""
    assert_goes_down(cut(axis, opset=opset), random_affine(6, axis % 3 - 3))


@pytest.mark.parametrize("axis", [-1, -3])
def test_downward_on_another_axis_every_output_gets_it(axis: int) -> None:
    """All outputs have the same channels there."""
    assert_goes_down(cut(), random_affine({-1: 5, -3: 2}[axis], axis))


def test_a_scalar_passes_downward_to_every_output() -> None:
    """One number for all channels has no axis."""
    assert_goes_down(cut(), affine_of(-2.0, 3.0, None))


@pytest.mark.parametrize("affine", [affine_of(-2, 3, None), affine_of([-2] * 5, [3] * 5, -1)])
def test_upward_a_scalar_becomes_a_vector_on_the_cut_axis_if_others_are_read(
    affine: ChannelAffine,
) -> None:
    """So does what is the same for all channels of another axis."""
    _, answer = ask(cut(), affine, place=1, read="y0")

    assert not isinstance(answer, Kept)
    assert answer[0].affines[0].scale.high.tolist() == [1, 1, -2, -2, -2, 1]
    assert answer[0].affines[0].shift.high.tolist() == [0, 0, 3, 3, 3, 0]
    assert answer[0].affines[0].axis == -2


@pytest.mark.parametrize("affine", [affine_of(-2, 3, None), random_affine(5, -1)])
def test_upward_on_another_axis_it_passes_if_nothing_else_is_read(affine: ChannelAffine) -> None:
    """What becomes of the other outputs does not matter."""
    assert_goes_up(cut(out="y0,,"), affine)
    _, answer = ask(cut(), affine, place=1, read="y1")

    assert not isinstance(answer, Kept)
    assert answer[0].affines == {0: affine}


@pytest.mark.parametrize("read", ["y0", "y2", "y0,y1,y2"])
def test_upward_on_another_axis_it_stays_if_others_are_read(read: str) -> None:
    """They would be scaled too (condition 3)."""
    assert_stays(cut(), random_affine(5, -1), Reason.OUTPUT_USED, place=1, read=read)


def test_downward_an_output_whose_piece_does_nothing_gets_none() -> None:
    """Only the others carry an affine."""
    affine = affine_of([2, 3, 1, 1, 1, 1], [0, 0, 0, 0, 0, 4], -2)

    _, answer = ask(cut(), affine, down=True)

    assert not isinstance(answer, Kept)
    assert answer[0].affines.keys() == {0, 2}
    assert_goes_down(cut(), affine)


def test_downward_an_output_without_a_name_gets_none() -> None:
    """Nothing can stand behind it."""
    for affine in (random_affine(6, -2), random_affine(5, -1)):
        _, answer = ask(cut(out="y0,,y2"), affine, down=True)

        assert not isinstance(answer, Kept)
        assert answer[0].affines.keys() == {0, 2}


@pytest.mark.parametrize("size", [6, 5, 4])
def test_without_sizes_the_last_part_may_be_smaller_since_opset_eighteen(size: int) -> None:
    """Every other one is the size divided by their number, rounded up."""
    for place in (0, 1, 2):
        net = Net(DOUBLE, opset=18)
        net.node("Split", net.input(2, size), out=EVERY, axis=-1, num_outputs=3)
        part = 2 if place < 2 else size - 4
        assert_goes_down(net, random_affine(size, -1))
        if part:
            assert_goes_up(net, random_affine(part, -1), place=place)


@pytest.mark.parametrize("opset", [2, 13])
def test_without_sizes_the_parts_are_equal(opset: int) -> None:
    """The oracle does not see how many there are, so the answer is compared with numbers."""
    net = Net(DOUBLE, opset=opset)
    net.node("Split", net.input(2, 6), out=EVERY, axis=1)

    _, answer = ask(net, affine_of([2, 3], [4, 5], -1), place=1)

    assert not isinstance(answer, Kept)
    assert answer[0].affines[0].scale.high.tolist() == [1, 1, 2, 3, 1, 1]
    assert answer[0].affines[0].shift.high.tolist() == [0, 0, 4, 5, 0, 0]


def test_the_default_axis_is_the_first() -> None:
    """It is 0 since opset 2."""
    net = Net(DOUBLE)
    net.node("Split", net.input(6, 2), net.integers(*SIZES), out=EVERY)

    assert_goes_up(net, random_affine(3, -2), place=1)
    assert_goes_down(net, random_affine(6, -2))


@pytest.mark.parametrize("down", [False, True])
def test_in_opset_one_it_stays(*, down: bool) -> None:
    """The axis has no default there (condition 1)."""
    assert_stays(cut(opset=1), random_affine(6, -2), Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_an_axis_of_an_unknown_rank_is_refused(*, down: bool) -> None:
    """An axis from the left cannot be compared with one from the right (condition 2)."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    net.node("Split", "x", net.integers(2, 1), out="y,z", axis=1)

    assert_stays(net, random_affine(3, -2), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("given", [True, False])
def test_unknown_sizes_are_refused(*, given: bool, down: bool) -> None:
    """Neither sizes of run time nor parts of an unknown size can be cut (condition 2)."""
    net = Net(DOUBLE)
    inputs = [net.input(2, 6, 5), net.input(3, name="s", elem_type=INT64)]
    if not given:
        inputs = [net.input(2, "c", 5, name="a")]
    net.node("Split", *inputs, out=EVERY, axis=1)

    assert_stays(net, random_affine(6, -2), Reason.SIZES_UNKNOWN, down=down)
    if down:
        assert_goes_through_elsewhere(net)


def assert_goes_through_elsewhere(net: Net) -> None:
    """On another axis the sizes do not matter."""
    _, answer = ask(net, random_affine(5, -1), down=True)
    assert not isinstance(answer, Kept)


def test_upward_the_size_of_the_whole_may_follow_from_the_parts() -> None:
    """They are all there is."""
    net = Net(DOUBLE)
    net.node("Split", net.input(2, "c", 5), net.integers(*SIZES), out=EVERY, axis=1)

    assert_goes_up(net, random_affine(3, -2), place=1, c=6)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(
    ("opset", "attributes"),
    [
        (11, {"split": [2, 3]}),
        (11, {"split": [2, 3, 2]}),
        (11, {"split": [2, 3, 2, 1]}),
        (18, {"num_outputs": 5}),
        (17, {}),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    opset: int, attributes: dict[str, Any], *, down: bool
) -> None:
    """No runtime takes them: seven channels, or too many parts, or unequal ones (condition 2)."""
    net = Net(DOUBLE, opset=opset)
    net.node("Split", net.input(2, 8), out="a,b,c", axis=1, **attributes)
    if "num_outputs" in attributes:
        net.inputs[0].type.tensor_type.shape.dim[1].dim_value = 6

    assert_stays(net, random_affine(2, -1), Reason.SIZES_UNKNOWN, down=down)


def test_downward_only_the_data_are_cut() -> None:
    """No affine stands before sizes (condition 1)."""
    assert_stays(cut(), affine_of(2, 0, None), Reason.UNUSUAL_FORM, down=True, place=1)


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_definition_agrees_with_onnxruntime(axis: int, opset: int) -> None:
    """What the tests above compare with is what the operator is."""
    nets = [cut(axis, opset=opset, elem_type=FLOAT)]
    if opset == 18:
        nets.append(cut(axis, opset=opset, elem_type=FLOAT, num_outputs=3))
    for net in nets:
        model = net.model(*EVERY.split(","))
        feed = feed_for(model)

        for ours, theirs in zip(evaluate(model, feed), run(model, feed), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
