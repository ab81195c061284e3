"""Pad: a constant, or what is there once more; a negative length crops."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.moves import given
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require
from folding.protos import attribute, number

_HAS_INPUTS_SINCE = 11


def pad(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Pad of every mode."""
    shape = pull.shape(node.input[0])
    heads, tails = _pads(pull, node, len(shape))
    expected = tuple(h + size + t for h, size, t in zip(heads, shape, tails, strict=True))
    require(expected == pull.shape(node.output[0]), "the shapes of Pad do not fit")
    source = coords - np.array(heads, np.int64)
    mode = attribute(node, "mode")
    if mode is None or mode.s in (b"", b"constant"):
        return _filled(pull, node, source, shape)
    # What is cropped is gone before the rest is repeated.
    first = [max(0, -head) for head in heads]
    last = [size - max(0, -tail) - 1 for size, tail in zip(shape, tails, strict=True)]
    for axis, (low, high) in enumerate(zip(first, last, strict=True)):
        source[:, axis] = low + _repeated(mode.s, source[:, axis] - low, high - low + 1)
    return pull.at(node.input[0], source)


def _repeated(mode: bytes, place: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Which of so many elements stands at places that may be outside."""
    if mode == b"edge":
        return np.clip(place, 0, size - 1)
    if mode == b"wrap":
        return place % size
    require(mode == b"reflect", "not supported: Pad of another mode")
    period = max(1, 2 * (size - 1))
    back = place % period
    return np.minimum(back, period - back) if size > 1 else back


def _filled(pull: Pull, node: NodeProto, source: Coordinates, shape: Dims) -> Sampled:
    inside = ((source >= 0) & (source < np.array(shape, np.int64))).all(1)
    filling = _filling(pull, node)
    found = Sampled(
        np.full(len(source), filling, pull.wide), np.full(len(source), abs(filling), pull.wide)
    )
    found[inside] = pull.at(node.input[0], source[inside])
    return found


def _filling(pull: Pull, node: NodeProto) -> float:
    if pull.opset < _HAS_INPUTS_SINCE:
        return number(node, "value", 0.0)
    if len(node.input) < 3 or not node.input[2]:  # noqa: PLR2004
        return 0.0
    numbers = pull.numbers(node.input[2])
    require(prod(numbers.dims) == 1, "Pad with more than one number")
    return float(numbers.read(0, 1).value[0])


def _pads(pull: Pull, node: NodeProto, rank: int) -> tuple[Dims, Dims]:
    """How much is added before and behind each axis."""
    name = "paddings" if pull.opset < 2 else "pads"  # noqa: PLR2004
    pads = given(pull, node, 1, name, _HAS_INPUTS_SINCE) or []
    axes = given(pull, node, 3, "axes", _HAS_INPUTS_SINCE)
    axes = list(range(rank)) if axes is None else axes
    fits = len(pads) == 2 * len(axes) and all(-rank <= axis < rank for axis in axes)
    require(fits, "the lengths of Pad do not fit")
    whole: npt.NDArray[np.int64] = np.zeros((2, rank), np.int64)
    whole[:, axes] = np.array(pads, np.int64).reshape(2, -1)
    heads, tails = whole.tolist()
    return tuple(heads), tuple(tails)
