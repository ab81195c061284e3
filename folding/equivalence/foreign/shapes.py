"""Seen through: dimensions that a graph works out at run time although they are known.

Reshape(x, Concat(Gather(Shape(x), 0), -1))     Reshape to(x) with one unknown dimension
Slice(Slice(x)), Slice(x) of everything         Slice(x), x
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import Call, Term, Value, shape_of
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
        if isinstance(wanted, tuple) and wanted[0] is x and wanted[1] < len(given):
            known = given[wanted[1]]
            wanted = wanted if known is None else known  # noqa: PLW2901
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
    axis = place if wanted == 0 else wanted[1] if isinstance(wanted, tuple) else -1
    is_own = wanted == 0 or (isinstance(wanted, tuple) and wanted[0] is x)
    if more or not is_own or not 0 <= axis < len(rest) or rest[axis] is not None:
        return None
    del rest[axis]
    taken = prod(length for length in found if length is not None and length >= 0)
    if None in rest or not taken:
        return None
    left = prod(length for length in rest if length is not None) // taken
    return tuple(left if length == -1 else length for length in found)


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
    if call.operator not in ("Gather", "Slice"):
        return None
    whole = _dimensions(call.input(0), depth - 1)
    rest = [v.integers() if isinstance(v, Constant) else None for v in call.inputs[1:]]
    if whole is None or None in rest:
        return None
    return _picked(call.operator, whole, [list(numbers or ()) for numbers in rest])


def _of(call: Call) -> list[_Dimension] | None:
    x = call.input(0)
    if not isinstance(x, Term) or x.shape is None:
        return None
    found: list[_Dimension] = [(x, i) if d is None else d for i, d in enumerate(x.shape)]
    return found[call.attributes.get("start", 0) : call.attributes.get("end", len(found))]


def _picked(
    operator: str, whole: list[_Dimension], rest: list[list[int]]
) -> list[_Dimension] | None:
    if operator == "Gather":
        picked = [i for i in rest[0] if -len(whole) <= i < len(whole)]
        return [whole[i] for i in picked] if len(picked) == len(rest[0]) else None
    if len(rest) < 2 or any(len(numbers) != 1 for numbers in rest):  # noqa: PLR2004
        return None
    step = rest[3][0] if len(rest) == _STEPS else 1
    return whole[rest[0][0] : rest[1][0] : step] if step else None


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

RULES = {"Slice": cut}
