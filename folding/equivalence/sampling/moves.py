"""Operators that only move elements: whoever wants one of the output wants one of the input."""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import NodeProto

from folding.equivalence.sampling.numbers import ravelled, unravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require, zeros
from folding.protos import attribute, integer, integers

_SLICE_HAS_INPUTS_SINCE = 10
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
        found[mine] = pull.at(name, _moved(coords[mine], axis, -start))
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


def expand(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Expand: axes of length one are repeated, and there may be new ones before them."""
    return pull.broadcast(node.input[0], coords, pull.shape(node.output[0]))


def tile(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Tile: the whole is repeated, along each axis so many times."""
    shape, result = pull.shape(node.input[0]), pull.shape(node.output[0])
    fits = all(long % size == 0 for size, long in zip(shape, result, strict=True))
    require(fits, "the shapes of Tile do not fit")
    return pull.at(node.input[0], coords % np.array(shape, np.int64))


def depth_to_space(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """DepthToSpace: channels become the pixels of blocks."""
    space, block, mode = _blocks(pull, node, node.input[0], node.output[0])
    cell, within = np.divmod(coords[:, 2:], block)
    row, column = within.T
    channel, channels = coords[:, 1], space[1]
    if mode == b"CRD":
        deep = (channel * block + row) * block + column
    else:
        deep = (row * block + column) * channels + channel
    return pull.at(node.input[0], np.column_stack((coords[:, 0], deep, cell)))


def space_to_depth(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """SpaceToDepth, the way back."""
    space, block, mode = _blocks(pull, node, node.output[0], node.input[0])
    parts = (space[1], block, block) if mode == b"CRD" else (block, block, space[1])
    part = unravelled(coords[:, 1], parts)
    channel, *within = part.T if mode == b"CRD" else part[:, [2, 0, 1]].T
    pixel = coords[:, 2:] * block + np.column_stack(within)
    return pull.at(node.input[0], np.column_stack((coords[:, 0], channel, pixel)))


def _blocks(pull: Pull, node: NodeProto, deep: str, wide: str) -> tuple[Dims, int, bytes]:
    """The shape on the side of space, the size of a block, and how its pixels are ordered."""
    depth, space, block = pull.shape(deep), pull.shape(wide), integer(node, "blocksize", 0)
    found = attribute(node, "mode")
    mode = b"DCR" if found is None else found.s
    batch, channels, rows, columns = depth
    fits = mode in (b"DCR", b"CRD") and channels == space[1] * block**2
    fits = fits and space == (batch, space[1], rows * block, columns * block)
    require(fits, f"the shapes of {node.op_type} do not fit")
    return space, block, mode
