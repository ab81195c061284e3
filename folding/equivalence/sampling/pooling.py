"""Pools: one number for each window, channel by channel."""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import NodeProto

from folding.equivalence.sampling.pull import Operator, Pull
from folding.equivalence.sampling.reduction import LARGEST, MEAN, Reduction, norm, over
from folding.equivalence.sampling.rows import AT_ONCE
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require, zeros
from folding.equivalence.sampling.windows import Windows, windows
from folding.protos import integer, integers

_SPATIAL = 2
_EUCLIDEAN = 2


def _check_output(pull: Pull, node: NodeProto, data: Dims, frame: Windows) -> None:
    """What a pool gives; a last window that would begin in the padding may be left out."""
    ceil = bool(integer(node, "ceil_mode", 0))
    result, most, least = pull.shape(node.output[0]), frame.outputs(ceil=ceil), frame.outputs()
    fits = result[:2] == data[:2] and len(result) == len(data)
    fits = fits and all(a <= b <= c for a, b, c in zip(least, result[2:], most, strict=True))
    require(fits, f"the output of {node.op_type} does not fit")


def _pool(pull: Pull, node: NodeProto, coords: Coordinates, reduction: Reduction) -> Sampled:
    """A pool, of some windows at a time."""
    data = pull.shape(node.input[0])
    frame = windows(node, data[2:], integers(node, "kernel_shape") or ())
    _check_output(pull, node, data, frame)
    size = prod(frame.kernel)
    pull.spend(size, len(coords))
    found, step = zeros((len(coords),), pull.wide), max(1, AT_ONCE // max(1, size))
    for low in range(0, len(coords), step):
        some = slice(low, low + step)
        found[some] = _of_windows(pull, node, coords[some], reduction, frame)
    return found


def _of_windows(
    pull: Pull, node: NodeProto, coords: Coordinates, reduction: Reduction, frame: Windows
) -> Sampled:
    where, inside = frame.covered(coords[:, 2:])
    counts_padding = bool(integer(node, "count_include_pad", 0))
    counted = frame.padded(where) if counts_padding else inside
    row, tap = np.nonzero(inside)
    read = zeros(inside.shape, pull.wide)
    read.value[:] = reduction.outside
    read[row, tap] = pull.at(node.input[0], np.column_stack((coords[row, :2], where[row, tap])))
    return reduction.finished(reduction.part(read), counted.sum(1))


def max_pool(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """MaxPool without its indices; padding is never the largest."""
    require(slot == 0, "not supported: the indices of MaxPool")
    return _pool(pull, node, coords, LARGEST)


def average_pool(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """AveragePool; padding counts only if ``count_include_pad`` says so."""
    return _pool(pull, node, coords, MEAN)


def lp_pool(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """LpPool; padding is zero."""
    return _pool(pull, node, coords, norm(_power(node)))


def _power(node: NodeProto) -> int:
    power = integer(node, "p", _EUCLIDEAN)
    require(power > 0, f"'p' of {node.op_type} does not fit")
    return power


def _space(pull: Pull, node: NodeProto) -> list[int]:
    """All axes behind the channels."""
    return list(range(_SPATIAL, len(pull.shape(node.input[0]))))


def over_space(reduction: Reduction) -> Operator:
    """A pool over all that there is of each channel."""

    def operator(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
        return over(pull, node, coords, _space(pull, node), reduction)

    return operator


def global_lp_pool(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """GlobalLpPool."""
    return over(pull, node, coords, _space(pull, node), norm(_power(node)))
