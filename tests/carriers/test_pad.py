"""Pad: what it pads with is mapped too, and must stay one number for all channels."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import FLOAT, feed_for, run
from oracle import evaluate
from padded import (
    AROUND,
    CROPPED,
    REPEATING,
    RUN,
    SCALE,
    SHAPE,
    constants_of,
    pad,
    padded,
)
from passing import (
    affine_of,
    applied,
    assert_goes_down,
    assert_goes_up,
    assert_stays,
    random_affine,
)

from folding.affine import ChannelAffine
from folding.plan import Reason


@pytest.mark.parametrize("opset", [2, 10, 11, 13, 18, 19, 21, 23, 25])
def test_zero_padding_passes_a_scale_of_any_sign(opset: int) -> None:
    """Zero times anything is zero: nothing changes in the node."""
    for affine in (random_affine(3, -3, shift=False), SCALE, affine_of(-2.0, 0.0, None)):
        assert_goes_up(padded(opset=opset), affine)
        assert_goes_down(padded(opset=opset), affine)
        assert not constants_of(padded(opset=opset), affine)
        assert not constants_of(padded(opset=opset), affine, down=True)


@pytest.mark.parametrize("opset", [2, 11, 18])
@pytest.mark.parametrize("axis", [-3, -4])
def test_what_maps_the_number_to_itself_passes(axis: int, opset: int) -> None:
    """Above zero as at zero, with a scale of zero too: the node stays as it is."""
    scale = np.array([-2.0, 0.0, 3.0])[: SHAPE[axis]]
    affine = affine_of(scale, 0.75 - 0.75 * scale, axis)

    assert_goes_up(padded(value=0.75, opset=opset), affine)
    assert_goes_down(padded(value=0.75, opset=opset), affine)
    assert not constants_of(padded(value=0.75, opset=opset), affine)


@pytest.mark.parametrize("opset", [11, 13, 18, 25])
@pytest.mark.parametrize("value", [None, 0.0, -1.5])
@pytest.mark.parametrize("affine", [affine_of(-2.0, 3.0, None), affine_of([-2.0] * 3, 3.0, -3)])
def test_the_number_of_a_scalar_affine_moves(
    affine: ChannelAffine, value: float | None, opset: int
) -> None:
    """Upward it is mapped, downward what is mapped to it is found."""
    assert_goes_up(padded(value=value, opset=opset), affine)
    assert_goes_down(padded(value=value, opset=opset), affine)
    assert constants_of(padded(value=value, opset=opset), affine) == {2: -2 * (value or 0) + 3}


def test_channels_of_different_scales_may_map_to_one_number() -> None:
    """What counts is what becomes of the number, not what it is made by."""
    assert_goes_up(padded(value=0.5), affine_of([2.0, -4.0, 0.0], [1.0, 4.0, 2.0], -3))
    assert_goes_up(padded(), affine_of([2.0, -4.0, 0.0], 3.0, -3))
    assert_goes_down(padded(value=2.0), affine_of([2.0, -4.0, 1.0], [1.0, 4.0, 1.5], -3))


@pytest.mark.parametrize("down", [False, True])
def test_where_there_was_no_number_one_is_added(*, down: bool) -> None:
    """A Pad without one has zeros; the new number is compared by a Pad that has it."""
    net, affine = padded(), affine_of(-2.0, 3.0, None)
    del net.nodes[0].input[2]

    ((slot, value),) = constants_of(net, affine, down=down).items()

    assert slot == 2
    x = np.random.default_rng(0).standard_normal(SHAPE)
    if down:
        found, wanted = applied(affine, pad(x, value)), pad(applied(affine, x), 0.0)
    else:
        found, wanted = pad(applied(affine, x), value), applied(affine, pad(x, 0.0))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize(("mode", "opset"), REPEATING)
@pytest.mark.parametrize("axis", [-3, -4])
def test_what_is_repeated_is_mapped_already(axis: int, mode: str, opset: int) -> None:
    """Every affine passes; the axes that are padded are others."""
    affine = random_affine(SHAPE[axis], axis)
    net = padded(opset=opset, mode=mode)
    if mode == "wrap":
        net = padded((0, 0, 5, 2, 0, 0, 3, -1), opset=opset, mode=mode)

    assert_goes_up(net, affine)
    assert_goes_down(net, affine)


@pytest.mark.parametrize("opset", [2, 11, 18])
def test_where_nothing_is_padded_the_number_does_not_matter(opset: int) -> None:
    """Axes may be cropped."""
    affine = random_affine(3, -3)

    for pads in (CROPPED, (0,) * 8):
        assert_goes_up(padded(pads, 0.5, opset=opset), affine)
        assert_goes_down(padded(pads, 0.5, opset=opset), affine)
        assert not constants_of(padded(pads, 0.5, opset=opset), affine)


@pytest.mark.parametrize("axes", [(2, 3), (3, -2), (-1, -2)])
@pytest.mark.parametrize("opset", [18, 25])
def test_pads_may_be_those_of_some_axes(opset: int, axes: tuple[int, ...]) -> None:
    """The others are not padded."""
    net = padded((1, 2, 0, 3), opset=opset, axes=axes)

    for affine in (random_affine(3, -3, shift=False), affine_of(-2.0, 3.0, None)):
        assert_goes_up(net, affine)
        assert_goes_down(net, affine)
    assert_stays(net, random_affine(4, -2, shift=False), Reason.PADS)


@pytest.mark.parametrize(("mode", "opset"), [("constant", 10), ("constant", 18), *RUN])
def test_the_definition_agrees_with_onnxruntime(mode: str, opset: int) -> None:
    """What the tests above compare with is what the operator is."""
    crops = (0, 0, -1, 3, 0, 0, 2, -1) if mode == "constant" else AROUND
    model = padded(crops, 0.5, opset=opset, mode=mode, elem_type=FLOAT).model("y")
    feed = feed_for(model)

    np.testing.assert_allclose(evaluate(model, feed)[0], run(model, feed)[0], rtol=1e-6)
