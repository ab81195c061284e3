"""Gemm and MatMul, with the weight on either side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from folding.equivalence.sampling.contraction import Weight, contract
from folding.equivalence.sampling.numbers import ravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require, zeros
from folding.protos import integer, number

_MATRIX = 2


@dataclass(frozen=True, slots=True)
class _Operand:
    """One side of a product, seen as a stack of matrices of ``shape``.

    ``is_transposed``: it is stored the other way round. ``vector``: the axis that it lacks, if so.
    """

    name: str
    shape: Dims
    is_transposed: bool = False
    vector: int | None = None

    @property
    def batch(self) -> Dims:
        return self.shape[:-2]

    def own_batch(self, batch: Coordinates) -> Coordinates:
        """Which of its matrices belong to some of the product's."""
        own = len(self.batch)
        wide = np.array([size != 1 for size in self.batch], np.int64)
        found: Coordinates = batch[:, batch.shape[1] - own :] * wide
        return found

    def weight(self, pull: Pull, index: int, *, contracts_rows: bool) -> Weight:
        """One of its matrices as a layer's weight."""
        rows, columns = self.shape[-2:]
        if self.is_transposed:
            rows, columns, contracts_rows = columns, rows, not contracts_rows
        roles = "io" if contracts_rows else "oi"
        return Weight(pull.numbers(self.name), (rows, columns), roles, index * rows * columns)

    def lines(self, pull: Pull, batch: Coordinates, line: Coordinates, axis: int) -> Sampled:
        """Whole rows (or columns, if ``axis`` is -2): an array of inputs and places."""
        length = self.shape[axis]
        coords = np.empty((length, len(line), len(self.shape)), np.int64)
        coords[..., :-2] = self.own_batch(batch)
        coords[..., axis] = np.arange(length)[:, None]
        coords[..., -3 - axis] = line
        if self.is_transposed:
            coords[..., [-2, -1]] = coords[..., [-1, -2]]
        flat = coords.reshape(-1, coords.shape[-1])
        wanted = flat if self.vector is None else np.delete(flat, self.vector, 1)
        return pull.at(self.name, wanted).reshape(length, len(line))


def _multiply(
    pull: Pull, left: _Operand, right: _Operand, coords: Coordinates, shape: Dims
) -> Sampled:
    """Wanted elements of a product; the constant side is read as a weight."""
    is_left = pull.region.is_constant(left.name) and not pull.region.is_constant(right.name)
    side, other = (left, right) if is_left else (right, left)
    axis = len(shape) - (2 if is_left else 1)

    def fetch(places: Coordinates) -> Sampled:
        return other.lines(pull, places[:, :-1], places[:, -1], -2 if is_left else -1)

    matrices = ravelled(side.own_batch(coords[:, :-2]), side.batch)
    found = zeros((len(coords),), pull.wide)
    for index in np.unique(matrices):
        mine = np.flatnonzero(matrices == index)
        weight = side.weight(pull, int(index), contracts_rows=not is_left)
        found[mine] = contract(pull, weight, coords[mine], shape, axis, fetch)
    return found


def matmul(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """As numpy.matmul is documented: stacks of matrices, or vectors."""
    a, b = pull.shape(node.input[0]), pull.shape(node.input[1])
    require(min(len(a), len(b)) > 0, "MatMul of a scalar")
    left, right = _Operand(node.input[0], a), _Operand(node.input[1], b)
    expected: list[int] = []
    if len(b) < _MATRIX:
        right = _Operand(node.input[1], (*b, 1), vector=-1)
        coords = np.insert(coords, coords.shape[1], 0, 1)
    else:
        expected.append(b[-1])
    if len(a) < _MATRIX:
        left = _Operand(node.input[0], (1, *a), vector=-2)
        coords = np.insert(coords, coords.shape[1] - 1, 0, 1)
    else:
        expected.insert(0, a[-2])
    batch = np.broadcast_shapes(left.batch, right.batch)
    result = pull.shape(node.output[0])
    fits = left.shape[-1] == right.shape[-2] and result == (*batch, *expected)
    require(fits, "the shapes of MatMul do not fit")
    return _multiply(pull, left, right, coords, (*batch, left.shape[-2], right.shape[-1]))


def gemm(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """``alpha * A' * B' + beta * C``; C may be missing."""
    a, b, *rest = node.input
    left = _matrix(pull, a, is_transposed=bool(integer(node, "transA", 0)))
    right = _matrix(pull, b, is_transposed=bool(integer(node, "transB", 0)))
    shape = left.shape[0], right.shape[1]
    fits = left.shape[1] == right.shape[0] and pull.shape(node.output[0]) == shape
    require(fits, "the shapes of Gemm do not fit")
    total = _multiply(pull, left, right, coords, shape).times(number(node, "alpha", 1.0))
    beta = number(node, "beta", 1.0)
    if not beta or not any(rest):
        return total
    return total + pull.broadcast(rest[0], coords, shape).times(beta)


def _matrix(pull: Pull, name: str, *, is_transposed: bool) -> _Operand:
    shape = pull.shape(name)
    require(len(shape) == _MATRIX, "Gemm of what is no matrix")
    return _Operand(name, shape[::-1] if is_transposed else shape, is_transposed)
