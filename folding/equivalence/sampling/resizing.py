"""Resize and Upsample: each element is an average of some of the input's, axis by axis.

Coordinates are computed in float32, the type of the scales, as onnxruntime does: next to where the
neighbours change, another precision finds others. With them come the weights, and so the magnitude:

    sum of m[tap] * (w + e_1 * w_2 * ... + w_1 * e_2 * ... + ...),        w = |w_1| * |w_2| * ...

where w_k is the weight along axis k, and u * e_k what it may be off by: its own formula, of cubic
powers of the distance, with plus signs. A weight that is off counts where a shift is moved from
behind a Resize to before it. That coordinates are rounded does not, since the weights sum to one
anywhere; it is no part of the magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.numbers import unravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.rows import AT_ONCE
from folding.equivalence.sampling.values import Coordinates, Floats, Sampled, require, zeros
from folding.protos import attribute, integer, integers, number

_HAS_SCALES, _SCALES_ARE_INPUT, _GONE, _HAS_SIZES = 7, 9, 10, 11
_SIZES = 3
_CROPPING = "tf_crop_and_resize"
CUBIC = float(np.float32(-0.75))
_HALF = np.float32(0.5)
#: How far from a coordinate elements count.
_REACH = {"linear": 1, "cubic": 2}

Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

_NEAREST: dict[str, Callable[[Floats], Floats]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis: its lengths before and after, the scale that it is resized by, and the region."""

    before: int
    after: int
    scale: np.float32
    start: np.float32
    end: np.float32

    @property
    def is_fit(self) -> bool:
        """Whether it is as long afterwards as the scale asks for, of the axis or of the region."""
        whole = float(self.scale) * self.before
        # The product of a length and a scale is rounded before it is cut off.
        return any(abs(self.after - n) <= 1 for n in (whole, whole * float(self.end - self.start)))


@dataclass(frozen=True, slots=True)
class _Taps:
    """Which elements are averaged at each place of an axis; with what weights, off by how much."""

    places: Places
    weights: Floats
    errors: Floats


def _text(node: NodeProto, name: str, default: str) -> str:
    found = attribute(node, name)
    return default if found is None else found.s.decode("ascii", "replace")


def _coordinates(mode: str, axis: _Axis, places: Places) -> Singles:
    """Where places of the result are on the input."""
    x = places.astype(np.float32)
    if mode == "asymmetric":
        return x / axis.scale
    if mode == "align_corners":
        return x * np.float32(axis.before - 1) / np.float32(max(1, axis.after - 1))
    if mode == _CROPPING:
        length = np.float32(axis.before - 1)
        if axis.after <= 1:
            return np.full_like(x, _HALF * (axis.start + axis.end) * length)
        part = x * (axis.end - axis.start) * length / np.float32(axis.after - 1)
        return np.asarray(axis.start * length + part, np.float32)
    middle = (x + _HALF) / axis.scale
    if mode == "tf_half_pixel_for_nn":
        return middle
    if mode == "pytorch_half_pixel" and axis.after <= 1:
        return np.zeros_like(x)
    if mode == "half_pixel_symmetric":
        unseen = 1 - np.float32(axis.after) / (axis.scale * np.float32(axis.before))
        offset = float(np.float32(axis.before / 2) * unseen)
        return (offset + (places + 0.5) / float(axis.scale) - 0.5).astype(np.float32)
    known = mode in ("half_pixel", "pytorch_half_pixel")
    require(known, f"not supported: coordinates by {mode}")
    return middle - _HALF


def cubic(a: float, distance: Floats) -> tuple[Floats, Floats]:
    """Weights, and their formula with plus signs.

    R. Keys, Cubic convolution interpolation for digital image processing, 1981, equation (4).
    """
    d = np.abs(distance)
    one, two, three = abs(a), abs(a + 2), abs(a + 3)
    parts = [d <= 1, d < 2]  # noqa: PLR2004 - as it is printed
    near, far = ((a + 2) * d - (a + 3)) * d**2 + 1, a * (((d - 5) * d + 8) * d - 4)
    nearly, nearly_far = (two * d + three) * d**2 + 1, one * (((d + 5) * d + 8) * d + 4)
    return np.select(parts, [near, far], 0.0), np.select(parts, [nearly, nearly_far], 0.0)


def _taps(pull: Pull, node: NodeProto, axis: _Axis, places: Places) -> _Taps:
    """What is averaged at some places of an axis."""
    usual = "asymmetric" if pull.opset < _HAS_SIZES else "half_pixel"
    transformation = _text(node, "coordinate_transformation_mode", usual)
    at = _coordinates(transformation, axis, places).astype(pull.wide)
    if transformation != _CROPPING:
        return _taken(pull, node, axis, at)
    inside = (at >= 0) & (at <= axis.before - 1)
    found = _taken(pull, node, axis, np.where(inside, at, 0.0))
    return _Taps(found.places, found.weights * inside[:, None], found.errors * inside[:, None])


def _taken(pull: Pull, node: NodeProto, axis: _Axis, at: Floats) -> _Taps:
    """What is averaged at some coordinates of an axis."""
    usual = "floor" if pull.opset < _HAS_SIZES else "round_prefer_floor"
    mode = _text(node, "mode", "nearest")
    if mode == "nearest":
        rounding = _text(node, "nearest_mode", usual)
        require(rounding in _NEAREST, f"not supported: the nearest by {rounding}")
        nearest = np.clip(_NEAREST[rounding](at), 0, axis.before - 1).astype(np.int64)
        return _Taps(nearest[:, None], np.ones((len(at), 1)), np.zeros((len(at), 1)))
    require(mode in _REACH, f"not supported: {node.op_type} by {mode}")
    shrinks = bool(integer(node, "antialias", 0)) and axis.scale < 1
    return _interpolated(pull, node, axis, at, 1 / float(axis.scale) if shrinks else 1.0)


