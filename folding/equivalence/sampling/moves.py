"""Operators that only move elements: whoever wants one of the output wants one of the input."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.numbers import ravelled, unravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require, zeros
from folding.protos import attribute, integer, integers, number

_SLICE_HAS_INPUTS_SINCE = 10
_PAD_HAS_INPUTS_SINCE = 11
_SPLIT_HAS_INPUTS_SINCE = 13


def axis_of(node: NodeProto, default: int, rank: int) -> int:
    """The axis that a node is about, counted from the left."""
    axis = integer(node, "axis", default)
    require(-rank <= axis < rank, f"'axis' of {node.op_type} does not fit")
    return axis % rank


def given(pull: Pull, node: NodeProto, place: int, name: str, since: int) -> list[int] | None:
    """Integers that are an attribute in older opsets and an input in newer ones; None without."""
    if pull.opset < since:
        found = integers(node, name)
        return None if found is None else list(found)
    if len(node.input) <= place or not node.input[place]:
        return None
    return [int(i) for i in pull.integers(node.input[place]).ravel()]


def transpose(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Transpose; without ``perm`` the axes are reversed."""
    shape = pull.shape(node.input[0])
    perm = integers(node, "perm") or tuple(reversed(range(len(shape))))
    require(sorted(perm) == list(range(len(shape))), "'perm' of Transpose does not fit")
    moved = tuple(shape[axis] for axis in perm)
    require(moved == pull.shape(node.output[0]), "the shapes of Transpose do not fit")
    source = np.empty_like(coords)
    source[:, list(perm)] = coords
    return pull.at(node.input[0], source)


