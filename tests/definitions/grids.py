"""What operators compute by the text of the ONNX specification, in float64: GridSample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import ceil, floor, prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[Array]]


def _text(given: dict[str, Any], name: str, default: str) -> str:
    return given[name].decode() if name in given else default


def _reflected(at: float, low: float, high: float) -> float:
    """Thrown back at both ends, again and again."""
    while low < high and not low <= at <= high:
        at = 2 * low - at if at < low else 2 * high - at
    return at if low < high else low


def _cubic(d: float) -> float:
    a, d = -0.75, abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a


def _weights(given: dict[str, Any], number: float, size: int) -> dict[int | None, float]:
    """What each element on one axis adds; None stands for a zero outside."""
    aligned = given.get("align_corners", 0)
    at = (number + 1) / 2 * (size - 1) if aligned else ((number + 1) * size - 1) / 2
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    mode, padding = _text(given, "mode", "linear"), _text(given, "padding_mode", "zeros")
    if mode == "nearest":
        at = float(round(at))
    if not low <= at <= high and padding != "zeros":
        at = min(max(at, 0), size - 1) if padding == "border" else _reflected(at, low, high)
    first = floor(at)
    if mode == "nearest":
        taps = {ceil(at) if at > first + 0.5 else first: 1.0}
    elif mode in ("linear", "bilinear"):
        taps = {first: first + 1 - at, first + 1: at - first}
    else:
        taps = {first + k: _cubic(at - first - k) for k in range(-1, 3)}
    found: dict[int | None, float] = {}
    for place, weight in taps.items():
        inside: int | None = place
        if not 0 <= place < size:
            clamped = min(max(place, 0), size - 1)
            thrown = int(_reflected(place, low, high))
            inside = {"zeros": None, "border": clamped, "reflection": thrown}[padding]
        found[inside] = found.get(inside, 0.0) + weight
    return found


def grid_sample(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """The grid's last axis has the coordinates, the last one first, from -1 to 1."""
    x, grid = inputs
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for batch, channel, *place in product(*map(range, y.shape)):
        numbers = grid[(batch, *place)][::-1]
        pairs = zip(numbers, x.shape[2:], strict=True)
        axes = [_weights(given, float(n), size).items() for n, size in pairs]
        for taps in product(*axes):
            where = [tap for tap, _ in taps]
            if None not in where:
                weight = prod(weight for _, weight in taps)
                y[(batch, channel, *place)] += weight * x[(batch, channel, *where)]
    return [y]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {"GridSample": grid_sample}
