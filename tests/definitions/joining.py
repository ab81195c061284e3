"""What operators compute by the text of the ONNX specification, in float64: joining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[npt.NDArray[Any]]]


def concat(given: dict[str, Any], inputs: Sequence[Array], opset: int) -> list[Array]:
    """The inputs behind each other along the axis."""
    axis = given["axis"] % inputs[0].ndim
    shape = list(inputs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in inputs)
    y, start = np.full(shape, np.nan), 0
    for x in inputs:
        for place in product(*map(range, x.shape)):
            to = list(place)
            to[axis] += start
            y[tuple(to)] = x[place]
        start += x.shape[axis]
    return [y]


def split(given: dict[str, Any], inputs: Sequence[Array], opset: int) -> list[Array]:
    """Parts of the given lengths, else equal ones of which the last may be smaller.

    Without lengths the number of outputs must be told by ``num_outputs``: it is not seen here.
    """
    x = inputs[0]
    axis = given.get("axis", 0) % x.ndim
    lengths = given.get("split") if opset < 13 else inputs[1] if len(inputs) > 1 else None
    if lengths is None:
        each = ceil(x.shape[axis] / given["num_outputs"])
        lengths = [each] * (given["num_outputs"] - 1)
        lengths = [*lengths, x.shape[axis] - sum(lengths)]
    parts, start = [], 0
    for length in map(int, lengths):
        shape = list(x.shape)
        shape[axis] = length
        y = np.full(shape, np.nan)
        for place in product(*map(range, shape)):
            source = list(place)
            source[axis] += start
            y[place] = x[tuple(source)]
        parts.append(y)
        start += length
    return parts


def _slice_parameters(
    given: dict[str, Any], inputs: Sequence[Any], opset: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    if opset < 10:
        starts, ends, axes, steps = given["starts"], given["ends"], given.get("axes"), None
    else:
        starts, ends, axes, steps = (
            None if len(inputs) <= i or inputs[i] is None else inputs[i].tolist()
            for i in (1, 2, 3, 4)
        )
    return (
        starts,
        ends,
        list(range(len(starts))) if axes is None else axes,
        [1] * len(starts) if steps is None else steps,
    )


def slice_(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """Effective starts and ends as version 13 spells them out; output i is at start + i * step."""
    x = inputs[0]
    first, step, count = [0] * x.ndim, [1] * x.ndim, list(x.shape)
    for start, end, at, stride in zip(*_slice_parameters(given, inputs, opset), strict=True):
        axis, size = at % x.ndim, x.shape[at]
        start += size if start < 0 else 0  # noqa: PLW2901
        end += size if end < 0 else 0  # noqa: PLW2901
        if stride > 0:
            begin, stop = min(max(start, 0), size), min(max(end, 0), size)
        else:
            begin, stop = min(max(start, 0), size - 1), min(max(end, -1), size - 1)
        first[axis], step[axis] = begin, stride
        count[axis] = max(ceil((stop - begin) / stride), 0)
    y = np.full(count, np.nan)
    for place in product(*map(range, count)):
        y[place] = x[tuple(f + p * s for f, p, s in zip(first, place, step, strict=True))]
    return [y]


def gather(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """``output[j…, i…, k…] = data[j…, indices[i…], k…]``."""
    x, indices = inputs
    axis = given.get("axis", 0) % x.ndim
    y = np.full((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), np.nan)
    for place in product(*map(range, y.shape)):
        index = indices[place[axis : axis + indices.ndim]]
        y[place] = x[(*place[:axis], int(index), *place[axis + indices.ndim :])]
    return [y]


def _source(place: int, size: int, mode: str) -> int | None:
    """Where padding comes from on one axis of the data; None if it is the constant."""
    if 0 <= place < size:
        return place
    if mode == "edge":
        return 0 if place < 0 else size - 1
    if mode == "wrap":
        return place % size
    if mode == "reflect":
        while not 0 <= place < size:
            place = -place if place < 0 else 2 * (size - 1) - place
        return place
    return None


def pad(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """Begin and end of each axis are added, or removed where they are negative."""
    x = inputs[0]
    mode = given.get("mode", b"constant").decode()
    more = [*inputs[1:], None, None, None]
    pads = given["pads"] if opset < 11 else more[0].tolist()
    value = given.get("value", 0.0) if opset < 11 else 0.0 if more[1] is None else more[1].item()
    axes = list(range(x.ndim)) if opset < 18 or more[2] is None else more[2].tolist()
    begin, end = [0] * x.ndim, [0] * x.ndim
    for i, axis in enumerate(axes):
        begin[axis], end[axis] = pads[i], pads[i + len(axes)]
    # What is removed is gone before the rest is repeated.
    sides = zip(begin, x.shape, end, strict=True)
    x = x[tuple(slice(max(-b, 0), n - max(-e, 0)) for b, n, e in sides)]
    begin, end = [max(b, 0) for b in begin], [max(e, 0) for e in end]
    y = np.full([b + n + e for b, n, e in zip(begin, x.shape, end, strict=True)], np.nan)
    for place in product(*map(range, y.shape)):
        source = [_source(p - b, n, mode) for p, b, n in zip(place, begin, x.shape, strict=True)]
        y[place] = value if None in source else x[tuple(source)]
    return [y]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {
    "Concat": concat,
    "Gather": gather,
    "Pad": pad,
    "Slice": slice_,
    "Split": split,
}
