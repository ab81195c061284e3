"""Seen through: what only passes, converts to the same type, or moves elements.

    Identity(x), Cast(x) to its own type, Dropout(x) at inference     x
    Transpose(Transpose(x))                                           Transpose(x)
    Transpose(x) that only moves axes of length 1                     Reshape(x)
    Relu(Transpose(x)), Add(Transpose(x), Transpose(y))               Transpose(Relu(x)), ...

A transposition is moved towards the outputs, past operators that treat all elements alike, so that
it is found in one place wherever a tool has moved it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.reshaping import reshape
from folding.equivalence.foreign.rounding import is_exact
from folding.equivalence.foreign.shapes import Make, Rule
from folding.equivalence.foreign.terms import (
    PAIRED,
    UNARY,
    Call,
    Outcome,
    Term,
    Value,
    only,
    shape_of,
)
from folding.inference import Shape

_ACTIVE_SINCE = 12
_REDUCING = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")


def identity(call: Call, make: Make) -> Value | None:
    """Identity gives what it gets."""
    return call.input(0)


def cast(call: Call, make: Make) -> Value | None:
    """A conversion to the type that it has."""
    x = call.input(0)
    is_same = isinstance(x, Term) and x.outcome.type == call.attributes["to"]
    return x if is_same else None


def dropout(call: Call, make: Make) -> Value | None:
    """A Dropout that is not in training: since version 12 if no constant says otherwise."""
    if call.version < _ACTIVE_SINCE:
        return call.input(0) if call.version > 6 else None  # noqa: PLR2004 - ``is_test`` is gone
    mode = call.input(2)
    if isinstance(mode, Constant) and mode.integers() == (0,):
        return call.input(0)
    return call.input(0) if mode is None else None


def transpose(call: Call, make: Make) -> Value | None:
    """One transposition instead of two, none instead of one that moves nothing."""
    x, shape = call.input(0), shape_of(call.input(0))
    perm = call.attributes.get("perm")
    if perm is None and shape is not None:
        perm = tuple(reversed(range(len(shape))))
    if perm is None or x is None or (shape is not None and len(perm) != len(shape)):
        return None
    if isinstance(x, Constant):
        return x.transposed(perm)
    if x.call.is_own("Transpose") and "perm" in x.call.attributes:
        inner = x.call.attributes["perm"]
        again = call.as_("Transpose", x.call.input(0), perm=tuple(inner[axis] for axis in perm))
        return make(again)
    if perm == tuple(range(len(perm))):
        return x
    moving = [axis for axis in perm if shape is None or shape[axis] != 1]
    if moving == sorted(moving):
        return reshape(call, make)
    return (
        None
        if call.attributes.get("perm") == perm
        else Term(call.as_("Transpose", x, perm=perm), 0)
    )


def pointwise(call: Call, make: Make) -> Value | None:
    """Operators that treat all elements alike: behind a transposition, or before it."""
    call = replace(call, inputs=_stripped(call))
    perm = _common(call)
    if perm is None:
        return Term(call, 0)
    inverse = tuple(int(axis) for axis in np.argsort(perm))
    inputs: list[Value | None] = []
    for value in call.inputs:
        if isinstance(value, Constant) and value.shape:
            padded = value.reshaped((1,) * (len(perm) - len(value.shape)) + value.shape)
            if padded is None:
                return None
            inputs.append(padded.transposed(inverse))
        else:
            inputs.append(value.call.input(0) if isinstance(value, Term) else value)
    return _behind(call, perm, inverse, inputs, make)


def clip(call: Call, make: Make) -> Value | None:
    """Clip with its bounds as attributes, whichever version says them how."""
    bounds = {name: call.attributes.get(name) for name in ("min", "max")}
    for slot, name in ((1, "min"), (2, "max")):
        given = call.input(slot)
        number = given.doubled() if isinstance(given, Constant) else None
        is_told = isinstance(given, Constant) and is_exact(given)
        if given is not None and (number is None or number.size != 1 or not is_told):
            return pointwise(call, make)
        if number is not None:
            bounds[name] = np.float32(number.high.item()).tobytes()
    is_narrow = call.outcome.type in (TensorProto.FLOAT, TensorProto.FLOAT16)
    if call.input(0) is None or not is_narrow:
        return pointwise(call, make)
    said = {name: number for name, number in bounds.items() if number is not None}
    return pointwise(replace(call.as_("Clip", call.input(0), **said), version=0), make)


def _behind(
    call: Call, perm: tuple[int, ...], inverse: tuple[int, ...], inputs: list[Value | None],
    make: Make, **attributes: object,
) -> Value:  # fmt: skip
    """The operator on the values before a transposition, and the transposition behind it."""
    shape = call.outcome.shape
    inner = call.on(*inputs, **attributes)
    moved = None if shape is None else tuple(shape[axis] for axis in inverse)
    inner = replace(inner, outputs=(Outcome("", moved, call.outcome.type),))
    return make(replace(call.as_("Transpose", make(inner), perm=perm), version=1))


def _stripped(call: Call) -> tuple[Value | None, ...]:
    """The inputs; constants without leading axes of length 1 that others have anyway."""
    ranks = [len(v.shape) for v in call.inputs if isinstance(v, Term) and v.shape is not None]
    most = max(ranks, default=0)
    inputs: list[Value | None] = []
    for value in call.inputs:
        if isinstance(value, Constant) and 0 < len(value.shape) <= most:
            shape = value.shape
            while shape and shape[0] == 1:
                shape = shape[1:]
            inputs.append(value.reshaped(shape) or value)
        else:
            inputs.append(value)
    return tuple(inputs)


def _common(call: Call) -> tuple[int, ...] | None:
    """The transposition behind which all inputs that are not constant stand.

    A constant of a higher rank puts axes before those that change places.
    """
    terms = [value for value in call.inputs if isinstance(value, Term)]
    moved = only(terms, "Transpose")
    perms = {term.call.attributes.get("perm") for term in moved}
    if not terms or len(moved) < len(terms) or len(perms) > 1:
        return None
    (perm,) = perms
    if perm is None:
        return None
    ranks = [len(value.shape) for value in call.inputs if isinstance(value, Constant)]
    more = max(0, *ranks, len(perm)) - len(perm)
    return (*range(more), *(axis + more for axis in perm))


def along_axis(call: Call, make: Make) -> Value | None:
    """Concat and Softmax behind a transposition, which changes their axis."""
    perm, axis = _common(call), call.attributes.get("axis")
    if perm is None or axis is None or any(isinstance(v, Constant) for v in call.inputs):
        return _counted_from_left(call, axis)
    if not call.is_own("Concat") and call.version < 13:  # noqa: PLR2004 - flattened then
        return None
    inverse = tuple(int(a) for a in np.argsort(perm))
    inputs = [value.call.input(0) for value in call.inputs if isinstance(value, Term)]
    return _behind(call, perm, inverse, inputs, make, axis=perm[axis])


def _counted_from_left(call: Call, axis: int | None) -> Value | None:
    shape: Shape | None = call.outcome.shape
    if axis is None or axis >= 0 or shape is None:
        return None
    return Term(replace(call, attributes={**call.attributes, "axis": range(len(shape))[axis]}), 0)


def reduce(call: Call, make: Make) -> Value | None:
    """A reduction with its axes as an attribute, counted from the left."""
    x, axes = call.input(0), call.attributes.get("axes")
    given = call.input(1)
    if isinstance(given, Constant):
        axes = given.integers()
    if not isinstance(x, Term) or x.shape is None or not axes:
        return None
    rank = len(x.shape)
    axes = tuple(sorted(range(rank)[axis] for axis in axes))
    attributes = {**call.attributes, "axes": axes}
    attributes.pop("noop_with_empty_axes", None)
    plain = replace(call.as_(call.operator, x, **attributes), version=0)
    perm = _common(plain)
    if perm is None or not attributes.get("keepdims", 1):
        return Term(plain, 0)
    inverse = tuple(int(a) for a in np.argsort(perm))
    moved = tuple(sorted(perm[axis] for axis in axes))
    return _behind(plain, perm, inverse, [x.call.input(0)], make, axes=moved)


RULES: dict[str, Rule] = {
    "Identity": identity,
    "Cast": cast,
    "Dropout": dropout,
    "Transpose": transpose,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), reshape),
    **dict.fromkeys(("Concat", "Softmax", "LogSoftmax"), along_axis),
    "Clip": clip,
    **dict.fromkeys(_REDUCING, reduce),
}
POINTWISE: dict[str, Rule] = dict.fromkeys((*UNARY, *PAIRED), pointwise)
