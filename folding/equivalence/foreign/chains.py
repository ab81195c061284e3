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
from collections.abc import Callable, Sequence
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
#: So many times larger than a channel costs it six of its binary digits.
MOST = 64.0
_RANGE, _HALF_RANGE = 2.0**24, 2.0**4
_HALF_LARGEST = 2.0**16
_NORM_INPUTS, _EPSILON = 5, 1e-5


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale that a graph multiplies with: how far it goes, and how it is recognised.

    ``added`` is the most that it adds to a channel, all with plus signs.
    """

    least: float
    most: float
    spelling: bytes = b""
    added: float = 0.0

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
        gamma, beta, mean, variance = (_numbers(constants, name) for name in node.input[1:5])
        if gamma is None or beta is None or mean is None or variance is None:
            return replace(Scale.of(None), added=inf)
        epsilon = Doubled.exact(np.float32(number(node, "epsilon", _EPSILON)))
        scale = gamma / (variance + epsilon).sqrt()
        return replace(Scale.of(scale), added=_most(mean * scale + beta))
    if node.op_type == "Div" and _is_constant(constants, node.input[1]):
        divisor = _numbers(constants, node.input[1])
        return Scale.of(None if divisor is None else Doubled.exact(np.ones(1)) / divisor)
    given = [name for name in node.input if _is_constant(constants, name)]
    if node.op_type in ("Add", "Sub") and given:
        shift = _numbers(constants, given[0])
        most = inf if shift is None else _most(shift)
        return replace(Scale.of(shift), least=1.0, most=1.0, added=most)
    if node.op_type != "Mul" or not given:
        return None
    return Scale.of(_numbers(constants, given[0]))


def _most(shift: Doubled) -> float:
    return float(np.nan_to_num(shift.magnitude, nan=inf).max(initial=0.0))


def _is_constant(constants: Constants, name: str) -> bool:
    home, name = found(constants, name)
    return name in home


def _numbers(constants: Constants, name: str) -> Doubled | None:
    home, name = found(constants, name)
    return home.doubled(name)


def keeps_range(
    ours: Sequence[Scale], theirs: Sequence[Scale], kind: FloatType, channel: Callable[[], float]
) -> bool:
    """Whether no product of the candidate's scales is extreme, and no shift may go unseen.

    It may be so where the reference has the same. ``channel`` gives the size of the smallest
    channel that they act on.
    """
    limit = _HALF_RANGE if kind.largest < _HALF_LARGEST else _RANGE
    most = prod(max(1.0, scale.most) for scale in theirs)
    least = prod(min(1.0, scale.least) for scale in theirs)
    if most <= limit and least >= 1 / limit and not _may_hide(theirs, most, least, channel):
        return True
    rest = iter([scale.spelling for scale in ours])
    return all(scale.spelling and scale.spelling in rest for scale in theirs)


def _may_hide(
    scales: Sequence[Scale], most: float, least: float, channel: Callable[[], float]
) -> bool:
    """Whether shifts that take each other away may hide a channel.

    A fold that only scales keeps no trace of them. All of them together, scaled by whatever stands
    behind them, are small beside the inputs of a layer, which count as 1, and beside each channel
    of its result: then nothing is lost, wherever they stand.
    """
    shifts = [scale.added for scale in scales if scale.added]
    whole = sum(shifts) * most
    return len(shifts) > 1 and not (whole <= MOST * least and whole <= MOST * channel())
