"""Reductions: one number for each row of elements.

None is moved by more than what it is taken of. A mean's magnitude is the mean of the magnitudes, a
norm's their norm, by the triangle inequality, and that of a maximum or minimum the largest of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.moves import given
from folding.equivalence.sampling.pull import Operator, Pull
from folding.equivalence.sampling.rows import distinct
from folding.equivalence.sampling.values import Coordinates, Floats, Sampled, require, zeros
from folding.protos import integer

Counts = npt.NDArray[np.int64]


def _as_is(numbers: Floats) -> Floats:
    return numbers


def _joined(total: Floats, counts: Counts) -> Floats:
    return total


@dataclass(frozen=True, slots=True)
class Reduction:
    """How one number is made of many: of each of them, of two, and of what they are together.

    ``sizes`` joins magnitudes. ``outside`` stands where there is nothing, in a window.
    """

    join: np.ufunc
    sizes: np.ufunc
    each: Callable[[Floats], Floats] = _as_is
    finish: Callable[[Floats, Counts], Floats] = _joined
    outside: float = 0.0

    def part(self, rows: Sampled) -> Sampled:
        """Rows, each made one number that is not finished yet."""
        value, magnitude = self.each(rows.value), self.each(rows.magnitude)
        return Sampled(self.join.reduce(value, 1), self.sizes.reduce(magnitude, 1))

    def both(self, one: Sampled, other: Sampled) -> Sampled:
        """Two parts of the same rows, made one."""
        value = self.join(one.value, other.value)
        return Sampled(value, self.sizes(one.magnitude, other.magnitude))

    def finished(self, whole: Sampled, counts: Counts) -> Sampled:
        """The result for rows of so many elements each."""
        return Sampled(self.finish(whole.value, counts), self.finish(whole.magnitude, counts))


TOTAL = Reduction(np.add, np.add)
MEAN = Reduction(np.add, np.add, finish=lambda total, counts: np.asarray(total / counts))
LARGEST = Reduction(np.maximum, np.maximum, outside=-np.inf)
LEAST = Reduction(np.minimum, np.maximum)


def norm(power: int) -> Reduction:
    """The root of that power of the sum of all absolute values to it."""
    return Reduction(
        np.add,
        np.add,
        each=lambda numbers: np.abs(numbers) ** power,
        finish=lambda total, _: np.asarray(total ** (1 / power)),
    )


def over(
    pull: Pull, node: NodeProto, coords: Coordinates, axes: list[int], reduction: Reduction
) -> Sampled:
    """A reduction of whole axes; those kept have a length of one, if they are there at all."""
    data = pull.shape(node.input[0])
    kept = [axis for axis in range(len(data)) if axis not in axes]
    keeps = bool(integer(node, "keepdims", 1))
    expected = [1 if axis in axes else size for axis, size in enumerate(data)]
    result = tuple(expected) if keeps else tuple(data[axis] for axis in kept)
    require(result == pull.shape(node.output[0]), f"the output of {node.op_type} does not fit")
    origins = np.zeros((len(coords), len(data)), np.int64)
    origins[:, kept] = coords[:, kept] if keeps else coords
    lengths = tuple(size if axis in axes else 1 for axis, size in enumerate(data))
    rows, which = distinct(node.input[0], origins, lengths, data)
    found = zeros((len(rows.origins),), pull.wide)
    for some, whole in rows.reduced(pull, reduction.part, reduction.both):
        found[some] = reduction.finished(whole, np.full(len(whole.value), rows.size))
    return found[which]


def over_axes(reduction: Reduction, since: int) -> Operator:
    """A reduction of some axes, or of all of them, which are an input from an opset on."""

    def operator(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
        rank = len(pull.shape(node.input[0]))
        axes = given(pull, node, 1, "axes", since) or []
        if not axes and not (pull.opset >= since and integer(node, "noop_with_empty_axes", 0)):
            axes = list(range(rank))
        require(all(-rank <= axis < rank for axis in axes), f"'axes' of {node.op_type} do not fit")
        return over(pull, node, coords, sorted({axis % rank for axis in axes}), reduction)

    return operator
