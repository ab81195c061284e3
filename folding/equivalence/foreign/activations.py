"""Seen through: activations that runtimes write in several operators.

Mul(x, HardSigmoid(x)), alpha 1/6, beta 1/2     HardSwish(x)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from folding.equivalence.foreign.shapes import Make
from folding.equivalence.foreign.terms import Call, Term, Value

#: What ONNX defines HardSwish by.
_ALPHA, _BETA = (np.float32(number).tobytes() for number in (1 / 6, 1 / 2))
_SWISH_SINCE = 14


def hard_swish(call: Call, make: Make) -> Value | None:
    """A value times its own HardSigmoid."""
    for x, gate in (call.inputs, call.inputs[::-1]):
        is_gate = isinstance(gate, Term) and gate.call.is_own("HardSigmoid")
        if not isinstance(gate, Term) or not is_gate or gate.call.input(0) is not x:
            continue
        said = gate.call.attributes
        if (said.get("alpha"), said.get("beta")) == (_ALPHA, _BETA):
            return make(replace(call.as_("HardSwish", x), version=_SWISH_SINCE))
    return None


RULES = {"Mul": hard_swish}
