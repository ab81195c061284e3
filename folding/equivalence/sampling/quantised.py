"""DequantizeLinear of constants: integers that stand for the numbers of a weight.

    y = (x - zero) * scale

The difference of two integers is exact, and so it is of no consequence how large they are.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from folding.equivalence.sampling.numbers import pick
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require
from folding.protos import integer

_DEFAULT_AXIS = 1


def dequantize_linear(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """One scale for all, for each index of an axis, or for each block of it."""
    data = pull.quantised(node.input[0])
    places = _places(node, coords, data.dims, pull.shape(node.input[1]))
    count = pick(data, coords, pull.wide).value
    if len(node.input) > 2 and node.input[2]:  # noqa: PLR2004
        zero = pull.quantised(node.input[2])
        require(zero.dims == pull.shape(node.input[1]), "the zero point has another shape")
        count = count - pick(zero, places, pull.wide).value
    return Sampled(count, np.abs(count)) * pull.at(node.input[1], places)


def _places(node: NodeProto, coords: Coordinates, dims: Dims, scale: Dims) -> Coordinates:
    """Where the scale of each element stands."""
    axis, block = integer(node, "axis", _DEFAULT_AXIS), integer(node, "block_size", 0)
    axis += len(dims) if axis < 0 else 0
    if block:
        places = coords.copy()
        places[:, axis] //= block
        return places
    if np.prod(scale) == 1:
        return np.zeros((len(coords), len(scale)), np.int64)
    require(scale == dims[axis : axis + 1], "the scale of DequantizeLinear does not fit")
    return coords[:, axis : axis + 1]
