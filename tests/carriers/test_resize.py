"""Resize and Upsample: averages with weights that sum to one, which every affine passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, Net, assert_folds_to, feed_for, run
from oracle import evaluate
from passing import (
    affine_of,
    assert_goes_down,
    assert_goes_up,
    assert_stays,
    random_affine,
)
from resized import (
    ANTIALIASED,
    COORDINATES,
    CROPPING,
    LINEAR_INSIDE,
    MODES,
    PART,
    SCALAR,
    SCALES,
    SHAPE,
    SIZES,
    UNIFORM,
    cropped,
    resized,
    upsampled,
)

from folding.affine import ChannelAffine
from folding.plan import Reason


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("given", MODES)
def test_axes_that_are_not_resized_pass(given: dict[str, Any], coordinates: str) -> None:
    """Scale and shift, of any sign, up and down, by scales and by sizes."""
    for scales, sizes in ((SCALES, ()), ((), SIZES)):
        net = resized(scales, sizes, coordinate_transformation_mode=coordinates, **given)
        assert_goes_up(net, random_affine(3, -3))
        assert_goes_down(net, random_affine(2, -4))


@pytest.mark.parametrize("opset", [10, 11, 13, 18, 19])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_every_version_passes(mode: str, opset: int) -> None:
    """Scales are the second input in opset 10, the third since, which may be followed by sizes."""
    nets = [resized(SCALES, opset=opset, mode=mode)]
    if opset > 10:
        nets.append(resized(sizes=SIZES, opset=opset, mode=mode))
    for net in nets:
        assert_goes_up(net, random_affine(3, -3))
        assert_goes_down(net, random_affine(3, -3))
        assert_stays(net, random_affine(4, -2), Reason.MIXES_CHANNELS, down=True)


@pytest.mark.parametrize("opset", [7, 8, 9])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample_passes(mode: str, opset: int) -> None:
    """Its scales are an attribute first."""
    for affine in (random_affine(3, -3), random_affine(2, -4), SCALAR):
        assert_goes_up(upsampled(opset, mode=mode), affine)
        assert_goes_down(upsampled(opset, mode=mode), affine)
    net = upsampled(opset, (1, 1, 1, 1.5), mode=mode)
    assert_goes_up(net, random_affine(4, -2))
    assert_stays(net, random_affine(5, -1), Reason.MIXES_CHANNELS, down=True)


@pytest.mark.parametrize("given", ANTIALIASED)
def test_a_stretched_filter_passes(given: dict[str, Any]) -> None:
    """Its weights are divided by their sum."""
    net = resized((1.0, 1.0, 0.5, 0.4), opset=18, **given)

    assert_goes_up(net, random_affine(3, -3))
    assert_goes_down(net, SCALAR)


@pytest.mark.parametrize(
    "given", [*MODES, {"coordinate_transformation_mode": "half_pixel_symmetric"}]
)
@pytest.mark.parametrize("affine", [SCALAR, UNIFORM])
def test_what_is_the_same_for_all_channels_passes_whatever_is_resized(
    affine: ChannelAffine, given: dict[str, Any]
) -> None:
    """It is a scalar."""
    assert_goes_down(resized((0.5, 1.5, 2.0, 0.6), opset=19, **given), affine)
    assert_goes_up(resized((1.0, 1.5, 2.0, 1.0), opset=19, **given), affine)


@pytest.mark.parametrize("opset", [18, 19])
@pytest.mark.parametrize("axes", [[2, 3], [-2, -1], [3, -2], [1, 3, 2]])
@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
def test_axes_that_are_not_listed_are_not_resized(policy: str, axes: list[int], opset: int) -> None:
    """The scales and sizes are those of the others, in their order."""
    count = len(axes)
    sizes = resized(
        sizes=(3, 7, 6)[-count:], opset=opset, axes=axes, keep_aspect_ratio_policy=policy
    )
    scales = resized((1.0, 2.0, 0.5)[-count:], opset=opset, axes=axes)

    assert_goes_up(sizes, random_affine(2, -4))
    assert_goes_up(scales, random_affine(3, -3))
    assert_goes_down(scales, random_affine(3, -3))
    if count == 3 and policy != "stretch":
        assert_stays(sizes, random_affine(3, -3), Reason.MIXES_CHANNELS)
    else:
        assert_goes_up(sizes, random_affine(3, -3))


@pytest.mark.parametrize("axes", [[3, 2, 1], [2, -3, -1]])
def test_scales_stand_in_the_order_of_the_axes(axes: list[int]) -> None:
    """Not in that of the data."""
    scales = tuple(1.0 if axis in (1, -3) else 2.0 for axis in axes)

    assert_goes_up(resized(scales, opset=18, axes=axes), random_affine(3, -3))


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("given", [each for each in MODES if each != LINEAR_INSIDE])
def test_the_definition_agrees_with_onnxruntime(given: dict[str, Any], coordinates: str) -> None:
    """What the tests above compare with is what the operator is."""
    given = given | {"coordinate_transformation_mode": coordinates}

    assert_agrees(resized(SCALES, elem_type=FLOAT, **given))
    assert_agrees(resized(sizes=SIZES, elem_type=FLOAT, **given))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_the_definitions_of_each_version_agree_with_onnxruntime(mode: str) -> None:
    """In opset 10 a smaller size is not defined, and onnxruntime rounds up there."""
    for opset in (7, 8, 9):
        assert_agrees(upsampled(opset, mode=mode, elem_type=FLOAT))
    for opset in (10, 11, 13, 18, 19):
        scales = (1.0, 1.0, 2.0, 1.5)
        assert_agrees(resized(scales, opset=opset, mode=mode, elem_type=FLOAT))


@pytest.mark.parametrize(
    "given",
    [
        {"coordinate_transformation_mode": "half_pixel_symmetric"},
        {"coordinate_transformation_mode": "half_pixel_symmetric", "mode": "cubic"},
        *ANTIALIASED,
    ],
)
def test_the_definitions_of_newer_forms_agree_with_onnxruntime(given: dict[str, Any]) -> None:
    """Filters are stretched where the size gets smaller."""
    for scales in ((1.0, 1.0, 0.5, 0.4), (1.0, 1.0, 2.0, 1.25)):
        assert_agrees(resized(scales, opset=19, elem_type=FLOAT, **given))


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
@pytest.mark.parametrize("axes", [[2, 3], [3, 2]])
def test_the_definition_of_axes_agrees_with_onnxruntime(axes: list[int], policy: str) -> None:
    """With negative axes onnxruntime ignores such a policy: not compared."""
    given: dict[str, Any] = {"axes": axes, "opset": 18, "elem_type": FLOAT}

    assert_agrees(resized((2.0, 0.5), **given))
    assert_agrees(resized(sizes=(7, 6), keep_aspect_ratio_policy=policy, **given))


CROPS: list[dict[str, Any]] = [
    {"mode": "nearest"},
    {"mode": "linear"},
    {"mode": "linear", "extrapolation_value": 0.5},
]


@pytest.mark.parametrize("given", CROPS)
def test_the_definition_of_a_crop_agrees_with_onnxruntime(given: dict[str, Any]) -> None:
    """With a region that leaves the input and one of a single element.

    By scales onnxruntime makes the result as large as of the whole input: not compared.
    """
    assert_agrees(cropped(*PART, sizes=SIZES, elem_type=FLOAT, **given))
    assert_agrees(cropped(*PART, sizes=(2, 3, 1, 4), elem_type=FLOAT, **given))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("axis", [-3, -4])
def test_a_scale_passes_what_is_cropped_along_other_axes(axis: int, mode: str) -> None:
    """Also where nothing is resized."""
    affine = random_affine(SHAPE[axis], axis, shift=False)

    for net in (
        cropped(*PART, sizes=SIZES, mode=mode),
        cropped(*PART, scales=(1, 1, 2, 2), mode=mode),
        cropped(*PART, sizes=SHAPE, mode=mode),
        cropped(-0.25, 0.25, 1.5, 0.75, sizes=(7, 3), mode=mode, opset=18, axes=[2, -1]),
        cropped(0.0, -0.25, 0.0, 1.0, 1.5, 1.0, sizes=(3, 7, 2), opset=18, axes=[1, 2, 0]),
    ):
        assert_goes_up(net, affine)
        assert_goes_down(net, affine)


def test_equal_scales_pass_whatever_is_cropped() -> None:
    net = cropped(0.0, 0.5, 0.25, 0.25, 1.0, 1.0, 1.5, 0.75, sizes=(2, 2, 7, 3), mode="linear")

    for affine in (affine_of(-2.0, 0.0, None), affine_of([0.5] * 3, [0.0] * 3, -3)):
        assert_goes_down(net, affine)
    assert_goes_up(net, affine_of(-2.0, 0.0, None))


def test_a_crop_between_a_layer_and_a_scale_is_passed() -> None:
    net = Net(FLOAT)
    net.node("Conv", net.input(1, 3, 6, 6), net.weight(3, 3, 1, 1), net.weight(3), out="v")
    roi, sizes = net.store(PART), net.integers(1, 3, 4, 4)
    given = {"coordinate_transformation_mode": CROPPING, "mode": "linear"}
    net.node("Resize", "v", roi, "", sizes, out="u", **given)
    net.node("Mul", "u", net.weight(3, 1, 1), out="y")

    assert_folds_to(net.model("y"), "Conv", "Resize")


def assert_agrees(net: Net) -> None:
    model = net.model("y")
    feed = feed_for(model)
    np.testing.assert_allclose(evaluate(model, feed)[0], run(model, feed)[0], rtol=0, atol=2e-5)
