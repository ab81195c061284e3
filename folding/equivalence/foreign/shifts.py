"""Shifts that a normalisation behind them takes away again, so that they need not matter.

    layer ─ (Add, Transpose, Reshape, MaxPool) ─ InstanceNormalization
    layer ─ (Add, Transpose, Reshape, MaxPool) ─ v ─ Sub(v, ReduceMean(v))

A tool may drop such a shift, and the function is the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from folding.equivalence.foreign.layers import LAYERS
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import RESHAPE, Term, Value

#: Operators that take the mean of their first input away, in training form if there are two.
_NORMALISING = frozenset(
    {"BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"}
    | {"MeanVarianceNormalization"}
)
#: Operators that move elements, and those that carry a shift along.
_MOVING = frozenset({"Transpose", RESHAPE})
_POOLING = {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}
_CARRYING = _MOVING | _POOLING | {"Add"}
_BIAS = 2


def centred(term: Term) -> Value | None:
    """The value whose mean a term takes away, if it does."""
    first, second = term.call.input(0), term.call.input(1)
    if term.call.is_own(*_NORMALISING):
        return first
    mean = _unmoved(second)
    if not term.call.is_own("Sub") or not isinstance(mean, Term):
        return None
    if not mean.call.is_own("ReduceMean"):
        return None
    return first if _unmoved(mean.call.input(0)) is _unmoved(first) else None


def _unmoved(value: Value | None) -> Value | None:
    """A value before its elements changed places."""
    while isinstance(value, Term) and value.call.is_own(*_MOVING):
        value = value.call.input(0)
    return value


def is_forgotten(constant: Constant, reader: Term, values: Iterable[Value]) -> bool:
    """Whether a constant only shifts a value whose mean is taken away; ``values`` are all such."""
    inputs = reader.call.inputs
    is_bias = reader.call.is_own(*LAYERS) and len(inputs) > _BIAS and inputs[_BIAS] is constant
    if not (is_bias or reader.call.is_own("Add")):
        return False
    todo, seen = list(values), set[int]()
    while todo:
        value = todo.pop()
        if value is reader:
            return True
        if isinstance(value, Term) and value.call.is_own(*_CARRYING) and id(value) not in seen:
            seen.add(id(value))
            todo += [given for given in value.call.inputs if given is not None]
    return False
