"""Seen through: dimensions that a graph works out at run time although they are known.

Reshape(x, Concat(Gather(Shape(x), 0), -1))     Reshape to(x) with one unknown dimension
Slice(Slice(x)), Slice(x) of everything         Slice(x), x
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import UNARY, Call, Term, Value, shape_of
from folding.inference import Shape

Make = Callable[[Call], Value]

#: A dimension: its length, or the value and the axis that it is the length of.
_Dimension = int | tuple[Term, int]
_DEEPEST = 16
_PASSES = frozenset({"Cast", "Identity", "Reshape", "Reshape to", "Squeeze", "Unsqueeze"})
_STEPS = 4


def asked_for(call: Call, x: Term) -> Shape | None:
    """The shape that a Reshape of ``x`` gives; None if more than one dimension stays unknown."""
    asked = _dimensions(call.input(1), _DEEPEST)
    if asked is None or (0 in asked and call.attributes.get("allowzero")):
        return None
    given = x.shape or ()
    found: list[int | None] = []
    for place, wanted in enumerate(asked):
        if wanted == 0 and place < len(given):
            wanted = given[place] or (x, place)  # noqa: PLW2901 - 0 is the dimension of x
        found.append(wanted if isinstance(wanted, int) else None)
    return _solved(asked, found, x)


def _solved(asked: list[_Dimension], found: list[int | None], x: Term) -> Shape | None:
    """Work out the -1: what is left of the dimensions of x once its unknown one is taken."""
    rest = list(x.shape or ())
    if -1 not in found:
        return tuple(found) if found.count(None) <= 1 else None
    unknown = [place for place, length in enumerate(found) if length is None]
    if not unknown:
        return tuple(None if length == -1 else length for length in found)
    (place, *more), wanted = unknown, asked[unknown[0]]
    source = (x, place) if wanted == 0 else wanted
    if more or not isinstance(source, tuple):
        return None
    own = [axis for axis in range(len(rest)) if _origin((x, axis)) == _origin(source)]
    if not own or rest[own[0]] is not None:
        return None
    del rest[own[0]]
    taken = prod(length for length in found if length is not None and length >= 0)
    if None in rest or not taken:
        return None
    left = prod(length for length in rest if length is not None) // taken
    return tuple(left if length == -1 else length for length in found)


def _origin(dimension: tuple[Term, int]) -> tuple[int, int]:
    """The first value with a dimension, past what keeps it; told by its identity."""
    term, axis = dimension
    while not term.call.domain:
        inner = term.call.input(0)
        if not isinstance(inner, Term):
            break
        if term.operator == "Transpose" and "perm" in term.call.attributes:
            axis = term.call.attributes["perm"][axis]
        elif term.operator not in UNARY:
            break
        term = inner
    return id(term), axis


def _dimensions(value: Value | None, depth: int) -> list[_Dimension] | None:
    """The numbers of a vector of dimensions, each known or traced to where it comes from."""
    if isinstance(value, Constant):
        numbers = value.integers()
        return None if numbers is None else list(numbers)
    if value is None or not depth or value.call.domain:
        return None
    call = value.call
    if call.operator == "Shape":
        return _of(call)
    if call.operator in _PASSES:
        return _dimensions(call.input(0), depth - 1)
    if call.operator == "Concat":
        parts = [_dimensions(part, depth - 1) for part in call.inputs]
        return None if None in parts else [d for part in parts if part is not None for d in part]
    if call.operator not in ("Gather", _SLICE):
        return None
    whole = _dimensions(call.input(0), depth - 1)
    if whole is not None and call.operator == _SLICE:
        ((_, (start, stop, step)),) = call.attributes["ranges"]
        return whole[start:stop:step]
    index = call.input(1)
    picked = index.integers() if isinstance(index, Constant) else None
    if whole is None or picked is None or any(not -len(whole) <= i < len(whole) for i in picked):
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
        length = shape[axis % len(shape)]
        if length is None or step < 1:
            return None
        ranges[axis % len(shape)] = slice(start, end, step).indices(length)
    ranges = {axis: r for axis, r in ranges.items() if r != (0, shape[axis], 1)}
    if x.operator == _SLICE:
        inner = dict(x.call.attributes["ranges"])
        if not inner.keys() & ranges.keys():
            ranges, x = inner | ranges, x.call.input(0)
    if not ranges:
        return x
    plain = call.as_(_SLICE, x, ranges=tuple(sorted(ranges.items())))
    return Term(replace(plain, version=0), 0)


#: A Slice of which all is known; no operator has this name.
_SLICE = "Slice along"


def pick(call: Call, make: Make) -> Value | None:
    """One index of an axis, taken before a transposition instead of behind it."""
    x, index, axis = call.input(0), call.input(1), call.attributes.get("axis", 0)
    if not isinstance(x, Term) or x.operator != "Transpose" or not isinstance(index, Constant):
        return None
    perm, inner = x.call.attributes.get("perm"), x.call.input(0)
    if perm is None or index.shape or not isinstance(inner, Term) or x.call.domain:
        return None
    gone = perm[axis]
    rest = [old for old in perm if old != gone]
    moved = tuple(old - (old > gone) for old in rest)
    shape = None if inner.shape is None else tuple(inner.shape[old] for old in sorted(rest))
    taken = call.on(inner, index, axis=gone)
    taken = replace(taken, outputs=(replace(taken.outcome, shape=shape),))
    return make(replace(call.as_("Transpose", make(taken), perm=moved), version=1))


RULES = {"Gather": pick, "Slice": cut}
