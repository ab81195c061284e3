"""Seen through: in which lengths a Split is told, where those follow from what is known.

Split(x, s), split = s         Split(x) in the lengths s
Split(x), num_outputs = k      Split(x) in k lengths, the last of which may be shorter
Split(x)                       Split(x) in as many equal lengths as it has outputs
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import Call, shape_of


@dataclass(frozen=True, eq=False, slots=True)
class _Lengths:
    """How long ``count`` parts are, if that is known, and how they are asked for if not told.

    One model may know the length that is split, the other not: it is the same in both.
    """

    count: int
    told: tuple[int, ...] | None
    asked: int | None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Lengths) or self.count != other.count:
            return False
        is_told = self.told is not None and self.told == other.told
        return is_told or (self.asked is not None and self.asked == other.asked)

    def __hash__(self) -> int:
        return hash(self.count)


def settled(call: Call) -> Call:
    """A Split that says its lengths, if they are known; any other call as it is."""
    if not call.is_own("Split"):
        return call
    shape, axis = shape_of(call.input(0)), call.attributes.get("axis", 0)
    length = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
    lengths = _lengths(call, length)
    if lengths is None:
        return call
    if axis < 0 and shape is not None:
        axis += len(shape)
    attributes = {"axis": axis, "lengths": lengths}
    return replace(call, inputs=call.inputs[:1], attributes=attributes, version=0)


def _lengths(call: Call, length: int | None) -> _Lengths | None:
    """What is known of the lengths; None if the graph works them out."""
    given, count = call.input(1), len(call.outputs)
    told = given.integers() if isinstance(given, Constant) else call.attributes.get("split")
    if given is not None and told is None:
        return None
    if told is not None:
        return _Lengths(count, tuple(told), None)
    asked = call.attributes.get("num_outputs", 0)
    if asked not in (0, count) or length is None:
        return _Lengths(count, None, asked)
    each = -(-length // count)
    last = length - each * (count - 1)
    fits = last == each or (asked and last > 0)
    return _Lengths(count, (*(each for _ in range(count - 1)), last) if fits else None, asked)
