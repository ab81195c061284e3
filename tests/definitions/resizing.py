"""What operators compute by the text of the ONNX specification, in float64: resizing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import ceil, floor, prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Region = tuple[float, float]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[npt.NDArray[Any]]]


def _text(given: dict[str, Any], name: str, default: str) -> str:
    return given[name].decode() if name in given else default


def _coordinate(
    given: dict[str, Any], x: int, scale: float, old: int, new: float, region: Region
) -> float:
    """``x_original`` of ``x_resized``; ``new`` is the length that the scale asks for."""
    mode, length = _text(given, "coordinate_transformation_mode", "half_pixel"), floor(new)
    if mode == "tf_crop_and_resize":
        start, end = region
        if length <= 1:
            return 0.5 * (start + end) * (old - 1)
        return start * (old - 1) + x * (end - start) * (old - 1) / (length - 1)
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        return x * (old - 1) / (length - 1) if length > 1 else 0.0
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if mode == "pytorch_half_pixel" and length <= 1:
        return 0.0
    offset = old / 2 * (1 - length / new) if mode == "half_pixel_symmetric" else 0.0
    return offset + (x + 0.5) / scale - 0.5


def _nearest(given: dict[str, Any], at: float) -> int:
    return {
        "round_prefer_floor": ceil(at - 0.5),
        "round_prefer_ceil": floor(at + 0.5),
        "floor": floor(at),
        "ceil": ceil(at),
    }[_text(given, "nearest_mode", "round_prefer_floor")]


def _cubic(a: float, distance: float) -> float:
    """Equation (4) of Keys, "Cubic convolution interpolation for digital image processing"."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def _weights(given: dict[str, Any], at: float, scale: float, old: int) -> dict[int, float]:
    """What each input element on one axis adds to an output element."""
    mode = _text(given, "mode", "nearest")
    if mode == "nearest":
        return {min(max(_nearest(given, at), 0), old - 1): 1.0}
    stretch = max(1.0, 1 / scale) if given.get("antialias", 0) else 1.0
    reach = ceil((2 if mode == "cubic" else 1) * stretch)
    found: dict[int, float] = {}
    for tap in range(floor(at) - reach, floor(at) + reach + 2):
        distance = (tap - at) / stretch
        if mode == "cubic":
            weight = _cubic(given.get("cubic_coeff_a", -0.75), distance)
        else:
            weight = max(1 - abs(distance), 0.0)
        if given.get("exclude_outside", 0) and not 0 <= tap < old:
            continue
        inside = min(max(tap, 0), old - 1)
        found[inside] = found.get(inside, 0.0) + weight
    total = sum(found.values())
    return {tap: weight / total for tap, weight in found.items() if weight}


def _on_axis(
    given: dict[str, Any], scale: float, old: int, new: float, region: Region
) -> list[dict[int, float]]:
    """The weights at each place; those of a crop are none outside of the input."""
    places = [_coordinate(given, x, scale, old, new, region) for x in range(floor(new))]
    crops = _text(given, "coordinate_transformation_mode", "") == "tf_crop_and_resize"
    return [
        {} if crops and not 0 <= at <= old - 1 else _weights(given, at, scale, old) for at in places
    ]


def _lengths(
    given: dict[str, Any], x: Array, scales: Any, sizes: Any
) -> tuple[list[float], list[float]]:
    """Scale, and length as the scale asks for it, of every axis."""
    axes = [axis % x.ndim for axis in given.get("axes", range(x.ndim))]
    scale, length = [1.0] * x.ndim, [float(n) for n in x.shape]
    if sizes is not None:
        ratios = [int(size) / x.shape[axis] for size, axis in zip(sizes, axes, strict=True)]
        policy = _text(given, "keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratios = [min(ratios) if policy == "not_larger" else max(ratios)] * len(axes)
        for axis, ratio in zip(axes, ratios, strict=True):
            scale[axis], length[axis] = ratio, float(floor(ratio * x.shape[axis] + 0.5))
    else:
        for axis, factor in zip(axes, scales, strict=True):
            scale[axis], length[axis] = float(factor), float(factor) * x.shape[axis]
    return scale, length


def resize(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """A weighted average of neighbours, on each axis by its own coordinate.

    An axis that is not among ``axes`` is left alone. What ``tf_crop_and_resize`` finds outside of
    the input is ``extrapolation_value``.
    """
    slots = (1, None) if opset < 11 else (2, 3)
    scales, sizes = (
        inputs[slot] if slot is not None and len(inputs) > slot else None for slot in slots
    )
    if opset < 11:
        given = given | {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    roi = inputs[1] if opset >= 11 and inputs[1] is not None and inputs[1].size else None
    regions = _regions(given, inputs[0].ndim, roi)
    sizes = None if sizes is None else sizes.tolist()
    return [_resized(given, inputs[0], scales, sizes, regions)]


def _regions(given: dict[str, Any], rank: int, roi: Any) -> list[Region]:
    """Where each axis begins and ends, in parts of its length."""
    found: list[Region] = [(0.0, 1.0)] * rank
    if roi is not None and given["coordinate_transformation_mode"] == b"tf_crop_and_resize":
        for place, axis in enumerate(given.get("axes", range(rank))):
            found[axis] = float(roi[place]), float(roi[place + len(roi) // 2])
    return found


def _resized(
    given: dict[str, Any], x: Array, scales: Any, sizes: Any, regions: list[Region]
) -> Array:
    scale, length = _lengths(given, x, scales, sizes)
    if sizes is None:
        length = [n * (end - start) for n, (start, end) in zip(length, regions, strict=True)]
    moved = {axis % x.ndim for axis in given.get("axes", range(x.ndim))}
    weights = [
        _on_axis(given, scale[axis], old, length[axis], regions[axis])
        if axis in moved
        else [{at: 1.0} for at in range(old)]
        for axis, old in enumerate(x.shape)
    ]
    y = np.full([floor(n) for n in length], np.nan)
    for place in product(*map(range, y.shape)):
        taps = [weights[axis][at].items() for axis, at in enumerate(place)]
        if not all(taps):
            y[place] = given.get("extrapolation_value", 0.0)
            continue
        y[place] = sum(
            prod(weight for _, weight in chosen) * x[tuple(tap for tap, _ in chosen)]
            for chosen in product(*taps)
        )
    return y


def upsample(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """As the first version of Resize, which took its place; the scales are its attribute first."""
    scales = given["scales"] if opset < 9 else inputs[1]
    return resize(given, [inputs[0], np.asarray(scales)], 10)


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {"Resize": resize, "Upsample": upsample}
