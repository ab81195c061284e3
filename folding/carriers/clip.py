"""Clip, whose bounds move along.

    x ─ Clip(l, u) ─ affine ─ y                         before
    x ─ affine ─ Clip(s·l + t, s·u + t) ─ y             after

    x ─ affine ─ Clip(l, u) ─ y                         before
    x ─ Clip((l - t) / s, (u - t) / s) ─ affine ─ y     after

A bound that is absent, infinite, or the largest number of its type bounds nothing, and stays. Of an
unknown type no number is the largest.

1. No scale may be negative. Downward one may be zero only where the bound is the shift.
2. A bound is one number, and must stay one: the same for all channels, and finite. So a vector of
   scales passes a bound of 0 if there is no shift: Clip(0, absent) is Relu.
3. The bounds must be constants, numbers, and in order.
4. Below opset 11 the bounds are attributes, which do not change.
5. Downward, the affine stands before the data and not before a bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.doubled import Doubled
from folding.floats import FLOATS
from folding.plan import Kept, Reason
from folding.protos import attribute

_INPUTS_SINCE = 11
_LOWER, _UPPER = 1, 2
_Bounds = dict[int, Doubled]
_Move = Callable[[ChannelAffine, Doubled], Doubled]


def _bounds(passage: Passage) -> _Bounds | Reason:
    """The bounds that bound anything, by the input slots they have since opset 11."""
    node, around = passage.node, passage.around
    found = _given(node)
    for slot, name in enumerate(node.input):
        if slot == 0 or not name:
            continue
        value = around.numbers(name)
        if value is None:
            return Reason.RUNTIME_PARAMETER
        if value.size != 1:
            return Reason.UNUSUAL_FORM
        found[slot] = value
    if any(np.isnan(bound.high) for bound in found.values()):
        return Reason.NOT_FINITE
    if len(found) == _UPPER and found[_LOWER].high > found[_UPPER].high:
        return Reason.UNUSUAL_FORM
    kind = FLOATS.get(around.type(node.input[0]))
    largest = np.inf if kind is None else kind.largest
    sides = {_LOWER: -1, _UPPER: 1}
    return {slot: b for slot, b in found.items() if sides[slot] * b.high < largest}


def _given(node: NodeProto) -> _Bounds:
    values = {_LOWER: attribute(node, "min"), _UPPER: attribute(node, "max")}
    return {slot: Doubled.exact(value.f) for slot, value in values.items() if value is not None}


def _ahead(affine: ChannelAffine, bound: Doubled) -> Doubled:
    return bound * affine.scale + affine.shift


def _back(affine: ChannelAffine, bound: Doubled) -> Doubled:
    """Where the affine reaches the bound; Inf or NaN where it never does."""
    rest = bound - affine.shift
    stays = rest.high == 0
    scale = affine.scale.moved(lambda part: np.where(stays, 1.0, part))
    return rest / scale


def _move(affine: ChannelAffine, passage: Passage, move: _Move) -> Moved | Kept:
    bounds = _bounds(passage)
    if isinstance(bounds, Reason):
        return stay(bounds, passage)
    if bounds and not affine.keeps_order:
        return stay(Reason.NEGATIVE_SCALE, passage)
    constants: _Bounds = {}
    for slot, bound in bounds.items():
        moved = _as_scalar(move(affine, bound.reshape()))
        if isinstance(moved, Reason):
            return stay(moved, passage)
        if moved.equals(float(bound.high.flat[0])):
            continue
        if passage.around.opset < _INPUTS_SINCE:
            return stay(Reason.UNUSUAL_FORM, passage)
        constants[slot] = moved.broadcast_to(bound.shape)
    return Moved({0: affine}, constants)


def _as_scalar(bounds: Doubled) -> Doubled | Reason:
    """The bound that all channels share."""
    if not bounds.is_finite():
        return Reason.UNUSUAL_FORM
    return bounds.reshape(bounds.size)[0] if bounds.is_uniform() else Reason.OPERAND_GROWS


def up(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    return _move(affine, passage, _ahead)


def down(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    if passage.place != 0:
        return stay(Reason.UNUSUAL_FORM, passage)
    return _move(affine, passage, _back)


RULE = Carrier(("Clip",), up, down)
