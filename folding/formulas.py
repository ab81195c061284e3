"""The affine map of a node, from the numbers of its constants.

BatchNormalization in inference form    s = gamma / sqrt(var + eps), t = beta - mean * s
Mul, Div by a constant                  s
Add, Sub of a constant, constant - x    t
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.protos import number

_DEFAULT_EPSILON = float(np.float32(1e-5))


def kind_of(operator: str, slot: int) -> str:
    """What a Mul, Div, Add or Sub does with its data in some slot: ``Minus`` is constant - x."""
    return "Minus" if operator == "Sub" and slot == 1 else operator


def arithmetic(kind: str, value: Doubled, axis: int | None) -> ChannelAffine | None:
    """One Mul, Div, Add, Sub or Minus.

    None if its constant is not finite, or zero below a Div.
    """
    flat = value.reshape() if axis is None else value.reshape(value.size)
    if not flat.is_finite() or (kind == "Div" and (flat.high == 0).any()):
        return None
    one, zero = Doubled.exact(1.0), Doubled.exact(0.0)
    scale, shift = {
        "Mul": (flat, zero),
        "Div": (one / flat, zero),
        "Add": (one, flat),
        "Sub": (one, -flat),
        "Minus": (-one, flat),
    }[kind]
    return ChannelAffine(scale, shift, axis)


def batch_norm(node: NodeProto, values: Sequence[Doubled], rank: int) -> ChannelAffine | None:
    """A BatchNormalization of data of some rank; None if a variance plus epsilon is not positive.

    ``values`` are its parameters in the order of its inputs.
    """
    gamma, beta, mean, variance = values
    spread = deviation(node, variance)
    if spread is None:
        return None
    scale = gamma / spread
    shift = beta - mean * scale
    if scale.size == 1:
        return ChannelAffine(scale.reshape(), shift.reshape(), None)
    return ChannelAffine(scale, shift, 1 - rank)


def deviation(node: NodeProto, variance: Doubled) -> Doubled | None:
    """What a BatchNormalization divides by; None if a variance plus epsilon is not positive."""
    spread = variance + Doubled.exact(np.float64(number(node, "epsilon", _DEFAULT_EPSILON)))
    return spread.sqrt() if (spread.high > 0).all() else None
