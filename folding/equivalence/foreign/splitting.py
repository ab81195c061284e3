"""Seen through: in which lengths a Split is told, where those follow from what is known.

Split(x, s), split = s         Split(x) in the lengths s
Split(x), num_outputs = k      Split(x) in k lengths, the last of which may be shorter
Split(x)                       Split(x) in as many equal lengths as it has outputs
"""

from __future__ import annotations

from dataclasses import replace

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import Call, shape_of

_LENGTHS = "lengths"


def settled(call: Call) -> Call:
    """A Split that says its lengths, if they are known; any other call as it is."""
    if not call.is_own("Split"):
        return call
    shape, given = shape_of(call.input(0)), call.input(1)
    axis = call.attributes.get("axis", 0)
    if shape is None or not -len(shape) <= axis < len(shape):
        return call
    if given is not None:
        told = given.integers() if isinstance(given, Constant) else None
    else:
        told = call.attributes.get("split") or _equal(call, shape[axis])
    if told is None or len(told) != len(call.outputs):
        return call
    attributes = {"axis": axis % len(shape), _LENGTHS: tuple(told)}
    return replace(call, inputs=call.inputs[:1], attributes=attributes, version=0)


def _equal(call: Call, length: int | None) -> tuple[int, ...] | None:
    count = call.attributes.get("num_outputs", len(call.outputs))
    if length is None or count < 1:
        return None
    each = -(-length // count)
    last = length - each * (count - 1)
    if last < 1 or (last < each and "num_outputs" not in call.attributes):
        return None
    return (*(each for _ in range(count - 1)), last)
