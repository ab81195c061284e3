"""Seen through: what a candidate computes in float32 where the reference computes in float16.

    Cast(Relu(Conv(Cast(x), Cast(W))))     Relu(Conv(x, W))

A runtime may leave out the roundings between one operator and the next, which only makes the result
more accurate, and may hold what would overflow. So this goes one way: a reference that computes in
float32 may do so because float16 does not hold what is in between, and a candidate that does not is
another function. Nor are operators seen through that a rounding before them may decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from folding.doubled import Doubled
from folding.equivalence.foreign.layers import LAYERS
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.rules import make
from folding.equivalence.foreign.terms import PAIRED, RESHAPE, UNARY, Term, Value
from folding.floats import FLOATS
from folding.stored import Stored

_NARROW = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
_DECIDING = frozenset(
    {"And", "Cast", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
    | {"Not", "Or", "Round", "Sign", "ThresholdedRelu", "Where", "Xor"}
)
_SMOOTH = (
    LAYERS
    | (frozenset((*UNARY, *PAIRED)) - _DECIDING)
    | {"AveragePool", "BatchNormalization", "Concat", "Gemm", "GlobalAveragePool", "GlobalMaxPool"}
    | {"InstanceNormalization", "LayerNormalization", "LogSoftmax", "MatMul", "MaxPool", "Pad"}
    | {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Softmax", "Transpose", RESHAPE}
)


#: What values of the candidate become in a narrower type, if anything, by their identity.
Narrowed = dict[tuple[int, int], tuple[Value, Value | None]]


def narrowed(ours: Term, theirs: Term, done: Narrowed) -> Term:
    """The candidate's value as the reference computes it: in the type that it is converted to.

    ``done`` are the values that have been narrowed before.
    """
    kind, x = ours.outcome.type, theirs.call.input(0)
    is_converted = theirs.call.is_own("Cast") and theirs.call.attributes["to"] == kind
    if kind not in _NARROW or not is_converted or ours.call.is_own("Cast"):
        return theirs
    todo = [] if x is None else [x]
    while todo:
        value = todo[-1]
        rest = [given for given in _wide(value) if (id(given), kind) not in done]
        if not rest:
            done[id(value), kind] = value, _one(value, kind, done)
            todo.pop()
        todo += rest
    _, found = done.get((id(x), kind), (x, None))
    if not isinstance(found, Term):
        return theirs
    # What is in between has another type in the candidate, so no name is told for it.
    return found if found.name else Term(replace(found.call, outputs=theirs.call.outputs), 0)


def _wide(value: Value) -> Iterator[Value]:
    """What of the inputs of a value is to be narrowed before it."""
    if isinstance(value, Term) and value.call.is_own(*_SMOOTH):
        yield from (v for v in value.call.inputs if v is not None and _is_wide(v))


def _is_wide(value: Value) -> bool:
    kind = value.elem_type if isinstance(value, Constant) else value.outcome.type
    return kind == TensorProto.FLOAT


def _one(value: Value, kind: int, done: Narrowed) -> Value | None:
    """A value whose inputs are narrowed; None if it is nothing that can be."""
    if isinstance(value, Constant):
        return _constant(value, kind)
    call, x = value.call, value.call.input(0)
    if call.is_own("Cast"):
        return x if isinstance(x, Term) and x.outcome.type == kind else None
    if not call.is_own(*_SMOOTH) or len(call.outputs) > 1 or not _is_wide(value):
        return None
    given = call.inputs
    inputs = [done[id(v), kind][1] if v is not None and _is_wide(v) else v for v in given]
    if any(new is None for new, old in zip(inputs, given, strict=True) if old is not None):
        return None
    outcome = replace(call.outcome, name="", type=kind)
    return make(replace(call, inputs=tuple(inputs), outputs=(outcome,)))


def _constant(constant: Constant, kind: int) -> Constant | None:
    """Numbers that were converted to float32 as they were before."""
    if isinstance(constant.source, np.ndarray):
        return None
    if not isinstance(constant.source, Stored):
        return replace(constant, elem_type=kind)
    array = constant.array().astype(np.float64)
    kept = FLOATS[kind].round(array).astype(np.float64) == array
    if not kept.all():
        return None
    return replace(constant.holding(Doubled.exact(array)), elem_type=kind)