def reshape(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Reshape, Flatten, Squeeze and Unsqueeze: the elements stay in their order."""
    shape, result = pull.shape(node.input[0]), pull.shape(node.output[0])
    require(prod(shape) == prod(result), f"the shapes of {node.op_type} do not fit")
    return pull.at(node.input[0], unravelled(ravelled(coords, result), shape))


def concat(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Concat: each element is in one of the inputs."""
    result = pull.shape(node.output[0])
    axis = axis_of(node, 1, len(result))
    shapes = [pull.shape(name) for name in node.input]
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    fits = rest == {(*result[:axis], *result[axis + 1 :])}
    total = sum(shape[axis] for shape in shapes) if fits else -1
    require(total == result[axis], "the shapes of Concat do not fit")
    found, start = zeros((len(coords),), pull.wide), 0
    for name, shape in zip(node.input, shapes, strict=True):
        stop = start + shape[axis]
        mine = np.flatnonzero((coords[:, axis] >= start) & (coords[:, axis] < stop))
        part = pull.at(name, _moved(coords[mine], axis, -start))
        found.value[mine], found.magnitude[mine] = part.value, part.magnitude
        start = stop
    return found


def _moved(coords: Coordinates, axis: int, by: int) -> Coordinates:
    moved = coords.copy()
    moved[:, axis] += by
    return moved


def split(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Split: into given lengths, or equal ones of which the last may be shorter."""
    shape = pull.shape(node.input[0])
    axis = axis_of(node, 0, len(shape))
    sizes = given(pull, node, 1, "split", _SPLIT_HAS_INPUTS_SINCE)
    if sizes is None:
        size = -(-shape[axis] // len(node.output))
        sizes = [min(size, shape[axis] - size * i) for i in range(len(node.output))]
    fits = len(sizes) == len(node.output) and min(sizes) >= 0 and sum(sizes) == shape[axis]
    require(fits, "the lengths of Split do not fit")
    expected = (*shape[:axis], sizes[slot], *shape[axis + 1 :])
    require(pull.shape(node.output[slot]) == expected, "the shapes of Split do not fit")
    return pull.at(node.input[0], _moved(coords, axis, sum(sizes[:slot])))


def _taken(start: int, end: int, step: int, size: int) -> range:
    """The places that Slice takes; unlike Python's, a start before the first place is that one."""
    first, last = (-1, size - 1) if step < 0 else (0, size)
    start, end = (place + size if place < 0 else place for place in (start, end))
    return range(min(max(start, 0), last), min(max(end, first), last), step)


def slice_(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Slice, steps back included."""
    shape = pull.shape(node.input[0])
    names = ("starts", "ends", "axes", "steps")
    found = [
        given(pull, node, place, name, _SLICE_HAS_INPUTS_SINCE)
        for place, name in enumerate(names, 1)
    ]
    starts, ends = found[0] or [], found[1] or []
    axes = list(range(len(starts))) if found[2] is None else found[2]
    steps = [1] * len(starts) if found[3] is None else found[3]
    source, expected = coords.copy(), list(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        require(-len(shape) <= axis < len(shape) and step != 0, "the axes of Slice do not fit")
        taken = _taken(start, end, step, shape[axis])
        source[:, axis] = taken.start + taken.step * coords[:, axis]
        expected[axis] = len(taken)
    require(tuple(expected) == pull.shape(node.output[0]), "the shapes of Slice do not fit")
    return pull.at(node.input[0], source)


def gather(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Gather with constant indices."""
    shape, indices = pull.shape(node.input[0]), pull.integers(node.input[1])
    axis = axis_of(node, 0, len(shape))
    expected = (*shape[:axis], *indices.shape, *shape[axis + 1 :])
    require(pull.shape(node.output[0]) == expected, "the shapes of Gather do not fit")
    behind = axis + indices.ndim
    chosen = indices.reshape(-1)[ravelled(coords[:, axis:behind], indices.shape)]
    chosen = np.where(chosen < 0, chosen + shape[axis], chosen)
    source = np.column_stack((coords[:, :axis], chosen, coords[:, behind:]))
    return pull.at(node.input[0], source)


def pad(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Pad with a constant; a negative length crops."""
    mode = attribute(node, "mode")
    require(mode is None or mode.s in (b"", b"constant"), "not supported: Pad of another mode")
    shape = pull.shape(node.input[0])
    heads, tails = _pads(pull, node, len(shape))
    expected = tuple(h + size + t for h, size, t in zip(heads, shape, tails, strict=True))
    require(expected == pull.shape(node.output[0]), "the shapes of Pad do not fit")
    source = coords - np.array(heads, np.int64)
    inside = ((source >= 0) & (source < np.array(shape, np.int64))).all(1)
    filling = _filling(pull, node)
    found = Sampled(
        np.full(len(coords), filling, pull.wide), np.full(len(coords), abs(filling), pull.wide)
    )
    part = pull.at(node.input[0], source[inside])
    found.value[inside], found.magnitude[inside] = part.value, part.magnitude
    return found


def _filling(pull: Pull, node: NodeProto) -> float:
    if pull.opset < _PAD_HAS_INPUTS_SINCE:
        return number(node, "value", 0.0)
    if len(node.input) < 3 or not node.input[2]:  # noqa: PLR2004
        return 0.0
    numbers = pull.numbers(node.input[2])
    require(prod(numbers.dims) == 1, "Pad with more than one number")
    return float(numbers.read(0, 1).value[0])


def _pads(pull: Pull, node: NodeProto, rank: int) -> tuple[Dims, Dims]:
    """How much is added before and behind each axis."""
    name = "paddings" if pull.opset < 2 else "pads"  # noqa: PLR2004
    pads = given(pull, node, 1, name, _PAD_HAS_INPUTS_SINCE) or []
    axes = given(pull, node, 3, "axes", _PAD_HAS_INPUTS_SINCE)
    axes = list(range(rank)) if axes is None else axes
    fits = len(pads) == 2 * len(axes) and all(-rank <= axis < rank for axis in axes)
    require(fits, "the lengths of Pad do not fit")
    whole: npt.NDArray[np.int64] = np.zeros((2, rank), np.int64)
    whole[:, axes] = np.array(pads, np.int64).reshape(2, -1)
    heads, tails = whole.tolist()
    return tuple(heads), tuple(tails)
