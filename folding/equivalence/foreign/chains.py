"""What the affines that a candidate still computes lose between one and the next.

The normal form composes them without rounding, so what the runtime loses on the way does not show:
``Add 2000, Sub 2000`` leaves nothing of a channel whose numbers are small, and ``Mul s, Mul s``
may overflow, or fall below the least number, before ``Div s, Div s`` takes it back.

So the scales between two layers must stay in a range, in whatever order they are multiplied. What
is added is looked at in ``drowned``. What the reference itself multiplies or adds on the way is no
fault of the candidate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, prod

import numpy as np
from onnx import NodeProto

from folding.constants import Constants
from folding.doubled import Doubled
from folding.equivalence.foreign.steps import found
from folding.floats import FloatType
from folding.protos import number

#: Scales may go so far from 1; a float16 reaches no further than 2^16 itself.
_RANGE, _HALF_RANGE = 2.0**24, 2.0**4
_HALF_LARGEST = 2.0**16
_NORM_INPUTS, _EPSILON = 5, 1e-5


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale that a graph multiplies with: how far it goes, and how it is recognised.

    What ``adds`` is 1 itself, or is a normalisation.
    """

    least: float
    most: float
    spelling: bytes = b""
    adds: bool = False

    @classmethod
    def of(cls, numbers: Doubled | None) -> Scale:
        """``numbers`` are by channel, None if they are not known. Nothing is lost in a zero."""
        if numbers is None:
            return cls(0.0, inf)
        high = np.ascontiguousarray(numbers.high).reshape(-1)
        sizes = np.abs(high[high != 0])
        if not np.isfinite(sizes).all():
            return cls(0.0, inf)
        told = high[:1] if (high == high[:1]).all() else high
        spelling = hashlib.sha256(told.tobytes()).digest()
        return cls(float(sizes.min(initial=1.0)), float(sizes.max(initial=1.0)), spelling)


def scale_of(node: NodeProto, constants: Constants) -> Scale | None:
    """The scale of an affine; None if it is none."""
    if node.op_type == "BatchNormalization" and len(node.input) >= _NORM_INPUTS:
        gamma, variance = (_numbers(constants, node.input[slot]) for slot in (1, 4))
        if gamma is None or variance is None:
            return Scale.of(None)
        epsilon = Doubled.exact(np.float32(number(node, "epsilon", _EPSILON)))
        return replace(Scale.of(gamma / (variance + epsilon).sqrt()), adds=True)
    if node.op_type == "Div" and _is_constant(constants, node.input[1]):
        divisor = _numbers(constants, node.input[1])
        return Scale.of(None if divisor is None else Doubled.exact(np.ones(1)) / divisor)
    given = [name for name in node.input if _is_constant(constants, name)]
    if node.op_type in ("Add", "Sub") and given:
        return replace(Scale.of(_numbers(constants, given[0])), least=1.0, most=1.0, adds=True)
    if node.op_type != "Mul" or not given:
        return None
    return Scale.of(_numbers(constants, given[0]))


def _is_constant(constants: Constants, name: str) -> bool:
    home, name = found(constants, name)
    return name in home


def _numbers(constants: Constants, name: str) -> Doubled | None:
    home, name = found(constants, name)
    return home.doubled(name)


def keeps_range(ours: Sequence[Scale], theirs: Sequence[Scale], kind: FloatType) -> bool:
    """Whether no product of the candidate's scales is extreme, and no shift may go unseen.

    It may be so where the reference has the same.
    """
    limit = _HALF_RANGE if kind.largest < _HALF_LARGEST else _RANGE
    most = prod(max(1.0, scale.most) for scale in theirs)
    least = prod(min(1.0, scale.least) for scale in theirs)
    if most <= limit and least >= 1 / limit and not _may_cancel(theirs):
        return True
    rest = iter([scale.spelling for scale in ours])
    return all(scale.spelling and scale.spelling in rest for scale in theirs)


def _may_cancel(scales: Sequence[Scale]) -> bool:
    """Whether shifts may take each other away, of which a fold that only scales keeps no trace."""
    return sum(scale.adds for scale in scales) > 1 and len({s.spelling for s in scales}) > 1
