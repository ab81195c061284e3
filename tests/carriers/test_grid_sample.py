"""GridSample: averages of one channel of one picture, with zeros outside or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, Net, assert_folds_to, feed_for, run
from oracle import evaluate
from passing import affine_of, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.plan import Reason

SHAPE = (2, 3, 4, 5)
SCALAR, UNIFORM = affine_of(-2.0, 0.0, None), affine_of([-0.5] * 3, [0.0] * 3, -2)
OLD = ["bilinear", "nearest", "bicubic"]
NEW = ["linear", "nearest", "cubic"]
PADDINGS = ["zeros", "border", "reflection"]
COMPARED = [(m, p) for m in OLD for p in PADDINGS if (m, p) != ("bicubic", "border")]
FORMS = [(16, mode) for mode in OLD] + [(20, mode) for mode in NEW]


def sampling(
    opset: int = 20, elem_type: int = DOUBLE, dims: tuple[int, ...] = SHAPE, **given: Any
) -> Net:
    net = Net(elem_type, opset=opset)
    grid = net.input(2, *[3] * (len(dims) - 2), len(dims) - 2, name="grid")
    net.node("GridSample", net.input(*dims), grid, out="y", **given)
    return net


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("opset", "mode"), FORMS)
def test_a_scale_passes_along_pictures_and_channels(
    opset: int, mode: str, padding: str, aligned: int
) -> None:
    """Condition 1: whatever is outside; and a shift where no zeros are (condition 2)."""
    net = sampling(opset, mode=mode, padding_mode=padding, align_corners=aligned)
    for axis in (-3, -4):
        affine = random_affine(SHAPE[axis], axis, shift=padding != "zeros")
        assert_goes_up(net, affine)
        assert_goes_down(net, affine)


def test_volumes_and_rows_are_as_pictures() -> None:
    """Condition 1: the axes are counted from the left."""
    for dims in ((2, 3, 4), (2, 3, 2, 2, 3)):
        net = sampling(dims=dims, padding_mode="border")
        assert_goes_up(net, random_affine(3, 1 - len(dims)))
        assert_goes_down(net, random_affine(2, -len(dims)))


@pytest.mark.parametrize("down", [False, True])
def test_along_rows_and_columns_it_stays(*, down: bool) -> None:
    """Condition 1."""
    for axis in (-1, -2):
        channels = SHAPE[axis] if down else 3
        affine = random_affine(channels, axis, shift=False)
        assert_stays(sampling(), affine, Reason.MIXES_CHANNELS, down=down)


def test_what_is_the_same_for_all_passes() -> None:
    """Condition 1."""
    for affine in (SCALAR, UNIFORM):
        assert_goes_up(sampling(), affine)
        assert_goes_down(sampling(), SCALAR)


@pytest.mark.parametrize("down", [False, True])
def test_an_unknown_rank_hides_the_channels(*, down: bool) -> None:
    """Condition 1."""
    net = sampling()
    net.inputs[1].type.tensor_type.ClearField("shape")

    affine = random_affine(3, -3, shift=False)
    assert_stays(net, affine, Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("given", [{}, {"padding_mode": "zeros"}])
def test_no_shift_passes_zeros(given: dict[str, Any], *, down: bool) -> None:
    """Condition 2: which is what there is by default."""
    for affine in (random_affine(3, -3), affine_of(1.0, 0.5, None)):
        assert_stays(sampling(**given), affine, Reason.SHIFT_BLOCKED, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("given", [{"mode": "lanczos"}, {"padding_mode": "wrap"}])
def test_an_unknown_mode_is_refused(given: dict[str, Any], *, down: bool) -> None:
    """Condition 2."""
    assert_stays(sampling(**given), SCALAR, Reason.UNUSUAL_FORM, down=down)


def test_the_places_do_not_change() -> None:
    """Condition 3."""
    net = Net(DOUBLE, opset=20)
    net.node("GridSample", net.input(2, 3, 3, 2), "x", out="y")

    assert_stays(net, SCALAR, Reason.UNUSUAL_FORM)
    assert_stays(net, SCALAR, Reason.UNUSUAL_FORM, down=True)
    assert_stays(sampling(), SCALAR, Reason.UNUSUAL_FORM, down=True, place=1)


@pytest.mark.parametrize("elem_type", [DOUBLE, FLOAT])
def test_batch_norms_on_both_sides_are_folded(elem_type: int) -> None:
    net = Net(elem_type, opset=16)
    net.node("Conv", net.input(2, 3, 4, 5), net.weight(4, 3, 1, 1), out="v")
    grid = net.input(2, 3, 3, 2, name="grid")
    net.batch_norm(net.node("GridSample", "v", grid, padding_mode="border"), 4, "y")
    net.batch_norm("x", 3, "n")
    read = net.node("GridSample", "n", grid, padding_mode="reflection", mode="nearest")
    net.node("Conv", read, net.weight(2, 3, 1, 1), out="z")

    assert_folds_to(net.model("y", "z"), "Conv", "GridSample", "GridSample", "Conv")


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize(("mode", "padding"), COMPARED)
def test_the_definition_agrees_with_onnxruntime(mode: str, padding: str, aligned: int) -> None:
    """What the rule is tested against; a grid that leaves the picture on all sides.

    onnxruntime brings both coordinates to the border if one is outside, which shows in cubic
    weights: not compared.
    """
    net = sampling(16, FLOAT, mode=mode, padding_mode=padding, align_corners=aligned)
    model = net.model("y")
    feed = feed_for(model)

    np.testing.assert_allclose(evaluate(model, feed)[0], run(model, feed)[0], atol=2e-5)
