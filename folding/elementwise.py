"""Functions of constants, number by number, as parametrisations of weights have them.

For a number ``high + low`` with an error bound (see ``Doubled``), a differentiable function f gives

    f(high) + f'(high) * low        |f| + |f'| * magnitude

To first order the second is what an error of the number and a rounding of the result amount to;
what is left out of the first is of the size of low^2, 2^-106 of the number's own square. f itself
is numpy's, in float64, and within 4 units of it (2^-53 |f|): less than an eighth of the 2^-48 |f|
that the parameter check allows, and far below the rounding to any narrower type. Softplus and
Sigmoid are written so that nothing cancels; they are within 8.

The larger of two numbers is exact. Its error bound is its own, unless the other is so near that
rounding may have put it first: then it is the larger one of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import prod

import numpy as np
from onnx import NodeProto

from folding.constant_ops import MOST_ELEMENTS, Inputs, Operator, Value
from folding.doubled import Doubled, Doubles
from folding.protos import attribute

_Pointwise = Callable[[Doubles], Doubles]

#: Numbers nearer than this part of their error bounds may change places in any float type.
_NEAR = 2.0**-4
#: What a Clip without bounds cuts off, below operator set 11: what is above the largest float32.
_LARGEST = float(np.finfo(np.float32).max)


def _smooth(function: _Pointwise, slope: _Pointwise) -> Operator:
    def operator(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
        value = inputs[0]
        if not isinstance(value, Doubled):
            return None
        with np.errstate(all="ignore"):
            high, change = function(value.high), slope(value.high)
            low, magnitude = change * value.low, np.abs(high) + np.abs(change) * value.magnitude
        # A number beyond float64, or none, is left to the runtime.
        if not np.isfinite(high).all() or not np.isfinite(magnitude).all():
            return None
        # Added to nothing: that makes ``high`` the nearest float64 again.
        return Doubled(high, low, magnitude) + Doubled.exact(0.0)

    return operator


def _sigmoid(x: Doubles) -> Doubles:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Doubles) -> Doubles:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _power(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    base, exponent = inputs
    if not isinstance(base, Doubled) or exponent is None or exponent.size != 1:
        return None
    if len(exponent.shape) > len(base.shape):
        return None
    number = float(exponent.high.item() if isinstance(exponent, Doubled) else exponent.item())
    if number == 1:
        return base
    if number == 2:  # noqa: PLR2004
        return base * base
    if abs(number) == 0.5:  # noqa: PLR2004
        return base.sqrt() if number > 0 else Doubled.exact(1.0) / base.sqrt()
    return Doubled.exact(1.0) / base if number == -1 else None


def _sqrt(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    return inputs[0].sqrt() if isinstance(inputs[0], Doubled) else None


def _reciprocal(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    return Doubled.exact(1.0) / inputs[0] if isinstance(inputs[0], Doubled) else None


def _negative(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    return None if inputs[0] is None else -inputs[0]


def _absolute(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    value = inputs[0]
    if not isinstance(value, Doubled):
        return None if value is None else np.abs(value)
    sign = np.where(value.high < 0, -1.0, 1.0)
    return Doubled(value.high * sign, value.low * sign, value.magnitude)


def _larger(one: Value, other: Value) -> Value | None:
    """The larger of two, number by number; None where they do not fit, or one is no number."""
    if prod(np.broadcast_shapes(one.shape, other.shape)) > MOST_ELEMENTS:
        return None
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.asarray(np.maximum(one, other))
    if not isinstance(one, Doubled) or not isinstance(other, Doubled):
        return None
    if np.isnan(one.high).any() or np.isnan(other.high).any():
        return None
    with np.errstate(all="ignore"):
        apart = (one.high - other.high) + (one.low - other.low)
        first = (one.high > other.high) | ((one.high == other.high) & (one.low >= other.low))
        near = np.abs(apart) <= _NEAR * (one.magnitude + other.magnitude)
    own = np.where(first, one.magnitude, other.magnitude)
    high, low = (np.where(first, getattr(one, p), getattr(other, p)) for p in ("high", "low"))
    both = np.maximum(one.magnitude, other.magnitude)
    return Doubled(high, low, np.where(near, both, own))


def _smaller(one: Value, other: Value) -> Value | None:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        fits = prod(np.broadcast_shapes(one.shape, other.shape)) <= MOST_ELEMENTS
        return np.asarray(np.minimum(one, other)) if fits else None
    if not isinstance(one, Doubled) or not isinstance(other, Doubled):
        return None
    found = _larger(-one, -other)
    return None if found is None else -found


def _extreme(pair: Callable[[Value, Value], Value | None]) -> Operator:
    def operator(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
        def joined(one: Value | None, other: Value | None) -> Value | None:
            return None if one is None or other is None else pair(one, other)

        return reduce(joined, inputs)

    return operator


def _clip(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    """Between attributes below operator set 11, between inputs since then, each of which may lack.

    What a least number above the greatest gives has been written down in more than one way.
    """
    value, (least, most) = inputs[0], ([*inputs[1:], None, None])[:2]
    if value is None or any(bound is not None and bound.size != 1 for bound in (least, most)):
        return None
    if len(inputs) == 1 and isinstance(value, Doubled):
        if not (np.abs(value.high) <= _LARGEST).all():
            return None
        least, most = (_attribute(node, name) for name in ("min", "max"))
    return _between(value, _scalar(least), _scalar(most))


def _attribute(node: NodeProto, name: str) -> Doubled | None:
    found = attribute(node, name)
    return None if found is None else Doubled.exact(found.f)


def _scalar(bound: Value | None) -> Value | None:
    if bound is None:
        return None
    return bound.reshape() if isinstance(bound, Doubled) else bound.reshape(())


def _between(value: Value, least: Value | None, most: Value | None) -> Value | None:
    found: Value | None = value if least is None else _larger(value, least)
    if found is None or most is None:
        return found
    crossed = None if least is None else _smaller(least, most)
    if crossed is not None and least is not None and not _is_same(crossed, least):
        return None
    return _smaller(found, most)


def _is_same(one: Value, other: Value) -> bool:
    if isinstance(one, Doubled) and isinstance(other, Doubled):
        return one.is_same(other)
    return bool(np.all(np.asarray(one) == np.asarray(other)))


#: A function of a node, its inputs and the shape of its output for each operator.
ELEMENTWISE: dict[str, Operator] = {
    "Abs": _absolute,
    "Clip": _clip,
    "Exp": _smooth(np.exp, np.exp),
    "Log": _smooth(np.log, lambda x: 1 / x),
    "Max": _extreme(_larger),
    "Min": _extreme(_smaller),
    "Neg": _negative,
    "Pow": _power,
    "Reciprocal": _reciprocal,
    "Sigmoid": _smooth(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "Softplus": _smooth(_softplus, _sigmoid),
    "Sqrt": _sqrt,
    "Tanh": _smooth(np.tanh, lambda x: 1 / np.cosh(x) ** 2),
}
