"""What no affine gets over at a Resize, and why."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import DOUBLE, FLOAT, INT64, Net
from onnx import helper
from passing import (
    Around,
    affine_of,
    ask,
    assert_goes_up,
    assert_stays,
    random_affine,
)
from resized import (
    HALF_PIXEL_FOR_NEAREST,
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

from folding.plan import Kept, Reason


@pytest.mark.parametrize("down", [False, True])
def test_numbers_from_elsewhere_are_refused(*, down: bool) -> None:
    """What is outside is no average of the data (condition 1)."""
    net = resized(SCALES, coordinate_transformation_mode="sideways")

    assert_stays(net, SCALAR, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_no_shift_passes_a_crop(*, down: bool) -> None:
    """Zeros outside stay zeros (condition 1)."""
    net = cropped(*PART, sizes=SIZES)

    for affine in (SCALAR, affine_of(1.0, 0.5, None), random_affine(3, -3)):
        assert_stays(net, affine, Reason.SHIFT_BLOCKED, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_nothing_passes_a_crop_with_another_number_outside(*, down: bool) -> None:
    """It is in no input that could be scaled (condition 1)."""
    net = cropped(*PART, sizes=SIZES, extrapolation_value=0.5)

    assert_stays(net, affine_of(2.0, 0.0, None), Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("ends", [(0.0, 0.5), (0.25, 1.0), (1.0, 0.0)])
def test_an_axis_that_is_cropped_is_refused(ends: tuple[float, float], *, down: bool) -> None:
    """Even if it is as long afterwards (condition 5)."""
    start, end = ends
    region = (0.0, start, 0.2, 0.2, 1.0, end, 1.5, 0.8)
    affine = random_affine(3, -3, shift=False)

    assert_stays(cropped(*region, sizes=SIZES), affine, Reason.MIXES_CHANNELS, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_a_region_that_comes_at_run_time_may_be_any(*, down: bool) -> None:
    """Condition 5; what is the same for all channels passes."""
    net = cropped(*PART, sizes=SIZES)
    del net.stored["roi"]
    net.input(8, name="roi")

    affine = random_affine(3, -3, shift=False)
    assert_stays(net, affine, Reason.SIZES_UNKNOWN, down=down)
    _, answer = ask(net, affine_of(-2.0, 0.0, None), down=down)
    assert not isinstance(answer, Kept)


def test_an_unknown_mode_is_refused() -> None:
    """Its weights may sum to anything (condition 1)."""
    assert_stays(resized(SCALES, mode="lanczos"), SCALAR, Reason.UNUSUAL_FORM)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("axis", [-1, -2])
def test_a_resized_axis_is_refused(axis: int, *, down: bool) -> None:
    """Its channels are mixed (condition 2)."""
    for net, after in ((resized(SCALES), (3, 8)), (resized(sizes=SIZES), (3, 7))):
        channels = SHAPE[axis] if down else after[-1 - axis]
        assert_stays(net, random_affine(channels, axis), Reason.MIXES_CHANNELS, down=down)


def test_a_scale_near_one_mixes_channels_even_if_there_are_as_many_as_before() -> None:
    """floor(4 * 1.1) is 4 (condition 2), wherever the scales are given."""
    scales = (1.0, 1.0, 1.1, 2.0)
    nets = [resized(scales, opset=opset, mode="linear") for opset in (10, 11, 13, 19)]
    nets += [upsampled(opset, scales, mode="linear") for opset in (7, 8, 9)]
    for net in nets:
        assert_stays(net, random_affine(4, -2), Reason.MIXES_CHANNELS)


def test_a_size_that_another_rules_over_is_refused() -> None:
    """The smallest ratio scales all axes (condition 2)."""
    for policy in ("not_larger", "not_smaller"):
        net = resized(sizes=(2, 3, 8, 10), opset=18, keep_aspect_ratio_policy=policy)
        assert_stays(net, random_affine(3, -3), Reason.MIXES_CHANNELS)


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        ({"nearest_mode": "floor"}, True),
        ({"nearest_mode": "round_prefer_floor"}, True),
        ({}, True),
        ({"nearest_mode": "round_prefer_ceil"}, False),
        ({"nearest_mode": "ceil"}, False),
        ({"mode": "linear"}, False),
        ({"mode": "cubic", "nearest_mode": "floor"}, False),
    ],
)
def test_half_an_element_more_must_be_rounded_away(given: dict[str, Any], *, passes: bool) -> None:
    """By the text of the specification an axis of scale 1 moves too (condition 3)."""
    net = resized(SCALES, opset=11, coordinate_transformation_mode=HALF_PIXEL_FOR_NEAREST, **given)

    assert_goes_up(net, SCALAR)
    if passes:
        assert_goes_up(net, random_affine(3, -3))
    else:
        assert_stays(net, random_affine(3, -3), Reason.MIXES_CHANNELS)


def at_run_time(name: str, after: tuple[int | str, ...]) -> Net:
    """Scales or sizes of run time, with what is known of the output."""
    net = Net(DOUBLE, opset=18)
    net.input(*SHAPE)
    kind = FLOAT if name == "scales" else INT64
    net.input(4, name=name, elem_type=kind)
    net.node("Resize", "x", "", *(["scales"] if name == "scales" else ["", "sizes"]), out="y")
    Known.after = after
    return net


class Known(Around):
    """The surroundings of a node whose output has a shape that inference found elsewhere."""

    after: tuple[int | str, ...] = ()

    def shape(self, name: str) -> Any:
        if name != "y":
            return super().shape(name)
        return tuple(size if isinstance(size, int) else None for size in self.after)


def test_sizes_of_run_time_are_known_by_the_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An axis that is as long as before is not resized (condition 4)."""
    monkeypatch.setattr("passing.Around", Known)
    net = at_run_time("sizes", (2, 3, "h", 10))

    _, answer = ask(net, random_affine(3, -3))
    assert not isinstance(answer, Kept)
    assert_stays(net, random_affine(4, -2), Reason.SIZES_UNKNOWN, down=True)
    assert_stays(net, random_affine(10, -1), Reason.MIXES_CHANNELS)
    _, answer = ask(net, UNIFORM)
    assert not isinstance(answer, Kept)


