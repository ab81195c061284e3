"""Seen through: the forms in which a layer and its bias are written.

Conv(x, W)                 Conv(x, W, b)                  b zero
Conv(Pad(x), W, b)         Conv(x, W, b) with more pads   zeros around the image
MatMul(x, W)               Linear(x, W, b)                W a constant float matrix, b zero
Gemm(x, W, c)              Linear(x, W', beta * c)        W' as transB says; alpha 1
Linear(Reshape to(x))      Reshape to(Linear(x))          the last axis being the same
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from folding.doubled import Doubled
from folding.equivalence.foreign.attributes import without_defaults
from folding.equivalence.foreign.numbers import Constant, counts
from folding.equivalence.foreign.reshaping import reshaped
from folding.equivalence.foreign.rounding import is_exact
from folding.equivalence.foreign.shapes import Make
from folding.equivalence.foreign.terms import LINEAR, RESHAPE, Call, Term, Value, shape_of
from folding.floats import FLOATS

LAYERS = frozenset({"Conv", "ConvTranspose", LINEAR})
_ONE = np.float32(1).tobytes()
_MATRIX = 2
_BROADCASTS_SINCE = 7


def convolution(call: Call, make: Make) -> Value | None:
    """A convolution with a bias, be it zero, and with the padding before it."""
    call = _padded(call)
    weight = call.input(1)
    is_plain = isinstance(weight, Constant) and weight.elem_type in FLOATS
    if not isinstance(weight, Constant) or not is_plain or len(weight.shape) <= _MATRIX:
        return Term(replace(call, version=0), 0)
    width, bias = width_of(call), call.input(2)
    if width is None:
        return Term(replace(call, version=0), 0)
    bias = _zeros(weight, width) if bias is None else bias
    return Term(replace(call, inputs=(call.input(0), weight, bias), version=0), 0)


def width_of(layer: Call) -> int | None:
    """How many channels a layer makes; None if it has no constant weight that it can have."""
    weight, groups = layer.input(1), layer.attributes.get("group", 1)
    if not isinstance(weight, Constant) or len(weight.shape) < _MATRIX:
        return None
    rows, columns = weight.shape[:2]
    if layer.is_own(LINEAR):
        return columns
    if groups < 1 or rows % groups:
        return None
    width: int = rows if layer.is_own("Conv") else columns * groups
    return width


def _zeros(weight: Constant, width: int) -> Constant:
    return replace(weight.holding(Doubled.exact(np.zeros(width))), name="", parts=())


def _padded(call: Call) -> Call:
    x = call.input(0)
    if not call.is_own("Conv") or not isinstance(x, Term) or not x.call.is_own("Pad"):
        return call
    pads, rank = _pads(x.call), len(x.shape or ())
    is_told = call.attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    if pads is None or not is_told or len(pads) != 2 * rank or min(pads) < 0:
        return call
    if any((*pads[:2], *pads[rank : rank + 2])):
        return call
    more = (*pads[2:rank], *pads[rank + 2 :])
    own = call.attributes.get("pads") or (0,) * len(more)
    total = tuple(a + b for a, b in zip(more, own, strict=True))
    attributes = without_defaults({**call.attributes, "pads": total})
    return replace(call, inputs=(x.call.input(0), *call.inputs[1:]), attributes=attributes)


def _pads(call: Call) -> tuple[int, ...] | None:
    """How much a Pad adds at each end of each axis, if it adds constant zeros."""
    if call.attributes.get("mode") != b"constant" or call.input(3) is not None:
        return None
    given, value = call.input(1), call.input(2)
    if given is None:
        is_zero = not any(call.attributes.get("value", b""))
        pads: tuple[int, ...] | None = call.attributes.get("pads")
        return pads if is_zero else None
    number = value.doubled() if isinstance(value, Constant) and is_exact(value) else None
    if value is not None and (number is None or not number.equals(0)):
        return None
    return given.integers() if isinstance(given, Constant) else None


def matmul(call: Call, make: Make) -> Value | None:
    """A matrix product with a constant matrix on the right."""
    x, weight = call.input(0), call.input(1)
    if not isinstance(x, Term) or not isinstance(weight, Constant) or len(weight.shape) != _MATRIX:
        return None
    if weight.elem_type not in FLOATS:
        return None
    return _linear(call, x, weight, _zeros(weight, weight.shape[1]))


def _linear(call: Call, x: Value, weight: Constant, bias: Constant) -> Term:
    plain = replace(call.as_(LINEAR, x, weight, bias), version=0)
    inner = x.call.input(0) if isinstance(x, Term) and x.call.is_own(RESHAPE) else None
    shape, rows = shape_of(inner), weight.shape[0]
    out = call.outcome.shape
    if inner is None or not shape or shape[-1] != rows or (x.shape or (0,))[-1] != rows:
        return Term(plain, 0)
    if out is None or counts(out) > 1:
        return Term(plain, 0)
    before = replace(call.outcome, name="", shape=(*shape[:-1], weight.shape[1]))
    linear = Term(replace(plain, inputs=(inner, weight, bias), outputs=(before,)), 0)
    return reshaped(call, linear, out)


def gemm(call: Call, make: Make) -> Value | None:
    """A Gemm of a constant matrix whose C is a vector, a row, a number or absent."""
    x, weight, c = call.input(0), call.input(1), call.input(2)
    said = call.attributes
    if not isinstance(x, Term) or not isinstance(weight, Constant) or said.get("alpha") != _ONE:
        return None
    if call.version < _BROADCASTS_SINCE or len(weight.shape) != _MATRIX:
        return None
    if weight.elem_type not in FLOATS:
        return None
    weight = weight.transposed((1, 0)) if said.get("transB") else weight
    x = _turned(call, x, make) if said.get("transA") else x
    beta = np.frombuffer(said["beta"], np.float32).astype(np.float64)[0]
    zeros = _zeros(weight, weight.shape[1])
    row = None if c is None else _row(c, weight.shape[1])
    if c is None or beta == 0:
        return _linear(call, x, weight, zeros)
    if row is None or not isinstance(c, Constant):
        plain = _linear(call.on(), x, weight, zeros)
        added = replace(call.as_("Add", plain, c), version=_BROADCASTS_SINCE)
        return make(added) if beta == 1 else None
    bias = c.holding(row * Doubled.exact(beta)) if beta != 1 else _as_given(c, row)
    return _linear(call, x, weight, bias)


def _turned(call: Call, x: Term, make: Make) -> Value:
    shape = None if x.shape is None else x.shape[::-1]
    turned = call.on().as_("Transpose", x, perm=(1, 0))
    outcome = replace(turned.outcome, shape=shape, type=x.outcome.type)
    return make(replace(turned, outputs=(outcome,), version=1))


def _as_given(c: Constant, row: Doubled) -> Constant:
    """What is stored stays so, that its bytes are compared."""
    return c if c.shape == row.shape else c.holding(row)


def _row(value: Value, width: int) -> Doubled | None:
    """The C of a Gemm as a vector, if it is the same for all rows."""
    number = value.doubled() if isinstance(value, Constant) else None
    if number is None or len(number.shape) > _MATRIX or number.size not in (1, width):
        return None
    if number.shape and number.shape[-1] != number.size:
        return None
    return number.reshape(number.size).broadcast_to((width,))


RULES = {
    "Conv": convolution,
    "ConvTranspose": convolution,
    "MatMul": matmul,
    "Gemm": gemm,
}