def _interpolated(pull: Pull, node: NodeProto, axis: _Axis, at: Floats, stretch: float) -> _Taps:
    """Weights by the distance, over ``stretch``; outside stands what is at the edge."""
    mode = _text(node, "mode", "")
    reach = ceil(_REACH[mode] * stretch)
    pull.spend(2 * reach, len(at))
    taps = np.floor(at).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distance = (taps - at[:, None]) / stretch
    if mode == "cubic":
        weights, errors = cubic(number(node, "cubic_coeff_a", CUBIC), distance)
    else:
        weights = errors = np.maximum(1 - np.abs(distance), 0.0)
    inside = np.clip(taps, 0, axis.before - 1)
    if integer(node, "exclude_outside", 0):
        weights, errors = (np.where(inside == taps, part, 0.0) for part in (weights, errors))
    used = (weights != 0).any(0)
    total = weights.sum(1, keepdims=True)
    errors = errors[:, used] * (weights != 0)[:, used]
    return _Taps(inside[:, used], (weights / total)[:, used], errors / np.abs(total))


def _scales(pull: Pull, node: NodeProto, before: Sequence[int]) -> list[np.float32]:
    """By what the axes of those lengths are resized: by what is given, or to the sizes given."""
    if pull.opset < _SCALES_ARE_INPUT:
        found = attribute(node, "scales")
        return [] if found is None else list(map(np.float32, found.floats))
    sizes = pull.integers(node.input[_SIZES]).tolist() if any(node.input[_SIZES:]) else []
    if not sizes:
        numbers = pull.numbers(node.input[2 if pull.opset >= _HAS_SIZES else 1])
        return list(map(np.float32, numbers.read(0, prod(numbers.dims)).value))
    ratios = [np.float32(a) / np.float32(b) for a, b in zip(sizes, before, strict=True)]
    policy = _text(node, "keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return ratios
    return [min(ratios) if policy == "not_larger" else max(ratios)] * len(ratios)


def _region(pull: Pull, node: NodeProto, axes: Sequence[int]) -> list[Singles]:
    """From where to where each axis is read, both as parts of its length, if it is cropped."""
    if _text(node, "coordinate_transformation_mode", "") != _CROPPING:
        return [np.array([0, 1], np.float32) for _ in axes]
    numbers = pull.numbers(node.input[1])
    ends = numbers.read(0, prod(numbers.dims)).value
    return list(ends.astype(np.float32).reshape(2, -1).T)


def _axes(pull: Pull, node: NodeProto) -> dict[int, _Axis]:
    """The axes that may be resized."""
    shape, result = pull.shape(node.input[0]), pull.shape(node.output[0])
    rank = len(shape)
    named = integers(node, "axes") or tuple(range(rank))
    require(all(-rank <= axis < rank for axis in named), f"'axes' of {node.op_type} do not fit")
    axes = [axis % rank for axis in named]
    scales, region = _scales(pull, node, [shape[axis] for axis in axes]), _region(pull, node, axes)
    found = {
        axis: _Axis(shape[axis], result[axis], scale, *ends)
        for axis, scale, ends in zip(axes, scales, region, strict=True)
    }
    stay = all(result[axis] == size for axis, size in enumerate(shape) if axis not in found)
    fits = stay and all(axis.is_fit for axis in found.values())
    require(fits and len(result) == rank, f"the output of {node.op_type} does not fit")
    return found


def resize(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Resize in any mode; if any number stands outside of the input, it is 0."""
    outside = number(node, "extrapolation_value", 0.0)
    require(not outside, f"not supported: {outside} outside of the input")
    taps = {
        axis: _taps(pull, node, own, coords[:, axis]) for axis, own in _axes(pull, node).items()
    }
    size = prod(own.places.shape[1] for own in taps.values())
    pull.spend(size, len(coords))
    found, step = zeros((len(coords),), pull.wide), max(1, AT_ONCE // max(1, size))
    for low in range(0, len(coords), step):
        some = slice(low, low + step)
        found[some] = _averaged(pull, node.input[0], coords[some], some, taps)
    return found


def _averaged(
    pull: Pull, name: str, coords: Coordinates, some: slice, taps: dict[int, _Taps]
) -> Sampled:
    """Some of the elements: every tap of an axis meets every one of the others."""
    counts = tuple(own.places.shape[1] for own in taps.values())
    chosen = unravelled(np.arange(prod(counts)), counts)
    source = np.repeat(coords[:, None], len(chosen), 1)
    weights, errors = np.ones(source.shape[:2], pull.wide), np.zeros(source.shape[:2], pull.wide)
    for column, (axis, own) in enumerate(taps.items()):
        tap = chosen[:, column]
        source[..., axis] = own.places[some][:, tap]
        weight = own.weights[some][:, tap]
        errors = errors * np.abs(weight) + np.abs(weights) * own.errors[some][:, tap]
        weights = weights * weight
    read = pull.at(name, source.reshape(-1, source.shape[-1])).reshape(*weights.shape)
    magnitude = read.magnitude * (np.abs(weights) + errors)
    return Sampled((read.value * weights).sum(1), magnitude.sum(1))


def upsample(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Upsample, which is the first version of Resize."""
    known = _HAS_SCALES <= pull.opset < _GONE
    require(known, f"not supported: Upsample of opset {pull.opset}")
    return resize(pull, node, slot, coords)
