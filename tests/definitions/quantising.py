"""What operators compute by the text of the ONNX specification, in float64: quantising."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[Array]]


def _dequantize(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """Y = (x - zero) * scale; a scale for all, for each index of an axis, or each block of it."""
    x, scale = inputs[:2]
    zero = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(scale.shape)
    assert zero.shape == scale.shape
    block = given.get("block_size", 0)
    assert opset >= 13 or (scale.size == 1 and "axis" not in given)
    assert opset >= 21 or not block
    y = np.zeros(x.shape)
    for place in product(*map(range, x.shape)):
        at: tuple[int, ...] = (0,) * scale.ndim
        if scale.size > 1 or block:
            axis = given.get("axis", 1) % x.ndim
            at = (*place[:axis], place[axis] // block, *place[axis + 1 :]) if block else ()
            at = at or (place[axis],)
        y[place] = (float(x[place]) - float(zero[at])) * scale[at]
    return [y]


def _quantize(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """Y = saturate(round(x / scale) + zero), halves to even; a scale for all or each index."""
    x, scale = inputs[:2]
    zero = inputs[2] if len(inputs) > 2 else np.zeros(scale.shape, np.uint8)
    limits, y = np.iinfo(zero.dtype), np.zeros(x.shape, zero.dtype)
    for place in product(*map(range, x.shape)):
        at = (place[given.get("axis", 1) % x.ndim],) if scale.size > 1 else (0,) * scale.ndim
        steps = round(float(x[place]) / float(scale[at])) + int(zero[at])
        y[place] = min(max(steps, limits.min), limits.max)
    return [y]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
}
