"""Resize and Upsample, against onnxruntime and the text of the specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, INT64, Feed, Net, feed_for, run
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import ModelProto
from resized import ANTIALIASED, COORDINATES, MODES, PART, cropped, resized, upsampled
from samples import assert_by_definition, assert_exact, outputs_of, sampled, untyped

from folding.equivalence.sampling import Sampled, Unsupported, resizing

SHAPE = (1, 2, 9, 7)
PLACES = [*COORDINATES, "half_pixel_symmetric"]
#: What onnxruntime may lose, in roundings of the magnitude.
ROUNDINGS = 8.0
#: The runtime takes a number next to a half for one.
UNSURE = {"nearest_mode": "round_prefer_ceil", "coordinate_transformation_mode": "asymmetric"}


@st.composite
def resizes(draw: st.DrawFn) -> ModelProto:
    """A Resize by scales or sizes, of two axes."""
    mode = draw(st.sampled_from(MODES))
    assume("linear" not in mode.values() or not mode.get("exclude_outside"))  # No kernel has it.
    opset = draw(st.sampled_from([11, 13, 18, 19]))
    places = draw(st.sampled_from(PLACES if opset > 18 else COORDINATES))
    given = {**mode, "coordinate_transformation_mode": places}
    assume(not given.items() >= UNSURE.items())
    after = [draw(st.integers(1, 20)) for _ in SHAPE[2:]]
    if opset > 11 and draw(st.booleans()):
        sizes = (*SHAPE[:2], *after)
        net = resized(sizes=sizes, opset=opset, elem_type=FLOAT, shape=SHAPE, **given)
    else:
        ratios = [np.float32(new / old) for new, old in zip(after, SHAPE[2:], strict=True)]
        # A little more, so that no size is cut off; but nearest neighbours would be torn by it, and
        # what keeps its size is copied.
        exact = mode["mode"] == "nearest"
        scales = [float(r if exact or r == 1 else np.nextafter(r, np.float32(9))) for r in ratios]
        net = resized((1, 1, *scales), opset=opset, elem_type=FLOAT, shape=SHAPE, **given)
    return net.model("y")


def assert_run(model: ModelProto, middle: float = 0.0) -> None:
    """The runtime is off by no more than a few roundings of the magnitude."""
    feed = {"x": (feed_for(model)["x"] + middle).astype(np.float32)}
    (found,), (value,) = outputs_of(model, feed), run(model, feed)
    roundings = np.abs(found.value - value) / found.magnitude * 2.0**24
    assert roundings.max() <= ROUNDINGS
    assert (found.magnitude * (1 + 1e-12) >= np.abs(found.value)).all()


@given(resizes(), st.sampled_from([0.0, 1000.0]))
def test_a_resize_is_what_the_runtime_computes(model: ModelProto, middle: float) -> None:
    """In every mode, by every transformation of the coordinates, beside a large shift or not."""
    assert_run(model, middle)


@pytest.mark.parametrize("places", COORDINATES)
@pytest.mark.parametrize("mode", [*MODES, *ANTIALIASED])
def test_a_resize_is_what_the_specification_says(mode: dict[str, Any], places: str) -> None:
    """To the last digits of float64, where the coordinates are exact in float32."""
    given = {**mode, "coordinate_transformation_mode": places}
    if places == "align_corners":
        net = resized(sizes=(1, 1, 3, 5), opset=19, shape=(1, 1, 6, 3), **given)
    else:
        net = resized((1, 1, 0.5, 2), opset=19, shape=(1, 1, 8, 5), **given)

    assert_by_definition(net.model("y"))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("places", PLACES)
def test_what_is_cut_off_by_rounding_matters_to_one_transformation(places: str, mode: str) -> None:
    """It centres what is left."""
    given: dict[str, Any] = {"coordinate_transformation_mode": places, "mode": mode}
    net = resized((1, 1, 1.3, 0.7), opset=19, elem_type=FLOAT, shape=(1, 2, 9, 9), **given)

    assert_run(net.model("y"))


@pytest.mark.parametrize("scale", [0.13, 0.4, 0.9, 1.7])
@pytest.mark.parametrize("mode", ANTIALIASED)
def test_antialiasing_spreads_the_weights(mode: dict[str, Any], scale: float) -> None:
    """As much as an axis shrinks."""
    net = resized((1, 1, 1, scale), opset=18, elem_type=FLOAT, shape=(1, 1, 2, 31), **mode)

    assert_run(net.model("y"))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_what_is_outside_of_a_crop_is_zero(mode: str, opset: int) -> None:
    """By sizes and scales, and a single element is in the middle."""
    given: dict[str, Any] = {"mode": mode, "opset": opset, "elem_type": FLOAT}

    for net in (
        cropped(*PART, sizes=(2, 3, 7, 9), **given),
        cropped(*PART, sizes=(2, 3, 1, 4), **given),
        cropped(*PART, scales=(1, 1, 2, 2), **given),
    ):
        model = net.model("y")
        feed = feed_for(model)
        (found,), (value,) = outputs_of(model, feed), run(model, feed)
        assert (np.abs(found.value - value) <= ROUNDINGS * 2.0**-24 * found.magnitude).all()
        assert value.shape[2] == 1 or not found.magnitude[:, :, 0].any()


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_a_crop_by_scales_is_what_the_specification_says(mode: str) -> None:
    """As long as they make the region; onnxruntime takes them for the whole."""
    region, scales = (0.0, 0.0, 0.0, -0.5, 1.0, 1.0, 0.5, 1.5), (1.0, 1.0, 2.0, 0.5)
    net = cropped(*region, scales=scales, shape=(1, 1, 5, 5), mode=mode)

    assert_by_definition(net.model("y"))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [7, 8, 9])
def test_upsample_is_what_the_runtime_computes(opset: int, mode: str) -> None:
    """Its scales are an attribute first."""
    assert_run(upsampled(opset, (1, 1, 2, 1.5), elem_type=FLOAT, mode=mode).model("y"))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_the_first_resize_is_what_the_runtime_computes(mode: str) -> None:
    """It has neither sizes nor a choice of coordinates."""
    assert_run(resized((1, 1, 2, 1.5), opset=10, elem_type=FLOAT, mode=mode).model("y"))


@pytest.mark.parametrize(
    ("axes", "policy"),
    [([3, -2], "stretch"), ([3, 2], "stretch"), ([3, 2], "not_larger"), ([3, 2], "not_smaller")],
)
def test_some_axes_may_be_resized(axes: list[int], policy: str) -> None:
    """In any order, each by its own scale, or all by the same."""
    given: dict[str, Any] = {"keep_aspect_ratio_policy": policy, "mode": "linear"}
    net = resized(sizes=(7, 11), opset=18, elem_type=FLOAT, axes=axes, **given)

    assert_run(net.model("y"))


def test_nearest_elements_are_moved_as_they_are() -> None:
    """The magnitude is theirs."""
    assert_exact(resized((1, 1, 2, 0.75), elem_type=FLOAT, mode="nearest").model("y"))


@pytest.mark.parametrize("rounding", ["floor", "round_prefer_floor"])
def test_coordinates_may_be_half_an_element_off(rounding: str) -> None:
    """For the sake of old models; those of unscaled axes, too."""
    given: dict[str, Any] = {
        "coordinate_transformation_mode": "tf_half_pixel_for_nn",
        "nearest_mode": rounding,
    }

    assert_exact(resized((1, 1, 2, 1.5), elem_type=FLOAT, **given).model("y"))


def test_a_linear_weight_has_the_magnitude_of_itself_and_its_rounding() -> None:
    """Of both axes; a weight of one is rounded no less."""
    net = resized((1, 1, 1, 2), elem_type=FLOAT, shape=(1, 1, 1, 2), mode="linear")

    (found,) = outputs_of(net.model("y"), {"x": np.array([[[[4, -8]]]], np.float32)})

    assert found.value.ravel().tolist() == [4, 1, -5, -8]
    # The first two axes, and the third, are interpolated with weights of one.
    assert found.magnitude.ravel().tolist() == [20, 25, 35, 40]


@pytest.mark.parametrize("by", ["scales", "sizes"])
def test_scales_and_sizes_may_be_inputs(by: str) -> None:
    """Their values are those of the run."""
    net = Net()
    x, feed = net.input(1, 1, 3, 4), {"x": np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)}
    if by == "scales":
        inputs = ["", net.input(4, name="by")]
        feed["by"] = np.array([1, 1, 2, 1.5], np.float32)
    else:
        inputs = ["", "", net.input(4, name="by", elem_type=INT64)]
        feed["by"] = np.array([1, 1, 6, 6])
    net.node("Resize", x, *inputs, out="y", mode="linear")
    model = net.model("y")

    (found,), (value,) = outputs_of(model, feed), run(model, feed)

    np.testing.assert_allclose(found.value, value, rtol=1e-6)


def test_what_is_averaged_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each element comes from its own part."""
    monkeypatch.setattr(resizing, "AT_ONCE", 40)

    assert_run(resized((1, 1, 2, 1.5), elem_type=FLOAT, mode="cubic").model("y"))


