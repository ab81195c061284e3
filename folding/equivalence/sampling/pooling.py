"""Pools and reductions: one number for each window, channel by channel.

Neither a mean nor a maximum is moved by more than what it is taken of, so a mean's magnitude is the
mean of the magnitudes, and a maximum's the largest of them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.moves import given
from folding.equivalence.sampling.numbers import unravelled
from folding.equivalence.sampling.pull import Operator, Pull
from folding.equivalence.sampling.values import (
    Coordinates,
    Dims,
    Floats,
    Sampled,
    require,
    zeros,
)
from folding.equivalence.sampling.windows import Windows, windows
from folding.protos import integer, integers

#: Elements of the input that are in memory at the same time.
_AT_ONCE = 1 << 19
_SPATIAL = 2

#: Makes one number of each row, given how many elements a row counts for.
Reduce = Callable[[Floats, npt.NDArray[np.int64]], Floats]


def mean(rows: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """The mean of each row."""
    return np.asarray(rows.sum(1) / counts)


def total(rows: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """The sum of each row."""
    return np.asarray(rows.sum(1))


def largest(rows: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """The largest number of each row."""
    return np.asarray(rows.max(1))


def _in_parts(
    pull: Pull, coords: Coordinates, size: int, reduce: Callable[[Coordinates], Sampled]
) -> Sampled:
    """Reduce rows of ``size`` elements, as many at a time as fit the memory."""
    pull.spend(size, len(coords))
    found, step = zeros((len(coords),), pull.wide), max(1, _AT_ONCE // max(1, size))
    for low in range(0, len(coords), step):
        part = reduce(coords[low : low + step])
        found.value[low : low + step] = part.value
        found.magnitude[low : low + step] = part.magnitude
    return found


def _check_output(pull: Pull, node: NodeProto, data: Dims, frame: Windows) -> None:
    """What a pool gives; a last window that would begin in the padding may be left out."""
    ceil = bool(integer(node, "ceil_mode", 0))
    result, most, least = pull.shape(node.output[0]), frame.outputs(ceil=ceil), frame.outputs()
    fits = result[:2] == data[:2] and len(result) == len(data)
    fits = fits and all(a <= b <= c for a, b, c in zip(least, result[2:], most, strict=True))
    require(fits, f"the output of {node.op_type} does not fit")


def _pool(
    pull: Pull, node: NodeProto, coords: Coordinates, reduce: Reduce, filling: float
) -> Sampled:
    """A pool; ``filling`` stands where a window is outside of the data."""
    data = pull.shape(node.input[0])
    frame = windows(node, data[2:], integers(node, "kernel_shape") or ())
    _check_output(pull, node, data, frame)
    with_padding = bool(integer(node, "count_include_pad", 0))

    def part(some: Coordinates) -> Sampled:
        where, inside = frame.covered(some[:, 2:])
        counted = frame.padded(where) if with_padding else inside
        row, tap = np.nonzero(inside)
        found = pull.at(node.input[0], np.column_stack((some[row, :2], where[row, tap])))
        value = np.full(inside.shape, filling, pull.wide)
        magnitude = np.zeros(inside.shape, pull.wide)
        value[row, tap], magnitude[row, tap] = found.value, found.magnitude
        counts = counted.sum(1)
        return Sampled(reduce(value, counts), reduce(magnitude, counts))

    return _in_parts(pull, coords, prod(frame.kernel), part)


def max_pool(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """MaxPool without its indices; padding is never the largest."""
    require(slot == 0, "not supported: the indices of MaxPool")
    return _pool(pull, node, coords, largest, -np.inf)


def average_pool(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """AveragePool; padding counts only if ``count_include_pad`` says so."""
    return _pool(pull, node, coords, mean, 0.0)


def _reduce(
    pull: Pull, node: NodeProto, coords: Coordinates, axes: list[int], reduce: Reduce
) -> Sampled:
    """Reduce whole axes; those kept have a length of one, if they are there at all."""
    data = pull.shape(node.input[0])
    kept = [axis for axis in range(len(data)) if axis not in axes]
    keeps = bool(integer(node, "keepdims", 1))
    expected = [1 if axis in axes else size for axis, size in enumerate(data)]
    result = tuple(expected) if keeps else tuple(data[axis] for axis in kept)
    require(result == pull.shape(node.output[0]), f"the output of {node.op_type} does not fit")
    sizes = tuple(data[axis] for axis in axes)
    size = prod(sizes)
    pull.spend(size)
    inner = unravelled(np.arange(size), sizes)

    def part(some: Coordinates) -> Sampled:
        source = np.empty((len(some), size, len(data)), np.int64)
        source[..., axes] = inner
        source[..., kept] = (some[:, kept] if keeps else some)[:, None]
        found = pull.at(node.input[0], source.reshape(-1, len(data))).reshape(len(some), size)
        counts = np.full(len(some), size)
        return Sampled(reduce(found.value, counts), reduce(found.magnitude, counts))

    return _in_parts(pull, coords, size, part)


def over_space(reduce: Reduce) -> Operator:
    """A pool over all that there is of each channel."""

    def operator(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
        axes = list(range(_SPATIAL, len(pull.shape(node.input[0]))))
        return _reduce(pull, node, coords, axes, reduce)

    return operator


def over_axes(reduce: Reduce, since: int) -> Operator:
    """A reduction of some axes, or of all of them, which are an input from an opset on."""

    def operator(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
        rank = len(pull.shape(node.input[0]))
        axes = given(pull, node, 1, "axes", since) or []
        if not axes and not (pull.opset >= since and integer(node, "noop_with_empty_axes", 0)):
            axes = list(range(rank))
        require(all(-rank <= axis < rank for axis in axes), f"'axes' of {node.op_type} do not fit")
        return _reduce(pull, node, coords, sorted({axis % rank for axis in axes}), reduce)

    return operator