def test_scales_of_run_time_are_not_known_by_the_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be 1.1 where the size is the same (condition 4)."""
    monkeypatch.setattr("passing.Around", Known)
    net = at_run_time("scales", (2, 3, 8, 10))

    assert_stays(net, random_affine(3, -3), Reason.SIZES_UNKNOWN)
    assert_stays(net, random_affine(3, -3), Reason.SIZES_UNKNOWN, down=True)
    _, answer = ask(net, SCALAR, down=True)
    assert not isinstance(answer, Kept)


def test_an_unknown_size_before_is_refused_where_sizes_are_given() -> None:
    """It may be another one (condition 4); a scale of 1 needs none."""
    shape = ("n", "c", 4, 5)

    assert_stays(resized(sizes=SIZES, shape=shape), random_affine(3, -3), Reason.SIZES_UNKNOWN)
    assert_goes_up(resized(SCALES, shape=shape), random_affine(3, -3), n=2, c=3)


def test_axes_of_an_unknown_rank_are_refused() -> None:
    """An axis from the left cannot be compared with one from the right (condition 4)."""
    net = resized((2.0, 0.5), opset=18, axes=[2, 3])
    net.inputs[:] = [helper.make_tensor_value_info("x", DOUBLE, None)]

    assert_stays(net, random_affine(3, -3), Reason.MISSING_AXES)


def test_an_axis_that_is_listed_twice_is_refused() -> None:
    """It is undefined which scale it has (condition 4)."""
    net = resized((1.0, 2.0), opset=18, axes=[1, -3])

    assert_stays(net, random_affine(3, -3), Reason.UNUSUAL_FORM)


def test_scales_that_do_not_fit_the_axes_are_refused() -> None:
    """No runtime takes them (condition 4)."""
    assert_stays(resized((2.0, 1.0)), random_affine(3, -3), Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("opset", [6, 10])
@pytest.mark.parametrize("down", [False, True])
def test_upsample_is_refused_in_other_versions(opset: int, *, down: bool) -> None:
    """It has other attributes before, and is deprecated after (condition 5)."""
    assert_stays(upsampled(opset), SCALAR, Reason.UNUSUAL_FORM, down=down)


def test_downward_only_the_data_are_resized() -> None:
    """An affine before the scales, or before data that are the scales, changes them (6)."""
    assert_stays(resized(SCALES), SCALAR, Reason.UNUSUAL_FORM, down=True, place=2)
    net = Net(FLOAT)
    net.node("Resize", net.input(1), "", "x", out="y")
    assert_stays(net, SCALAR, Reason.UNUSUAL_FORM, down=True)