@pytest.mark.parametrize(
    ("net", "result"),
    [
        (cropped(*PART, sizes=(2, 3, 8, 10), extrapolation_value=0.5), (2, 3, 8, 10)),
        (cropped(*PART, 2.0, sizes=(2, 3, 8, 10)), (2, 3, 8, 10)),
        (cropped(*PART[:4], sizes=(2, 3, 8, 10)), (2, 3, 8, 10)),
        (cropped(*PART, sizes=(2, 3, 8, 10)), (2, 3, 8, 12)),
        (resized((1, 1, 2, 2), mode="lanczos"), (2, 3, 8, 10)),
        (resized((1, 1, 2, 2), mode="nearest", nearest_mode="up"), (2, 3, 8, 10)),
        (resized((1, 1, 2, 2)), (2, 3, 8, 12)),
        (resized((1, 1, 2, 2)), (2, 3, 8)),
        (resized((1, 2, 2)), (2, 3, 8, 10)),
        (resized(sizes=(2, 3, 8, 12)), (2, 3, 8, 10)),
        (resized((2,), opset=18, axes=[4]), (2, 3, 8, 10)),
        (resized((2,), opset=18, axes=[3]), (2, 3, 8, 10)),
        (resized((1, 1, 1, 1e-30), opset=18, mode="cubic", antialias=1), (2, 3, 4, 1)),
        (upsampled(9), (2, 3, 8, 9)),
    ],
)
def test_a_resize_that_does_not_fit_its_shapes_is_not_supported(
    net: Net, result: tuple[int, ...]
) -> None:
    """Nor one that puts numbers of its own outside of the input."""
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


@pytest.mark.parametrize("opset", [6, 10])
def test_upsample_is_known_in_some_opsets_only(opset: int) -> None:
    """Before, it had other attributes; afterwards it was gone."""
    model = untyped(upsampled(9), "y")
    model.opset_import[0].version = opset
    feed: Feed = feed_for(model)

    found = sampled(model, feed, {"y": (2, 3, 8, 7)}, "y")

    assert found == Unsupported(f"not supported: Upsample of opset {opset}")
    model.opset_import[0].version = 9
    assert isinstance(sampled(model, feed, {"y": (2, 3, 8, 7)}, "y"), Sampled)
