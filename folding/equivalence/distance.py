"""How far apart two results of a run are: one number, or a sentence where no number says it."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from folding.doubled import Doubles
from folding.floats import FLOATS
from folding.protos import graphs

#: How far an output may be off where nothing measures it: so many roundings, and so much at most.
ROUNDINGS = 2.0**12
MOST = 0.1
#: Elements compared at a time, so that no copy in float64 is larger than the processor's cache.
_PIECE = 1 << 15


def distance(one: Any, other: Any) -> float | str:
    """How far a value is from the one expected, relative to that one's own size."""
    if isinstance(one, list) and isinstance(other, list):
        return _of_sequences(one, other)
    if isinstance(one, dict) or one is None:
        return 0.0 if type(one) is type(other) and one == other else "it differs"
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} {a.shape} became {b.dtype} {b.shape}"
    if a.dtype.kind in "OSU":
        return 0.0 if (a == b).all() else "it differs"
    if a.dtype.kind in "biu":
        # A rounding can flip a decision; how many is a question for the sites, not for an alarm.
        differing = np.count_nonzero(a != b)
        return 0.0 if differing <= max(1, a.size // 20) else f"{differing} elements differ"
    return _of_floats(a.reshape(-1), b.reshape(-1))


def _of_sequences(one: list[Any], other: list[Any]) -> float | str:
    if len(one) != len(other):
        return f"{len(one)} elements became {len(other)}"
    worst = 0.0
    for a, b in zip(one, other, strict=True):
        found = distance(a, b)
        if isinstance(found, str):
            return found
        worst = max(worst, found)
    return worst


def _of_floats(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float | str:
    """The root mean square of the difference over that of the first."""
    largest = 0.0
    for a, b, finite in _pieces(one, other):
        # Where the reference overflows and the fold does not, the fold is right.
        same = (np.isinf(a) & np.isfinite(b)) | (a == b) | (np.isnan(a) & np.isnan(b))
        if not same[~finite].all() or not np.isfinite(b[finite]).all():
            return "NaN or Inf elsewhere"
        for values in (a, b):
            largest = max(largest, float(np.abs(values[finite]).max(initial=0.0)))
    if not largest:
        return 0.0
    size = apart = 0.0
    count = 0
    for a, b, finite in _pieces(one, other):
        # Scaled, so that no square of a large number overflows.
        x, y = a[finite] / largest, b[finite] / largest
        size += float(np.square(x).sum())
        apart += float(np.square(x - y).sum())
        count += x.size
    return sqrt(apart / size) if size else sqrt(apart / count) * largest


def _pieces(
    one: npt.NDArray[Any], other: npt.NDArray[Any]
) -> Iterator[tuple[Doubles, Doubles, npt.NDArray[np.bool_]]]:
    """Both in float64, piece by piece, and where the first is finite."""
    for start in range(0, one.size, _PIECE):
        a, b = (x[start : start + _PIECE].astype(np.float64) for x in (one, other))
        yield a, b, np.isfinite(a)


def general_bound(model: ModelProto) -> float:
    """2^12 roundings of the coarsest float type among the weights and the signature."""
    types = {tensor.data_type for graph in graphs(model) for tensor in graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        types.add(value.type.tensor_type.elem_type)
    roundoff = max((FLOATS[t].roundoff for t in types if t in FLOATS), default=2.0**-24)
    return min(MOST, ROUNDINGS * roundoff)
