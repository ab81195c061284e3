"""GridSample: each element is an average of those around a place that a grid gives.

Coordinates are computed in float32, as onnxruntime does, and with them the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.resizing import CUBIC, cubic
from folding.equivalence.sampling.values import Coordinates, Dims, Floats, Sampled, require, zeros
from folding.protos import attribute, integer

Taps = list[tuple[npt.NDArray[np.int64], Floats, Floats]]


def _text(node: NodeProto, name: str, default: str) -> str:
    found = attribute(node, name)
    return default if found is None else found.s.decode("ascii", "replace")


def _reflected(at: Floats, low: float, high: float) -> Floats:
    """A coordinate that is thrown back at both ends until it is between them."""
    length = high - low
    if not length:
        return np.full_like(at, low)
    turns, rest = np.divmod(np.abs(at - low), length)
    return np.asarray(np.where(turns % 2 == 0, low + rest, high - rest), at.dtype)


def _ends(node: NodeProto, size: int) -> tuple[float, float]:
    """The borders of an axis: the middles of the elements there, or their edges."""
    is_aligned = bool(integer(node, "align_corners", 0))
    return (0.0, size - 1.0) if is_aligned else (-0.5, size - 0.5)


def _coordinate(node: NodeProto, given: Floats, size: int) -> Floats:
    """Where a number of the grid is on an axis."""
    x, one, two, length = given.astype(np.float32), *map(np.float32, (1, 2, size))
    is_aligned = bool(integer(node, "align_corners", 0))
    at = (x + one) / two * (length - one) if is_aligned else ((x + one) * length - one) / two
    return np.rint(at) if _text(node, "mode", "linear") == "nearest" else at


def _brought_in(node: NodeProto, places: list[Floats], shape: Dims) -> list[Floats]:
    """Coordinates inside, unless zeros are outside; onnxruntime moves all if one is outside."""
    padding, ends = _text(node, "padding_mode", "zeros"), [_ends(node, size) for size in shape]
    if padding == "zeros":
        return places
    pairs = list(zip(places, ends, strict=True))
    out = np.any([(at < low) | (at > high) for at, (low, high) in pairs], 0)
    if padding == "border":
        inside = [np.clip(at, 0, size - 1) for at, size in zip(places, shape, strict=True)]
    else:
        inside = [_reflected(at, *both) for at, both in pairs]
    return [np.where(out, new, at) for new, at in zip(inside, places, strict=True)]


def _weights(node: NodeProto, at: Floats) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Places along one axis, their weights, and those by formulas with plus signs."""
    mode, first = _text(node, "mode", "linear"), np.floor(at)
    if mode == "nearest":
        yield at, np.ones_like(at), np.zeros_like(at)
    elif mode in ("linear", "bilinear"):
        yield first, first + 1 - at, np.ones_like(at)
        yield first + 1, at - first, np.ones_like(at)
    else:
        # At the border runtimes have cubic weights of their own.
        known = mode in ("cubic", "bicubic") and _text(node, "padding_mode", "") != "border"
        require(known, f"not supported: {node.op_type} by {mode}")
        for k in range(-1, 3):
            yield first + k, *cubic(CUBIC, at - first - k)


def _taps(node: NodeProto, at: Floats, size: int) -> Taps:
    """Elements along one axis, by their weights; zeros outside have none."""
    padding, taps = _text(node, "padding_mode", "zeros"), []
    for place, weight, error in _weights(node, at):
        inside = (place >= 0) & (place <= size - 1)
        if padding == "reflection":
            thrown = np.trunc(_reflected(place, *_ends(node, size)))
            kept = np.where(inside, place, thrown)
        else:
            kept = np.clip(place, 0, size - 1)
        counts = inside if padding == "zeros" else np.True_
        taps.append((kept.astype(np.int64), weight * counts, error * counts))
    return taps


def grid_sample(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """GridSample in any mode."""
    data, grid = node.input
    shape, result = pull.shape(data), pull.shape(node.output[0])
    rank = len(shape) - 2
    fits = pull.shape(grid) == (shape[0], *result[2:], rank) and result[:2] == shape[:2]
    require(fits and 0 not in shape, "the shapes of GridSample do not fit")
    places: list[Floats] = []
    for axis, size in enumerate(shape[2:]):
        last = np.full((len(coords), 1), rank - 1 - axis)
        given = pull.at(grid, np.column_stack((coords[:, :1], coords[:, 2:], last))).value
        require(bool(np.isfinite(given).all()), "a place of the grid is no number")
        places.append(_coordinate(node, given, size).astype(pull.wide))
    places = _brought_in(node, places, shape[2:])
    axes = [_taps(node, at, size) for at, size in zip(places, shape[2:], strict=True)]
    found = zeros((len(coords),), pull.wide)
    pull.spend(prod(map(len, axes)), len(coords))
    for chosen in product(*axes):
        source = np.column_stack((coords[:, :2], *(place for place, _, _ in chosen)))
        weight = np.ones(len(coords), pull.wide)
        error = np.zeros(len(coords), pull.wide)
        for _, one, off in chosen:
            weight, error = weight * one, error * np.abs(one) + np.abs(weight) * off
        part = pull.at(data, source)
        size = part.magnitude * (np.abs(weight) + error)
        found = found + Sampled(part.value * weight, size)
    return found
