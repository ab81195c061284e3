"""Weights that nodes compute from constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from graphs import FLOAT, HALF
from onnx import TensorProto

if TYPE_CHECKING:
    from growing.grower import Grower

_FLOAT_SINCE, _AXIS_SINCE, _HALF_SINCE = 10, 13, 19


def normalised(g: Grower, *shape: int) -> str:
    """A weight under weight normalisation, with a norm for each index of an axis."""
    axis = g.upto(len(shape) - 1)
    others = [i for i in range(len(shape)) if i != axis]
    v = g.net.weight(*shape)
    more, given = g.listed("axes", others, 18)
    norm = g.compute("ReduceL2", v, *more, keepdims=1, **given)
    size = g.net.weight(*(n if i == axis else 1 for i, n in enumerate(shape)))
    if g.flip():
        return g.compute("Mul", g.compute("Div", v, norm), size)
    return g.compute("Mul", v, g.compute("Div", size, norm))


def dequantised(g: Grower, *shape: int) -> str:
    """A weight of 8-bit integers."""
    least: dict[int, int] = {FLOAT: _FLOAT_SINCE, HALF: _HALF_SINCE}
    if g.net.opset < least.get(g.net.elem_type, g.net.opset + 1):
        return normalised(g, *shape)
    data = g.net.store(g.net.random.integers(-99, 99, shape), "", TensorProto.INT8)
    axis, count = g.upto(len(shape) - 1), g.pick((), (), (1,))
    if g.net.opset >= _AXIS_SINCE and g.flip():
        count = (shape[axis],)
    scales = g.net.store(g.net.random.uniform(0.005, 0.02, count))
    zero = np.full(count, g.upto(3))
    more = [g.net.store(zero, "", TensorProto.INT8)] if g.flip() else []
    given = {"axis": axis} if g.net.opset >= _AXIS_SINCE else {}
    return g.compute("DequantizeLinear", data, scales, *more, **given)
