"""What operators compute by the text of the ONNX specification, in float64: moving."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[Array]]
Place = tuple[int, ...]


def _places(shape: Iterable[int]) -> Iterator[Place]:
    """The indices of all elements, the last axis running fastest."""
    return product(*map(range, shape))


def _built(shape: Sequence[int], source: Array, origin: Callable[[Place], Place]) -> list[Array]:
    """The tensor whose every element is the source's at its origin."""
    result = np.empty(tuple(shape), source.dtype)
    for place in _places(shape):
        result[place] = source[origin(place)]
    return [result]


def _in_order(shape: Sequence[int], source: Array) -> list[Array]:
    """The source's elements, one after the other."""
    origins = dict(zip(_places(shape), _places(source.shape), strict=True))
    return _built(shape, source, lambda place: origins[place])


def _whole(sizes: Array) -> list[int]:
    """Sizes, whatever type they were computed in."""
    return [int(size) for size in sizes]


def reshape(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """A 0 copies a size (unless ``allowzero``), a -1 is what is left."""
    data = inputs[0]
    sizes = given["shape"] if opset < 5 else _whole(inputs[1])
    copies = opset < 14 or not given.get("allowzero", 0)
    shape = [data.shape[i] if d == 0 and copies else d for i, d in enumerate(sizes)]
    if -1 in shape:
        rest = prod(size for size in shape if size != -1)
        shape = [data.size // rest if size == -1 else size for size in shape]
    return _in_order(shape, data)


def flatten(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """A matrix of the axes before ``axis`` and those from it on."""
    data, axis = inputs[0], given.get("axis", 1)
    if axis < 0:
        assert opset >= 11
        axis += data.ndim
    return _in_order((prod(data.shape[:axis]), prod(data.shape[axis:])), data)


def depth_to_space(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """Output pixel (h·b + i, w·b + j) of channel c is pixel (h, w) of an input channel."""
    (n, depth, rows, columns), b = inputs[0].shape, given["blocksize"]
    channels = depth // b**2
    mode = _mode(given)

    def origin(place: Place) -> Place:
        batch, c, row, column = place
        (h, i), (w, j) = divmod(row, b), divmod(column, b)
        return batch, _deep(mode, b, channels, (c, i, j)), h, w

    return _built((n, channels, rows * b, columns * b), inputs[0], origin)


def space_to_depth(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """The reverse of DepthToSpace, whose mode is DCR below opset 28."""
    (n, channels, rows, columns), b = inputs[0].shape, given["blocksize"]
    mode = _mode(given)
    parts = {_deep(mode, b, channels, part): part for part in _places((channels, b, b))}

    def origin(place: Place) -> Place:
        batch, deep, h, w = place
        c, i, j = parts[deep]
        return batch, c, h * b + i, w * b + j

    return _built((n, channels * b**2, rows // b, columns // b), inputs[0], origin)


def _mode(given: dict[str, Any]) -> str:
    return bytes(given.get("mode", b"DCR")).decode()


def _deep(mode: str, b: int, channels: int, part: Place) -> int:
    c, i, j = part
    return (i * b + j) * channels + c if mode == "DCR" else (c * b + i) * b + j


def expand(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """Sizes are aligned at the right; where they differ, one of them is one."""
    data, sizes = inputs[0], _whole(inputs[1])
    rank = max(data.ndim, len(sizes))
    own = [1] * (rank - data.ndim) + list(data.shape)
    asked = [1] * (rank - len(sizes)) + sizes
    shape = [b if a == 1 else a for a, b in zip(own, asked, strict=True)]

    def origin(place: Place) -> Place:
        kept = zip(place, own, strict=True)
        return tuple(0 if size == 1 else at for at, size in kept)[rank - data.ndim :]

    return _built(shape, data, origin)


def tile(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """As numpy.tile, but there is a number of repetitions for every axis."""
    data = inputs[0]
    shape = [size * times for size, times in zip(data.shape, _whole(inputs[1]), strict=True)]

    def origin(place: Place) -> Place:
        return tuple(at % size for at, size in zip(place, data.shape, strict=True))

    return _built(shape, data, origin)


def transpose(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """Axis i of the output is axis ``perm[i]`` of the input."""
    data = inputs[0]
    perm = given.get("perm", range(data.ndim)[::-1])

    def origin(place: Place) -> Place:
        return tuple(place[list(perm).index(axis)] for axis in range(data.ndim))

    return _built([data.shape[axis] for axis in perm], data, origin)


def _axes(given: dict[str, Any], inputs: Sequence[Any], opset: int, rank: int) -> list[int] | None:
    """The axes, an attribute below opset 13 and an input since, counted from the left."""
    found = given.get("axes") if opset < 13 else (inputs[1] if len(inputs) > 1 else None)
    return None if found is None else [int(axis) % rank for axis in found]


def squeeze(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """Without axes, all of length one go."""
    data = inputs[0]
    axes = _axes(given, inputs, opset, data.ndim)
    gone = [i for i, size in enumerate(data.shape) if size == 1] if axes is None else axes
    assert all(data.shape[axis] == 1 for axis in gone)
    return _in_order([size for i, size in enumerate(data.shape) if i not in gone], data)


def unsqueeze(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """The axes are as in the output."""
    data = inputs[0]
    count = len(given["axes"] if opset < 13 else inputs[1])
    new = _axes(given, inputs, opset, data.ndim + count) or []
    sizes = iter(data.shape)
    return _in_order([1 if i in new else next(sizes) for i in range(data.ndim + count)], data)


def identity(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """A copy."""
    return [inputs[0]]


def dropout(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> Sequence[Array]:
    """At inference a copy, and a mask that drops nothing."""
    if opset < 7:
        assert given["is_test"]
    elif opset >= 12:
        assert len(inputs) < 3 or inputs[2] is None or not inputs[2]
    kind = np.dtype(bool) if opset >= 10 else inputs[0].dtype
    return [inputs[0], np.ones(inputs[0].shape, kind)]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {
    "DepthToSpace": depth_to_space,
    "Dropout": dropout,
    "Expand": expand,
    "Flatten": flatten,
    "Identity": identity,
    "Reshape": reshape,
    "SpaceToDepth": space_to_depth,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
