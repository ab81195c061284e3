"""What the operators that read a constant make of its numbers."""

from __future__ import annotations

from folding.equivalence.foreign.faults import COUNTS
from folding.equivalence.foreign.terms import Term

#: Where a constant is only multiplied or added.
_LINEAR = COUNTS - {"BatchNormalization", "Div"}
#: Recurrent layers, whose weights and biases are multiplied and added step by step.
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
#: Activations of theirs that take another value where a number is off by a last bit.
_DECIDING = frozenset({b"THRESHOLDEDRELU"})
#: Where a result is no further off, relative to the terms of it, than a constant is.
_SMOOTH = (
    COUNTS
    | _RECURRENT
    | {"Concat", "DequantizeLinear", "Einsum", "Gather", "GroupNormalization"}
    | {"InstanceNormalization", "LayerNormalization", "Max", "Min", "RMSNormalization", "Sum"}
    | {"Where"}
)


def is_linear(reader: Term | None) -> bool:
    """Whether a constant is only multiplied or added there."""
    return reader is not None and reader.call.is_own(*_LINEAR)


def is_smooth(reader: Term | None) -> bool:
    """Whether what is a little off stays so there."""
    if reader is None or not reader.call.is_own(*_SMOOTH):
        return False
    said = reader.call.attributes.get("activations") or ()
    return not any(name.upper() in _DECIDING for name in said)
