"""What operators compute by the text of the ONNX specification, in float64: branching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attributes = dict[str, Any]
Definition = Callable[[Attributes, Sequence[Any], int], Sequence[Array]]

_PRELU_BROADCASTS_SINCE = 7
_CLIP_INPUTS_SINCE = 11


def _result_shape(values: Sequence[Array]) -> tuple[int, ...]:
    """Axes are matched from the last on; one of length 1 is stretched."""
    rank = max(value.ndim for value in values)
    padded = [(1,) * (rank - value.ndim) + value.shape for value in values]
    shape = []
    for sizes in zip(*padded, strict=True):
        wide = {size for size in sizes if size != 1}
        assert len(wide) <= 1, "these shapes cannot be broadcast"
        shape.append(wide.pop() if wide else 1)
    return tuple(shape)


def _at(value: Array, place: Sequence[int]) -> float:
    behind = place[len(place) - value.ndim :]
    at = tuple(0 if size == 1 else i for size, i in zip(value.shape, behind, strict=True))
    return float(value[at])


def _elementwise(formula: Callable[[Sequence[float]], float]) -> Definition:
    def definition(given: Attributes, inputs: Sequence[Any], opset: int) -> Sequence[Array]:
        y = np.zeros(_result_shape(inputs))
        for place in product(*map(range, y.shape)):
            y[place] = formula([_at(value, place) for value in inputs])
        return [y]

    return definition


def _leaky_relu(given: Attributes, inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    (x,) = inputs
    alpha = given.get("alpha", float(np.float32(0.01)))
    y = np.zeros(x.shape)
    for place in product(*map(range, x.shape)):
        y[place] = alpha * x[place] if x[place] < 0 else x[place]
    return [y]


def _p_relu(given: Attributes, inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """Below opset 7 the slope is one for all, or has one number for each channel."""
    x, slope = inputs
    if opset < _PRELU_BROADCASTS_SINCE and slope.size > 1:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    y = np.zeros(x.shape)
    for place in product(*map(range, x.shape)):
        y[place] = x[place] if x[place] >= 0 else _at(slope, place) * x[place]
    return [y]


def _clip(given: Attributes, inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    x, *bounds = inputs
    if opset < _CLIP_INPUTS_SINCE:
        lower, upper = given.get("min"), given.get("max")
    else:
        numbers = [None if bound is None else bound.item() for bound in bounds]
        lower, upper = (*numbers, None, None)[:2]
    y = np.array(x)
    for place in product(*map(range, x.shape)):
        if lower is not None and y[place] < lower:
            y[place] = lower
        if upper is not None and y[place] > upper:
            y[place] = upper
    return [y]


def _where(given: Attributes, inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    condition, one, other = inputs
    y = np.zeros(np.broadcast_shapes(*(x.shape for x in inputs)))
    for place in product(*map(range, y.shape)):
        y[place] = _at(one if _at(condition, place) else other, place)
    return [y]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "Max": _elementwise(max),
    "Mean": _elementwise(lambda values: sum(values) / len(values)),
    "Min": _elementwise(min),
    "PRelu": _p_relu,
    "Sum": _elementwise(sum),
    "Where": _where,
}
