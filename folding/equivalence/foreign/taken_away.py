"""Changes of a layer that all that reads it takes away again, so that they need not matter.

layer times c > 0 ─ ... ─ ArgMax, Hardmax, Sign, LpNormalization   only the ratios of numbers count
layer times c > 0 ─ ... ─ the indices of TopK, comparisons with 0   only their order, or signs
layer times -1    ─ ... ─ Abs, and other even operators
layer plus c      ─ ... ─ Softmax, LogSoftmax, ArgMax, Hardmax      c is the same in all channels

Between them are operators that let the factor or the number pass. A tool may drop such a change, or
make one, and the function is the same but for rounding, of which only a run can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isfinite

import numpy as np

from folding.doubled import Doubled
from folding.equivalence.foreign.bounds import ROUNDINGS
from folding.equivalence.foreign.deviation import deviation, in_step, pieces
from folding.equivalence.foreign.faults import Fault
from folding.equivalence.foreign.layers import LAYERS
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.rounding import Ways
from folding.equivalence.foreign.terms import RESHAPE, Call, Term, Value
from folding.floats import FLOATS

_WEIGHT, _BIAS = 1, 2
_MOVING = frozenset({"Transpose", RESHAPE})


@dataclass(frozen=True, slots=True)
class _Sinks:
    """Operators that take a change away, and those that let it pass at their first input.

    ``joins`` are those that let it pass at any of them.
    """

    ends: frozenset[str]
    passing: frozenset[str]
    joins: frozenset[str] = frozenset()


_COMPARING = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
_EXTREMES = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"})
_MEANS = frozenset({"GlobalAveragePool", "ReduceMean"})
_SCALE = _Sinks(
    frozenset({"ArgMax", "ArgMin", "Hardmax", "LpNormalization", "Sign"}),
    _MOVING | _EXTREMES | _MEANS | {"Abs", "AveragePool", "LeakyRelu", "ReduceSum", "Relu"},
)
_SIGN = _Sinks(
    frozenset({"Abs", "Cos", "Cosh", "GlobalLpPool", "LpPool"})
    | {"ReduceL1", "ReduceL2", "ReduceLogSumSq", "ReduceSumSquare"},
    _MOVING | _MEANS | {"AveragePool", "Neg", "ReduceSum"},
)
_SHIFT = _Sinks(
    frozenset({"ArgMax", "ArgMin", "Hardmax", "LogSoftmax", "Softmax"}),
    _MOVING | _EXTREMES | _MEANS,
    frozenset({"Add"}),
)


def is_taken_away(faults: Sequence[Fault], outputs: Sequence[Value]) -> bool:
    """Whether the faults of one layer change it in a way that no output of the model shows."""
    layer = faults[0].reader
    if layer is None or any(fault.reader is not layer for fault in faults):
        return False
    if not layer.call.is_own(*LAYERS):
        return False
    sinks = _sinks(layer, faults)
    return sinks is not None and not _shows(layer, outputs, sinks)


def _sinks(layer: Term, faults: Sequence[Fault]) -> _Sinks | None:
    """What would take the change away; None if it is of no such kind."""
    weight, bias = layer.call.input(_WEIGHT), layer.call.input(_BIAS)
    changed = [fault.constant for fault in faults]
    if not all(fault.is_numeric for fault in faults):
        return None
    if len(faults) == 1 and changed[0] is bias and _is_uniform(faults[0]):
        return _SHIFT
    if not any(constant is weight for constant in changed) or not isinstance(bias, Constant):
        return None
    zeros = bias.doubled()
    if all(constant is not bias for constant in changed) and not (zeros and zeros.equals(0)):
        return None
    ratio = _ratio(next(fault for fault in faults if fault.constant is weight))
    if not all(_is_times(fault, ratio) for fault in faults):
        return None
    return _SCALE if ratio > 0 else _SIGN if _is_times(faults[0], -1.0) else None


def _is_uniform(fault: Fault) -> bool:
    """Whether all numbers of a bias are off by the same number."""
    ours, theirs = fault.constant.doubled(), fault.theirs.doubled()
    if ours is None or theirs is None or not ours.size:
        return False
    apart = (theirs - ours).high
    most = ROUNDINGS * FLOATS[fault.theirs.elem_type].roundoff
    size = max(ours.magnitude.max(), theirs.magnitude.max())
    return bool(apart.max() - apart.min() <= most * size)


def _ratio(fault: Fault) -> float:
    """How many times as large the candidate's weight is, by least squares; 0 if none is."""
    products = squares = 0.0
    with closing(pieces(fault.constant)) as one, closing(pieces(fault.theirs)) as other:
        for ours, own, theirs, their in in_step(one, other):
            with np.errstate(all="ignore"):
                products += float(ours[1][own] @ theirs[1][their])
                squares += float(ours[1][own] @ ours[1][own])
    ratio = products / squares if squares else 0.0
    return ratio if isfinite(ratio) else 0.0


def _is_times(fault: Fault, ratio: float) -> bool:
    """Whether a constant of the candidate is that many times what it must be."""
    ours = fault.constant
    everywhere = np.zeros((1,) * len(ours.shape), np.intp)
    scaled = ours.scaled(everywhere, Doubled.exact(np.array([ratio])))
    if scaled is None:
        return False
    return deviation(scaled, fault.theirs, Ways(), is_linear=True, is_smooth=True) <= 1


def _shows(layer: Term, outputs: Sequence[Value], sinks: _Sinks) -> bool:
    """Whether a change of a layer reaches an output on a way that no sink ends."""
    todo, seen = [(value, False) for value in outputs], set[tuple[int, bool]]()
    while todo:
        value, is_behind = todo.pop()
        if not isinstance(value, Term) or (id(value), is_behind) in seen:
            continue
        seen.add((id(value), is_behind))
        if value is layer and not is_behind:
            return True
        call = value.call
        compares = sinks is _SCALE and _compares_with_zero(call)
        others = compares or (is_behind and call.is_own(*sinks.joins))
        passes = others or (is_behind and call.is_own(*sinks.passing))
        first = passes or call.is_own(*sinks.ends) or (sinks is not _SIGN and _gives_places(value))
        todo += [
            (given, others if slot else first)
            for slot, given in enumerate(call.inputs)
            if given is not None
        ]
        todo += [(result, False) for body in call.bodies for result in body.results]
    return False


def _gives_places(value: Term) -> bool:
    """Whether a value says where the largest numbers are, not what they are."""
    return value.call.is_own("TopK") and value.index == 1


def _compares_with_zero(call: Call) -> bool:
    constants = (value for value in call.inputs if isinstance(value, Constant))
    zeros = (constant.doubled() for constant in constants)
    return call.is_own(*_COMPARING) and any(zero and zero.equals(0) for zero in zeros)
