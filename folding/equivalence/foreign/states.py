"""Seen through: what recurrent layers begin with, where that is 0.

    LSTM(x, W, R, b, lengths, zeros, zeros, zeros)     LSTM(x, W, R, b, lengths)

A bias, a first state and a peephole that are left out are 0. Some tools leave out those that are.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from onnx import TensorProto

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.rounding import is_exact
from folding.equivalence.foreign.terms import Call, Value

_LAYERS = ("GRU", "LSTM", "RNN")
_BIAS = 3
_ZERO = TensorProto.FLOAT, (1,), hashlib.sha256(bytes(4)).digest()


def without_zeros(call: Call) -> Call:
    """A recurrent layer without what is as good as left out; any other call as it is."""
    if not call.is_own(*_LAYERS):
        return call
    inputs: list[Value | None] = [
        None if slot >= _BIAS and _is_zero(value) else value
        for slot, value in enumerate(call.inputs)
    ]
    while inputs and inputs[-1] is None:
        inputs.pop()
    return replace(call, inputs=tuple(inputs))


def _is_zero(value: Value | None) -> bool:
    """Whether a value holds nothing but zeros, however many."""
    if isinstance(value, Constant):
        number = value.doubled()
        return number is not None and number.equals(0) and is_exact(value)
    if value is None:
        return False
    if value.call.is_own("ConstantOfShape"):
        return bool(value.call.attributes.get("value", _ZERO) == _ZERO)
    return value.call.is_own("Expand") and _is_zero(value.call.input(0))
