"""What operators compute by the text of the ONNX specification, in float64: pooling, reducing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from math import ceil, floor, prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Place = tuple[int, ...]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[npt.NDArray[Any]]]


def starts_along(given: dict[str, Any], i: int, size: int, opset: int) -> tuple[list[int], int]:
    """Where the windows along spatial axis ``i`` begin, and how far the padding behind it goes."""
    count = len(given["kernel_shape"])
    stride = given.get("strides", [1] * count)[i]
    pads = given.get("pads", [0] * 2 * count)
    extent = given.get("dilations", [1] * count)[i] * (given["kernel_shape"][i] - 1) + 1
    mode = given.get("auto_pad", b"NOTSET")
    if mode == b"NOTSET":
        begin, end = pads[i], pads[i + count]
        rounded = ceil if given.get("ceil_mode", 0) else floor
        number = int(rounded((size + begin + end - extent) / stride + 1))
        starts = [place * stride - begin for place in range(number)]
        if given.get("ceil_mode", 0) and opset >= 22:
            starts = [start for start in starts if start < size]
        return starts, size + end
    if mode == b"VALID":
        return [p * stride for p in range(ceil((size - extent + 1) / stride))], size
    number = ceil(size / stride)
    total = max((number - 1) * stride + extent - size, 0)
    begin = total // 2 if mode == b"SAME_UPPER" else total - total // 2
    return [place * stride - begin for place in range(number)], size + total - begin


def pooled(
    combine: Callable[[list[Place], int], float], given: dict[str, Any], x: Array, opset: int
) -> Array:
    """From which elements each window holds, and how many it has in the padding."""
    kernel, spatial = given["kernel_shape"], x.shape[2:]
    dilations = given.get("dilations", [1] * len(kernel))
    along = [starts_along(given, i, size, opset) for i, size in enumerate(spatial)]
    y = np.zeros((*x.shape[:2], *(len(starts) for starts, _ in along)))
    for batch, channel, *place in product(*map(range, y.shape)):
        held, padding = [], 0
        for tap in product(*map(range, kernel)):
            at = [along[i][0][p] + tap[i] * dilations[i] for i, p in enumerate(place)]
            if all(0 <= a < size for a, size in zip(at, spatial, strict=True)):
                held.append((batch, channel, *at))
            elif all(a < side[1] for a, side in zip(at, along, strict=True)):
                padding += 1
        y[(batch, channel, *place)] = combine(held, padding)
    return y


def max_pool(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """The largest number of each window, and where it is in the flattened input."""
    x = inputs[0]
    image = np.arange(prod(x.shape[2:]))
    image = image.reshape(x.shape[2:], order="F" if given.get("storage_order", 0) else "C")

    def where(held: list[Place]) -> float:
        batch, channel, *at = max(held, key=lambda place: x[place], default=(0,) * x.ndim)
        return float((batch * x.shape[1] + channel) * image.size + image[tuple(at)])

    y = pooled(lambda held, _: max((x[p] for p in held), default=-np.inf), given, x, opset)
    indices = pooled(lambda held, _: where(held), given, x, opset)
    return [y, indices.astype(np.int64)]


def average_pool(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """The sum of each window over how many numbers it has, those padded counted or not."""
    x = inputs[0]

    def mean(held: list[Place], padding: int) -> float:
        count = len(held) + (padding if given.get("count_include_pad", 0) else 0)
        return sum(x[place] for place in held) / count if count else np.nan

    return [pooled(mean, given, x, opset)]


def norm(values: Iterable[float], p: int) -> float:
    """The p-th root of the sum of the p-th powers."""
    return float(sum(abs(value) ** p for value in values) ** (1 / p))


def lp_pool(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """The norm of each window; the padding is zeros."""
    x, p = inputs[0], given.get("p", 2)
    return [pooled(lambda held, _: norm((x[place] for place in held), p), given, x, opset)]


def over_all(
    pool: Definition, given: dict[str, Any], inputs: Sequence[Any], opset: int
) -> Sequence[Array]:
    """One window as large as the image."""
    return pool({**given, "kernel_shape": inputs[0].shape[2:]}, inputs, opset)[:1]


def reduced(
    combine: Callable[[list[float]], float],
    given: dict[str, Any],
    inputs: Sequence[Any],
    opset: int,
) -> list[Array]:
    """From the elements that agree in the axes that are not reduced."""
    x = inputs[0]
    by_input = len(inputs) > 1 and inputs[1] is not None
    axes = inputs[1].tolist() if by_input else list(given.get("axes", ()))
    if not axes and not given.get("noop_with_empty_axes", 0):
        axes = list(range(x.ndim))
    axes = [axis % x.ndim for axis in axes]
    y = np.zeros([1 if axis in axes else size for axis, size in enumerate(x.shape)])
    for place in product(*map(range, y.shape)):
        along = [range(x.shape[a]) if a in axes else [at] for a, at in enumerate(place)]
        y[place] = combine([float(x[at]) for at in product(*along)])
    return [y if given.get("keepdims", 1) else np.squeeze(y, tuple(axes))]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {
    "Abs": lambda _, inputs, __: [np.abs(inputs[0])],
    "AveragePool": average_pool,
    "GlobalAveragePool": partial(over_all, average_pool),
    "GlobalLpPool": partial(over_all, lp_pool),
    "GlobalMaxPool": partial(over_all, max_pool),
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "ReduceL1": partial(reduced, lambda values: norm(values, 1)),
    "ReduceL2": partial(reduced, lambda values: norm(values, 2)),
    "ReduceMax": partial(reduced, max),
    "ReduceMean": partial(reduced, lambda values: sum(values) / len(values)),
    "ReduceMin": partial(reduced, min),
    "ReduceSum": partial(reduced, sum),
    "ReduceSumSquare": partial(reduced, lambda values: sum(value * value for value in values)),
}
