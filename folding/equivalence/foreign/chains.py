"""What the affines that a candidate still computes lose between one and the next.

The normal form composes them without rounding, so what the runtime loses on the way does not show:
``Add 2000, Sub 2000`` leaves nothing of a channel whose numbers are small, and ``Mul s, Mul s``
may overflow, or fall below the least number, before ``Div s, Div s`` takes it back.

NaN and Inf must be in the same places wherever the reference stays far below the type's maximum. So
what stands between two layers may make no value larger, or smaller, than the reference's own steps
and both its ends do, by more than a factor of 2: half the maximum is not far below it. The
candidate's own end, where the layer gives other values than the reference's because a scale was
taken out of it, may be further off: by the eighth root of the maximum (2^16 in float32, 4 in
float16), of which seven eighths of the range that exponents span are left.

Behind the layer that an affine is folded into, both sides end at the same values, so there the
scales from each step to the end count; before it both begin at the same ones, so those from the
beginning count. The candidate's may stand in any order. Of the reference only that scale is counted
which is next to what both have in common, since what stands further off may do so on another
branch; but if the candidate has the same scales as the reference from there on, its values are the
same, too.

What is added is looked at in ``drowned``, but for what nothing is left of: shifts that take each
other away between scales. What the reference itself adds is no fault of the candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil, inf, log2, prod

import numpy as np
from onnx import NodeProto

from folding.constants import Constants
from folding.doubled import Doubled, Doubles
from folding.equivalence.foreign.bounds import ROUNDINGS
from folding.equivalence.foreign.steps import found
from folding.floats import FloatType
from folding.protos import number

#: Half of the type's maximum is not far below it.
_FAR = 2.0
#: The part of the range of exponents that a layer's own result may be off.
_RANGE = 1 / 8
_ONE = np.ones(1)
#: Numbers so near to each other are the same ones, rounded to the coarsest type of all.
_NEAR = 2.0**-7
_NORM_INPUTS, _EPSILON = 5, 1e-5


@dataclass(frozen=True, eq=False, slots=True)
class Scale:
    """A scale that a graph multiplies with: how far it goes, and its numbers by channel.

    ``added`` is the most that it adds to a channel, all with plus signs; the numbers of what only
    adds are those. ``is_behind`` says whether it stands behind the layer that it is folded into, or
    before it; None if it may be either.
    """

    least: float
    most: float
    numbers: Doubles | None = None
    added: float = 0.0
    is_behind: bool | None = True

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
        return cls(float(sizes.min(initial=1.0)), float(sizes.max(initial=1.0)), told)

    def is_near(self, other: Scale) -> bool:
        """Whether both are the same but for rounding."""
        one, two = self.numbers, other.numbers
        if one is None or two is None or one.shape != two.shape:
            return False
        pairs = ((one, two), (np.float64(self.added), np.float64(other.added)))
        return all(bool((np.abs(a - b) <= _NEAR * np.abs(b)).all()) for a, b in pairs)

    @property
    def sizes(self) -> Doubles | None:
        """By how much it makes larger what is 1 on the side that both models have in common."""
        if self.numbers is None:
            return None
        if (self.least, self.most) == (1.0, 1.0):
            return np.ones(1)
        sizes = np.where(self.numbers == 0, 1.0, np.abs(self.numbers))
        return 1 / sizes if self.is_behind else sizes


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
    """Whether the candidate's scales reach no further than ours, and no shift may go unseen.

    ``channel`` gives the size of the smallest channel that they act on.
    """
    sides = [
        [_seen_from(scales, is_behind=is_behind) for scales in (ours, theirs)]
        for is_behind in (False, True)
    ]
    if all(_are_last(own, its) for own, its in sides):
        return True
    far = 2.0 ** (ceil(log2(kind.largest)) * _RANGE)
    reach_as_far = all(_reach_as_far(own, its, far) for own, its in sides)
    return reach_as_far and not _may_hide(theirs, channel)


def _seen_from(scales: Sequence[Scale], *, is_behind: bool) -> list[Scale]:
    """Those on one side of a layer, the one furthest from it first."""
    side = [
        replace(scale, is_behind=is_behind)
        for scale in scales
        if scale.is_behind is None or scale.is_behind is is_behind
    ]
    return side[::-1] if is_behind else side


def _are_last(ours: list[Scale], theirs: list[Scale]) -> bool:
    """Whether the candidate has nothing but what the reference has furthest from the layer."""
    pairs = zip(ours, theirs, strict=False)
    return len(theirs) <= len(ours) and all(one.is_near(other) for one, other in pairs)


def _reach_as_far(ours: list[Scale], theirs: list[Scale], far: float) -> bool:
    """Whether no product of the candidate's scales is more extreme than one of the reference."""
    scaling = [scale for scale in ours if (scale.least, scale.most) != (1.0, 1.0)]
    found = [scale.sizes for scale in (*theirs, *scaling[:1])]
    sizes = [size for size in found if size is not None]
    if len(sizes) < len(found) or len({len(size) for size in sizes} - {1}) > 1:
        return False
    its, own = sizes[: len(theirs)], sizes[len(theirs) :]
    with np.errstate(all="ignore"):
        end, last = reduce(np.multiply, its, _ONE), reduce(np.multiply, own, _ONE)
        most = reduce(np.multiply, [np.maximum(size, 1) for size in its], _ONE)
        least = reduce(np.multiply, [np.minimum(size, 1) for size in its], _ONE)
        high, low = np.maximum(last, 1), np.minimum(last, 1)
        is_near = (most <= _FAR * np.maximum(high, end)) & (least >= np.minimum(low, end) / _FAR)
        return bool((is_near & (most <= far * high) & (least >= low / far)).all())


def _may_hide(scales: Sequence[Scale], channel: Callable[[], float]) -> bool:
    """Whether shifts that take each other away may hide a channel.

    A fold that only scales keeps no trace of them. All of them together, scaled by whatever stands
    behind them, must not be larger than what may be off: each is rounded with the sum that it is
    added to, and a sum of size S may be off by ``ROUNDINGS`` of its roundings. S is the least of
    the inputs of a layer, which count as 1, and of each channel of its result: then nothing is
    lost, wherever they stand.
    """
    most = prod(max(1.0, scale.most) for scale in scales)
    least = prod(min(1.0, scale.least) for scale in scales)
    shifts = [scale.added for scale in scales if scale.added]
    whole = sum(shifts) * most
    return len(shifts) > 1 and not whole <= ROUNDINGS * min(least, channel())
