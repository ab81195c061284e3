"""What operators compute by the text of the ONNX specification, in float64: selecting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[Array]]


def cum_sum(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """The j-th of the first (or, in reverse, the last) j elements, itself included or not."""
    data, axis = inputs[0], int(inputs[1])
    rows = np.moveaxis(data, axis, -1)
    found = np.empty_like(rows)
    for place in np.ndindex(*rows.shape):
        *row, j = place
        shut = 1 if given.get("exclusive", 0) else 0
        part = slice(j + shut, None) if given.get("reverse", 0) else slice(0, j + 1 - shut)
        found[place] = rows[(*row, part)].sum()
    return [np.moveaxis(found, -1, axis)]


def trilu(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """On and above the k-th diagonal, or on and below it; zero elsewhere."""
    data = inputs[0]
    k = int(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else 0
    found = data.copy()
    for place in np.ndindex(*data.shape):
        row, column = place[-2:]
        keeps = column >= row + k if given.get("upper", 1) else column <= row + k
        if not keeps:
            found[place] = 0
    return [found]


def reverse_sequence(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """Of each batch the first so many elements in time are reversed, the others stay."""
    data, lengths = inputs
    time, batch = given.get("time_axis", 0), given.get("batch_axis", 1)
    found = data.copy()
    for place in np.ndindex(*data.shape):
        length, origin = lengths[place[batch]], list(place)
        if place[time] < length:
            origin[time] = length - 1 - place[time]
        found[place] = data[tuple(origin)]
    return [found]


def compress(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """The slices along the axis whose condition holds, of the flat data without one."""
    data, condition = inputs
    axis = given.get("axis")
    source = data.reshape(-1) if axis is None else np.moveaxis(data, axis, 0)
    found = source[[i for i, holds in enumerate(condition) if holds]]
    return [found if axis is None else np.moveaxis(found, 0, axis)]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {
    "Compress": compress,
    "CumSum": cum_sum,
    "ReverseSequence": reverse_sequence,
    "Trilu": trilu,
}
