"""Seen through: the same elements in other dimensions, whatever asks for them.

    Reshape, Flatten, Squeeze, Unsqueeze     Reshape(x) to known dimensions
    Reshape(Reshape(x))                      Reshape(x), if the first cannot fail
    Reshape(x) to what x is                  x

A Reshape with at most one unknown dimension is told by the others: the number of elements is that
of x. Where a graph works the dimensions out, that must be how the unknown one is worked out.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from folding.equivalence.foreign.numbers import counts
from folding.equivalence.foreign.shapes import Make, asked_for
from folding.equivalence.foreign.terms import RESHAPE, Call, Term, Value
from folding.inference import Shape


def reshape(call: Call, make: Make) -> Value | None:
    """All operators that give the same elements in other dimensions, as one."""
    x, shape = call.input(0), call.outcome.shape
    if isinstance(x, Term) and counts(shape) and not _keeps_elements(call):
        shape = asked_for(call, x) if call.is_own("Reshape") else None
    if not isinstance(x, Term) or shape is None or counts(shape) > 1 or 0 in shape:
        return None
    return reshaped(call, x, shape)


def _keeps_elements(call: Call) -> bool:
    """Whether an operator cannot ask for more or fewer elements than it gets."""
    return call.is_own("Flatten") or (
        not call.is_own("Reshape") and not isinstance(call.input(1), Term)
    )


def reshaped(call: Call, x: Term, shape: Shape) -> Term:
    """A value in dimensions of which at most one is not known."""
    inner = x.call.input(0) if x.call.is_own(RESHAPE) else None
    if isinstance(inner, Term) and _always(inner.shape, x.call.attributes["dims"]):
        x = inner
    if x.shape == shape:
        return x
    dims = tuple(-1 if d is None else d for d in shape)
    outcome = replace(call.outcome, shape=shape)
    plain = replace(call.as_(RESHAPE, x, dims=dims), version=0, outputs=(outcome,))
    return Term(plain, 0)


def _always(shape: Shape | None, dims: tuple[int, ...]) -> bool:
    """Whether a value can be brought into other dimensions, whatever its unknown ones are."""
    if shape is None:
        return False
    before, after = prod(d for d in shape if d is not None), prod(d for d in dims if d != -1)
    return before % after == 0 if -1 in dims else None not in shape and before == after
