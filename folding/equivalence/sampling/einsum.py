"""Einsum of two operands, of which one is read as a layer's weight."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from string import digits

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.einsums import equation_of
from folding.equivalence.sampling.contraction import Weight, contract
from folding.equivalence.sampling.numbers import ravelled, unravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require, zeros

_TERMS = 2
_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class _Operand:
    """One operand: a letter for each of its axes."""

    name: str
    letters: str
    shape: Dims

    @property
    def sizes(self) -> dict[str, int]:
        """Its letters; without those of length 1, which may go with any other length."""
        pairs = zip(self.letters, self.shape, strict=True)
        return {letter: size for letter, size in pairs if size != 1}


def einsum(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """The sum of products over the letters that the result does not have."""
    operands, result = _terms(pull, node)
    lengths = dict.fromkeys(operands[0].letters + operands[1].letters, 1)
    for operand in operands:
        for letter, size in operand.sizes.items():
            require(lengths[letter] in (1, size), "the lengths of Einsum do not fit")
            lengths[letter] = size
    shape = pull.shape(node.output[0])
    fits = len(set(result)) == len(result) and shape == tuple(map(lengths.get, result))
    require(fits, "the result of Einsum does not fit")
    is_left = pull.region.is_constant(node.input[0]) and not pull.region.is_constant(node.input[1])
    side, other = operands if is_left else operands[::-1]
    return _multiply(pull, side, other, coords, dict(zip(result, shape, strict=True)))


def _terms(pull: Pull, node: NodeProto) -> tuple[list[_Operand], str]:
    """The operands and the letters of the result; an ellipsis is replaced by digits."""
    text = equation_of(node)
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    require(len(terms) == len(node.input) == _TERMS, "not supported: Einsum of other than two")
    if not arrow:
        result = _ELLIPSIS * (_ELLIPSIS in left) + _once(left.replace(_ELLIPSIS, ""))
    shapes = [pull.shape(name) for name in node.input]
    hidden = {
        len(shape) - len(term.replace(_ELLIPSIS, ""))
        for term, shape in zip(terms, shapes, strict=True)
        if _ELLIPSIS in term
    }
    most = max(hidden, default=0)
    fits = len(hidden) <= 1 and 0 <= most <= len(digits)
    require(fits, "an ellipsis of Einsum does not fit")
    terms = [term.replace(_ELLIPSIS, digits[:most]) for term in terms]
    operands = [_Operand(*parts) for parts in zip(node.input, terms, shapes, strict=True)]
    plain = all(len(set(o.letters)) == len(o.letters) == len(o.shape) for o in operands)
    require(plain, "not supported: Einsum of a diagonal")
    return operands, result.replace(_ELLIPSIS, digits[:most])


def _once(terms: str) -> str:
    """The letters that are in one term alone, in alphabetical order."""
    return "".join(sorted(c for c in set(terms) - {","} if terms.count(c) == 1))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the operand that is no weight: at places, sources of the weight, and all the rest.

    ``letters`` are those of the places and the sources, and ``rest`` has the lengths of those that
    nothing else has, which are summed over.
    """

    pull: Pull
    operand: _Operand
    letters: str
    sources: Dims
    rest: dict[str, int]

    def fetch(self, places: Coordinates) -> Sampled:
        inner = unravelled(np.arange(prod(self.sources)), self.sources)
        shape = len(inner), len(places)
        grid = (
            np.broadcast_to(places[None], (*shape, places.shape[1])),
            np.broadcast_to(inner[:, None], (*shape, inner.shape[1])),
        )
        total = zeros((*self.sources, len(places)), self.pull.wide)
        for rest in np.ndindex(*self.rest.values()):
            fixed = np.broadcast_to(np.array(rest, np.int64), (*shape, len(rest)))
            total = total + self._at(np.concatenate((*grid, fixed), -1)).reshape(*total.value.shape)
        return total

    def _at(self, grid: npt.NDArray[np.int64]) -> Sampled:
        """The elements at the coordinates of the letters; its axes of length 1 have but one."""
        names = [*self.letters, *self.rest]
        coords = np.zeros((*grid.shape[:2], len(self.operand.letters)), np.int64)
        for axis, letter in enumerate(self.operand.letters):
            if letter in self.operand.sizes:
                coords[..., axis] = grid[..., names.index(letter)]
        return self.pull.at(self.operand.name, coords.reshape(-1, coords.shape[-1]))


def _multiply(
    pull: Pull, side: _Operand, other: _Operand, coords: Coordinates, result: dict[str, int]
) -> Sampled:
    """Wanted elements of the result; ``side`` is read as a weight."""
    own, read = side.sizes, other.sizes
    roles = "".join(("g" if c in read else "o") if c in result else "i" for c in own)
    weight = Weight(pull.numbers(side.name), tuple(own.values()), roles)
    columns, letters = list(result), "".join(own)
    channels = [columns.index(letters[axis]) for axis in weight.axes("go")]
    places = [column for column, letter in enumerate(columns) if letter not in own]
    placed = [columns[column] for column in places]
    sources = [letters[axis] for axis in weight.axes("gi")]
    rest = {c: size for c, size in read.items() if c not in result and c not in own}
    reader = _Reader(pull, other, "".join(placed + sources), weight.sources, rest)
    channel = ravelled(coords[:, channels], weight.outputs)
    wanted = np.column_stack((coords[:, places], channel))
    shape = (*(result[letter] for letter in placed), prod(weight.outputs))
    return contract(pull, weight, wanted, shape, len(placed), reader.fetch)
