"""Seen through: dimensions that a graph works out at run time although they are known.

Reshape(x, Concat(Gather(Shape(x), 0), -1))     Reshape to(x) with one unknown dimension
Slice(Slice(x)), Slice(x) of everything         Slice(x), x
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod

from onnx import TensorProto

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import (
    LINEAR,
    PAIRED,
    RESHAPE,
    SLICE,
    UNARY,
    Call,
    Term,
    Value,
    shape_of,
)
from folding.inference import Shape

Make = Callable[[Call], Value]
Rule = Callable[[Call, Make], Value | None]

#: A dimension: its length, or the value and the axis that it is the length of.
_Dimension = int | tuple[Term, int]
_DEEPEST = 16
_BATCHED = frozenset(
    {"AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}
)
_PASSES = frozenset({"Identity", "Reshape", RESHAPE, "Squeeze", "Unsqueeze"})
#: Types that hold any dimension; a float or a truth value does not.
_WHOLE = frozenset({TensorProto.INT32, TensorProto.INT64})
#: A vector of more dimensions than this is not followed, nor one made of so many values.
_MOST_DIMENSIONS, _MOST_VALUES = 64, 512
_STEPS = 4


def asked_for(call: Call, x: Term) -> Shape | None:
    """The shape that a Reshape of ``x`` gives, at most one dimension of which is not known.

    None unless that one must be what is left of the elements of ``x``: it is -1, or the one
    dimension of ``x`` that is not known, the others being as many as before.
    """
    asked = _Dimensions().of(call.input(1), _DEEPEST)
    if asked is None or (0 in asked and call.attributes.get("allowzero")):
        return None
    given = x.shape or ()
    found = [
        (given[place] or (x, place)) if wanted == 0 and place < len(given) else wanted
        for place, wanted in enumerate(asked)
    ]
    if any(isinstance(wanted, int) and (not wanted or wanted < -1) for wanted in found):
        return None
    traced = [wanted for wanted in found if isinstance(wanted, tuple)]
    known = [wanted for wanted in found if isinstance(wanted, int) and wanted > 0]
    rest = _without(x, traced[0]) if len(traced) == 1 else None
    if not traced and found.count(-1) <= 1:
        return tuple(wanted if isinstance(wanted, int) and wanted > 0 else None for wanted in found)
    if rest is None or len(known) + 1 + found.count(-1) != len(found) or found.count(-1) > 1:
        return None
    left, over = divmod(rest, prod(known))
    if over or (left != 1 and -1 not in found):
        return None
    filled = (left if wanted == -1 else wanted for wanted in found)
    return tuple(wanted if isinstance(wanted, int) else None for wanted in filled)


def _without(x: Term, dimension: tuple[Term, int]) -> int | None:
    """The product of the dimensions of a value but its one unknown one, if that is this one."""
    shape = x.shape or ()
    unknown = [axis for axis, length in enumerate(shape) if length is None]
    if len(unknown) != 1 or _origin((x, unknown[0])) != _origin(dimension):
        return None
    return prod(length for length in shape if length is not None)


def _origin(dimension: tuple[Term, int]) -> tuple[int, int]:
    """The first value with a dimension, past what keeps it; told by its identity."""
    term, axis = dimension
    while True:
        given = [value for value in term.call.inputs if isinstance(value, Term)]
        if len(given) != 1 or not _keeps(term, given[0], axis):
            return id(term), axis
        axis = term.call.attributes["perm"][axis] if term.call.is_own("Transpose") else axis
        term = given[0]


def _keeps(term: Term, inner: Term, axis: int) -> bool:
    """Whether a dimension is one of the only input that is not constant.

    A constant of a higher rank puts axes in front of it.
    """
    call, rank = term.call, term.outcome.rank
    if rank is None or rank != inner.outcome.rank:
        return False
    if call.is_own("Transpose"):
        return "perm" in call.attributes
    if call.is_own(*_BATCHED):
        return axis == 0
    if call.is_own(LINEAR):
        return axis < rank - 1
    shapes = [value.shape for value in call.inputs if isinstance(value, Constant)]
    lengths = [1, *(s[axis - rank] for s in shapes if len(s) >= rank - axis)]
    return call.is_own(*UNARY) or (call.is_own(*PAIRED) and max(lengths) == 1)


@dataclass(slots=True)
class _Dimensions:
    """What vectors of dimensions hold, each looked at once for each depth that it is found at."""

    known: dict[tuple[int, int], list[_Dimension] | None] = field(default_factory=dict)

    def of(self, value: Value | None, depth: int) -> list[_Dimension] | None:
        """The numbers of a vector, each known or traced to where it comes from."""
        if isinstance(value, Constant):
            is_short = prod(value.shape) <= _MOST_DIMENSIONS
            numbers = value.integers() if is_short else None
            return None if numbers is None else list(numbers)
        if value is None or not depth or len(value.shape or ()) > 1:
            return None
        place = id(value), depth
        if place not in self.known and len(self.known) < _MOST_VALUES:
            self.known[place] = None
            found = self._made(value.call, depth)
            is_long = found is not None and len(found) > _MOST_DIMENSIONS
            self.known[place] = None if is_long else found
        return self.known.get(place)

    def _made(self, call: Call, depth: int) -> list[_Dimension] | None:
        if call.is_own("Shape"):
            return _of(call)
        whole_cast = call.is_own("Cast") and call.attributes.get("to") in _WHOLE
        if call.is_own(*_PASSES) or whole_cast:
            return self.of(call.input(0), depth - 1)
        if call.is_own("Concat"):
            return self._joined(call, depth)
        whole = self.of(call.input(0), depth - 1) if call.is_own("Gather", SLICE) else None
        if whole is None:
            return None
        return _sliced(call, whole) if call.is_own(SLICE) else _picked(call, whole)

    def _joined(self, call: Call, depth: int) -> list[_Dimension] | None:
        if any(len(shape_of(part) or ()) != 1 for part in call.inputs):
            return None
        whole: list[_Dimension] = []
        for value in call.inputs:
            part = self.of(value, depth - 1)
            if part is None or len(whole) > _MOST_DIMENSIONS:
                return None
            whole += part
        return whole


def _sliced(call: Call, whole: list[_Dimension]) -> list[_Dimension]:
    ((_, (start, stop, step)),) = call.attributes["ranges"]
    return whole[start:stop:step]


def _picked(call: Call, whole: list[_Dimension]) -> list[_Dimension] | None:
    index = call.input(1)
    picked = index.integers() if isinstance(index, Constant) else None
    if picked is None or any(not -len(whole) <= i < len(whole) for i in picked):
        return None
    return [whole[i] for i in picked]


def _of(call: Call) -> list[_Dimension] | None:
    x = call.input(0)
    if not isinstance(x, Term) or x.shape is None:
        return None
    found: list[_Dimension] = [(x, i) if d is None else d for i, d in enumerate(x.shape)]
    return found[call.attributes.get("start", 0) : call.attributes.get("end", len(found))]


def cut(call: Call, make: Make) -> Value | None:
    """A Slice along axes of known length, as where it begins and ends on each."""
    x, given = call.input(0), [v for v in call.inputs[1:] if isinstance(v, Constant)]
    shape = shape_of(x)
    numbers = [list(value.integers() or ()) for value in given]
    if not isinstance(x, Term) or shape is None or len(given) != len(call.inputs) - 1:
        return None
    if len(numbers) < 2 or any(len(n) != len(numbers[0]) for n in numbers):  # noqa: PLR2004
        return None
    starts, ends = numbers[:2]
    axes = numbers[2] if len(numbers) > 2 else list(range(len(starts)))  # noqa: PLR2004
    steps = numbers[3] if len(numbers) == _STEPS else [1] * len(starts)
    ranges: dict[int, tuple[int, int, int]] = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place = range(len(shape))[axis]
        length = shape[place]
        if length is None or step < 1:
            return None
        ranges[place] = slice(start, end, step).indices(length)
    ranges = {axis: r for axis, r in ranges.items() if r != (0, shape[axis], 1)}
    if x.call.is_own(SLICE):
        inner = dict(x.call.attributes["ranges"])
        if not inner.keys() & ranges.keys():
            ranges, x = inner | ranges, x.call.input(0)
    if not ranges:
        return x
    plain = call.as_(SLICE, x, ranges=tuple(sorted(ranges.items())))
    return Term(replace(plain, version=0), 0)


def pick(call: Call, make: Make) -> Value | None:
    """One index of an axis, taken before a transposition instead of behind it."""
    x, index, axis = call.input(0), call.input(1), call.attributes.get("axis", 0)
    if not isinstance(x, Term) or not x.call.is_own("Transpose") or not isinstance(index, Constant):
        return None
    perm, inner = x.call.attributes.get("perm"), x.call.input(0)
    if perm is None or index.shape or not isinstance(inner, Term):
        return None
    gone = perm[axis]
    rest = [old for old in perm if old != gone]
    moved = tuple(old - (old > gone) for old in rest)
    shape = None if inner.shape is None else tuple(inner.shape[old] for old in sorted(rest))
    taken = call.on(inner, index, axis=gone)
    taken = replace(taken, outputs=(replace(taken.outcome, shape=shape),))
    return make(replace(call.as_("Transpose", make(taken), perm=moved), version=1))


RULES = {"Gather": pick, "Slice": cut}
