"""Reductions of constants: what weight normalisation and weight standardisation compute.

Numbers are added pairwise, which keeps both the error of a sum and the time for it small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.doubled import Doubled
from folding.protos import integer, integers

_Value = Doubled | npt.NDArray[Any]
#: Of the elements that are reduced to one, which stand along the first axis.
_Reduction = Callable[[Any], _Value | None]
#: The least integer that float64 cannot tell from another one, which follows it.
_EXACT = 1 << 53


def reduced_axes(
    node: NodeProto, rest: Sequence[_Value | None], dims: tuple[int, ...]
) -> tuple[list[int], list[int]] | None:
    """The axes that a node takes away, and the shape that it leaves; None in unclear forms."""
    axes, rank = _axes(node, rest), len(dims)
    if 0 in dims or any(not -rank <= axis < rank for axis in axes):
        return None
    if not axes and integer(node, "noop_with_empty_axes", 0):
        return None  # What is left of a norm then has been written down in two ways.
    gone = sorted({axis % rank for axis in axes}) or list(range(rank))
    if integer(node, "keepdims", 1):
        return gone, [1 if axis in gone else size for axis, size in enumerate(dims)]
    return gone, [size for axis, size in enumerate(dims) if axis not in gone]


def _reduced(
    reduction: _Reduction, node: NodeProto, inputs: Sequence[_Value | None], dims: tuple[int, ...]
) -> _Value | None:
    value = inputs[0]
    found = None if value is None else reduced_axes(node, inputs[1:], value.shape)
    if value is None or found is None:
        return None
    gone, shape = found
    kept = [axis for axis in range(len(value.shape)) if axis not in gone]
    count = prod(value.shape[axis] for axis in gone)
    columns = _moved(value, lambda a: a.transpose(gone + kept).reshape(count, -1))
    result = reduction(columns)
    return None if result is None else _moved(result, lambda a: a.reshape(shape))


def _axes(node: NodeProto, rest: Sequence[_Value | None]) -> tuple[int, ...]:
    """An input of the newer operator sets, an attribute of the older ones."""
    given = rest[0] if rest else None
    if isinstance(given, np.ndarray):
        return tuple(map(int, given.ravel()))
    return tuple(integers(node, "axes") or ())


def _moved(value: _Value, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> _Value:
    return value.moved(move) if isinstance(value, Doubled) else move(value)


def _added(value: Doubled) -> Doubled:
    """The sum along the first axis."""
    odd: list[Doubled] = []
    while (half := value.shape[0] // 2) > 0:
        if value.shape[0] % 2:
            odd.append(value[-1])
        value = value[:half] + value[half : 2 * half]
    total = value[0]
    for rest in odd:
        total = total + rest
    return total


def _sum(value: _Value) -> _Value | None:
    """Of integers only what is exact in float64, in which runtimes may add them up."""
    if isinstance(value, Doubled):
        return _added(value)
    whole = value.dtype.kind in "iu"
    most = min(_EXACT - 1, np.iinfo(value.dtype).max) if whole else 0
    if not (np.abs(value.astype(np.float64)).sum(0) <= most).all():
        return None
    return np.asarray(value.sum(0, dtype=value.dtype))


def _mean(value: _Value) -> _Value | None:
    if not isinstance(value, Doubled):
        return None  # How integers are rounded is left to the runtime.
    return _added(value) / Doubled.exact(float(value.shape[0]))


def _first_norm(value: _Value) -> _Value | None:
    if not isinstance(value, Doubled):
        return None
    sign = np.where(value.high < 0, -1.0, 1.0)
    return _added(Doubled(value.high * sign, value.low * sign, value.magnitude))


def _sum_of_squares(value: _Value) -> _Value | None:
    return _added(value * value) if isinstance(value, Doubled) else None


def _second_norm(value: _Value) -> _Value | None:
    return _added(value * value).sqrt() if isinstance(value, Doubled) else None


def _largest(value: _Value) -> _Value | None:
    if not isinstance(value, Doubled):
        return np.asarray(value.max(0))
    if not value.is_finite():
        return None
    high = value.high.max(0)
    low = np.where(value.high == high, value.low, -np.inf).max(0)
    # Rounding may make any of them the largest.
    return Doubled(high, low, value.magnitude.max(0))


def _smallest(value: _Value) -> _Value | None:
    if not isinstance(value, Doubled):
        return np.asarray(value.min(0))
    found = _largest(-value)
    return -found if isinstance(found, Doubled) else None


_REDUCTIONS: dict[str, _Reduction] = {
    "ReduceL1": _first_norm,
    "ReduceL2": _second_norm,
    "ReduceMax": _largest,
    "ReduceMean": _mean,
    "ReduceMin": _smallest,
    "ReduceSum": _sum,
    "ReduceSumSquare": _sum_of_squares,
}

#: A function of a node, its inputs and the shape of its output for each operator.
REDUCTIONS = {name: partial(_reduced, reduction) for name, reduction in _REDUCTIONS.items()}
