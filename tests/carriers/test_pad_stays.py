"""What no affine gets over at a Pad, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, INT64, Net
from onnx import helper
from padded import (
    MINUS_INFINITY,
    SCALE,
    constants_of,
    padded,
)
from passing import (
    affine_of,
    assert_goes_down,
    assert_stays,
    random_affine,
)

from folding.affine import ChannelAffine
from folding.plan import Reason


@pytest.mark.parametrize("mode", ["constant", "edge"])
@pytest.mark.parametrize("pads", [(0, 1, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 2, 0, 0)])
def test_padding_the_axis_of_the_channels_is_refused(pads: tuple[int, ...], mode: str) -> None:
    """Its vector would have to grow (condition 1)."""
    net = padded(pads, mode=mode)

    assert_stays(net, random_affine(3, -3, shift=False), Reason.PADS, down=True)
    assert_stays(net, random_affine(5, -3, shift=False), Reason.PADS)
    assert_goes_down(net, affine_of([-2.0] * 3, 0.0, -3))
    assert_goes_down(net, affine_of([1.0, 2.0], 0.0, -4))


def test_cropping_the_axis_of_the_channels_is_refused() -> None:
    """Its vector would have to be cut (condition 1)."""
    net = padded((0, -1, 0, 0, 0, 0, 0, 0))

    assert_stays(net, random_affine(2, -3), Reason.PADS)
    assert_stays(net, random_affine(3, -3), Reason.PADS, down=True)


def without_pads(slot: int, **attributes: Any) -> Net:
    """A Pad one of whose inputs is known at run time only."""
    net = padded((1, 0, 0, 3), 0.5, opset=18, axes=(2, 3), **attributes)
    name = net.nodes[0].input[slot]
    kind = DOUBLE if net.stored.pop(name).dtype.kind == "f" else INT64
    net.input(*(() if kind == DOUBLE else (4 if slot == 1 else 2,)), name=name, elem_type=kind)
    return net


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("slot", [1, 3])
def test_pads_and_axes_of_run_time_are_refused(slot: int, *, down: bool) -> None:
    """The axis of the channels may be padded or not (condition 1); a scalar has none."""
    assert_stays(without_pads(slot), random_affine(3, -3), Reason.SIZES_UNKNOWN, down=down)
    assert constants_of(without_pads(slot), affine_of(2.0, 3.0, None)) == {2: 4.0}


@pytest.mark.parametrize("down", [False, True])
def test_a_number_of_run_time_is_refused(*, down: bool) -> None:
    """It would have to be mapped (condition 3), unless it is not padded with."""
    net = without_pads(2)

    assert_stays(net, SCALE, Reason.PADS, down=down)
    assert not constants_of(without_pads(2, mode="edge"), SCALE, down=down)


@pytest.mark.parametrize("axes", [(2, -2), (2,)])
def test_pads_that_do_not_fit_their_axes_are_refused(axes: tuple[int, ...]) -> None:
    """An axis that is padded twice is undefined (condition 1)."""
    net = padded((1, 0, 0, 3), opset=18, axes=axes)

    assert_stays(net, SCALE, Reason.SIZES_UNKNOWN)


def test_axes_of_an_unknown_rank_are_refused() -> None:
    """An axis from the left cannot be compared with one from the right (condition 1)."""
    net = padded((1, 0, 0, 3), opset=18, axes=(2, 3))
    net.inputs[:] = [helper.make_tensor_value_info("x", DOUBLE, None)]

    assert_stays(net, SCALE, Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(("opset", "mode"), [(13, "mirror"), (1, "constant"), (1, "edge")])
def test_what_is_not_known_of_it_is_refused(opset: int, mode: str, *, down: bool) -> None:
    """Another mode may pad with anything (condition 2)."""
    net = padded(opset=opset, mode=mode)

    assert_stays(net, SCALE, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize(
    ("affine", "value", "down"),
    [
        (affine_of([1.0, 2.0, 1.0], 0.0, -3), 0.5, False),
        (affine_of(2.0, [1.0, 0.0, 1.0], -3), None, False),
        (affine_of([1.0, 2.0, 1.0], 0.0, -3), 0.5, True),
        (affine_of(2.0, [1.0, 0.0, 1.0], -3), None, True),
        (affine_of([2.0, 2.0, 0.0], [1.0, 1.0, 1.0], -3), None, True),
        (affine_of([2.0, 2.0, 0.0], [0.0, 0.0, 1.0], -3), None, True),
        (affine_of(0.0, 1.0, None), None, True),
    ],
)
def test_a_number_that_would_differ_by_channel_is_refused(
    affine: ChannelAffine, value: float | None, *, down: bool
) -> None:
    """There is one for all; downward a scale of zero leaves none (condition 3)."""
    assert_stays(padded(value=value), affine, Reason.PADS, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("scale", [[1.0, 0.0, 2.0], [1.0, -1.0, 2.0], [-1.0, -1.0, -1.0]])
def test_infinity_is_padded_with_only_where_it_stays_the_same(
    scale: list[float], *, down: bool
) -> None:
    """As before a MaxPool: a scale of zero makes NaN of it (condition 3)."""
    net = padded(value=MINUS_INFINITY)

    assert_stays(net, affine_of(scale, [3.0, 4.0, 5.0], -3), Reason.PADS, down=down)
    positive = affine_of([0.5, 1.0, 2.0], [3.0, 4.0, 5.0], -3)
    assert not constants_of(net, positive, down=down)


@pytest.mark.parametrize("opset", [2, 10])
def test_an_attribute_does_not_change(opset: int) -> None:
    """Only a constant input may (condition 4)."""
    for down in (False, True):
        assert_stays(padded(opset=opset), affine_of(2, 3, None), Reason.PADS, down=down)
        assert_stays(padded(value=0.5, opset=opset), SCALE, Reason.PADS, down=down)


def test_what_differs_less_than_a_double_can_tell_differs() -> None:
    """An attribute is not said to stay the same when it nearly does (condition 4)."""
    net = padded(value=1.0, opset=10)

    assert_stays(net, affine_of(1.0, 1e-20, None), Reason.PADS)


def test_several_numbers_are_refused() -> None:
    """There is one to pad with (condition 3), in whatever shape."""
    net = padded(value=0.5)
    net.stored["p"] = np.array([0.5, 0.5])
    assert_stays(net, affine_of(2.0, 3.0, None), Reason.PADS)

    net.stored["p"] = np.array([0.5])
    assert constants_of(net, affine_of(2.0, 3.0, None)) == {2: 4.0}


def test_downward_only_the_data_are_padded() -> None:
    """What stands before the number does not change the rest (condition 5)."""
    net = padded(value=0.0)

    assert_stays(net, affine_of(2, 0, None), Reason.UNUSUAL_FORM, down=True, place=2)
