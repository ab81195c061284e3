"""The axis that the constant of an arithmetic node acts along.

It is certain only where the data is known to have that many entries there, and that many axes:
otherwise the constant may be what gives the result its shape. Of data with one entry it is.

Of data of unknown rank the last axis may still be known. A MatMul by a constant [..., K, N] makes
one of length N, whether the other operand is a vector or has a thousand axes. What works on each
element alone leaves it there, and so does arithmetic: another operand could make it longer only if
N were 1, and then no constant that is longer acts along it for certain.
"""

from __future__ import annotations

from folding.constants import Constants
from folding.inference import Shape
from folding.plan import Reason

_MATRIX = 2
#: How many nodes are looked through for the layer that makes the last axis.
_MOST_NODES = 32
_ARITHMETIC = frozenset({"Add", "Div", "Mul", "Sub"})
_ELEMENTWISE = frozenset(
    {"Cast", "Elu", "Erf", "Identity", "LeakyRelu", "Neg", "Relu", "Selu", "Sigmoid", "Tanh"}
)


def axis_of(dims: tuple[int, ...], data: str, constants: Constants) -> int | Reason | None:
    """The axis from the right that a constant of these dimensions acts along, None for a scalar."""
    if not dims:
        return None
    shape = constants.scope.shape(data)
    if shape is None and len(dims) == 1:
        last = _last(data, constants)
        shape = (None if last == 1 else last,)
    return _axis(dims, shape)


def _axis(dims: tuple[int, ...], data: Shape | None) -> int | Reason | None:
    wide = [axis - len(dims) for axis, dim in enumerate(dims) if dim != 1]
    if data is None:
        return Reason.AXIS_UNCERTAIN
    if len(dims) > len(data):
        return Reason.OPERAND_GROWS
    if not wide or data[wide[0]] == dims[wide[0]]:
        return wide[0] if wide else None
    return Reason.OPERAND_GROWS if data[wide[0]] == 1 else Reason.AXIS_UNCERTAIN


def _last(name: str, constants: Constants) -> int | None:
    """The length of the last axis of data of unknown rank, if it is not 1; None if not known."""
    scope = constants.scope
    for _ in range(_MOST_NODES):
        index = scope.producers.get(name)
        if index is None or index in scope.foreign:
            return None
        operator, reads = scope.operators[index], scope.reads[index]
        if operator == "MatMul":
            weight = constants.dims(reads[1]) if reads[1] in constants else None
            return weight[-1] if weight is not None and len(weight) >= _MATRIX else None
        if operator in _ARITHMETIC:
            name = reads[0] if reads[1] in constants else reads[1]
        elif operator in _ELEMENTWISE:
            name = reads[0]
        else:
            return None
    return None
