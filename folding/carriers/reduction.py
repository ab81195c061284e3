"""Reductions: ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceL1 and ReduceL2.

    x ─ Reduce(axes) ─ affine on axis p ─ y         before, upward; after, downward
    x ─ affine' on axis p' ─ Reduce(axes) ─ y       after, upward; before, downward

1. The channels are not on an axis that is reduced, unless all have the same numbers: a scalar.
2. With ``keepdims`` no axis moves; without, one counted from the right moves by the number of
   reduced axes to its right.
3. The axes are an attribute, or an input that must be constant; none, or an empty list, means all
   of them, or with ``noop_with_empty_axes`` none at all. Scalars need not know.
4. No reduced axis has the length 0: what comes of nothing is a constant.
5. A mean is passed by everything.
6. A sum of n numbers has n times the shift, upward an n-th of it; n must be known.
7. The largest (smallest) number stays it only if no scale is negative.
8. A norm is passed as ``Abs`` is. Without any axis to reduce some take it for ``Abs`` and some for
   nothing: no scale may be negative, downward either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from operator import mul, truediv

from folding.affine import ChannelAffine
from folding.carriers import absolute
from folding.carriers.base import Carrier, Passage, stay
from folding.doubled import Doubled
from folding.inference import Shape
from folding.plan import Kept, Reason
from folding.protos import integer, integers


@dataclass(frozen=True, slots=True)
class _Reduction:
    """``axes`` are those reduced, from the right on the input, and ``lengths`` theirs."""

    passage: Passage
    axes: frozenset[int]
    lengths: Shape
    is_known: bool = True

    def stay(self, reason: Reason) -> Kept:
        return stay(reason, self.passage)

    @property
    def keeps_rank(self) -> bool:
        return bool(integer(self.passage.node, "keepdims", 1))

    @property
    def may_do_nothing(self) -> bool:
        """Whether there may be no axis to reduce."""
        return bool(integer(self.passage.node, "noop_with_empty_axes", 0)) and not self.axes


_Rule = Callable[[ChannelAffine, _Reduction], ChannelAffine | Kept]


def _reduction(passage: Passage) -> _Reduction:
    node, around = passage.node, passage.around
    shape = around.shape(node.input[0])
    has_input = len(node.input) > 1 and bool(node.input[1])
    given = around.integers(node.input[1]) if has_input else integers(node, "axes") or ()
    rank = 0 if shape is None else len(shape)
    if shape is None or given is None or not all(-rank <= axis < rank for axis in given):
        return _Reduction(passage, frozenset(), (), is_known=False)
    if not given and not integer(node, "noop_with_empty_axes", 0):
        given = tuple(range(rank))
    axes = frozenset(axis if axis < 0 else axis - rank for axis in given)
    return _Reduction(passage, axes, tuple(shape[axis] for axis in axes))


def _before(affine: ChannelAffine, reduction: _Reduction) -> ChannelAffine | Kept:
    """The affine at the input whose axis is one of the output."""
    if affine.axis is None or reduction.keeps_rank:
        return _apart(affine, reduction)
    axis, left = 0, -affine.axis
    while left:
        axis -= 1
        left -= axis not in reduction.axes
    return _apart(affine.along(axis), reduction)


def _behind(affine: ChannelAffine, reduction: _Reduction) -> ChannelAffine | Kept:
    """The affine at the output whose axis is one of the input."""
    apart = _apart(affine, reduction)
    if isinstance(apart, Kept) or apart.axis is None or reduction.keeps_rank:
        return apart
    axis = apart.axis
    return apart.along(axis + sum(reduced > axis for reduced in reduction.axes))


def _apart(affine: ChannelAffine, reduction: _Reduction) -> ChannelAffine | Kept:
    """An affine at the input that acts on all alike that are reduced to one."""
    if affine.axis is None:
        return affine
    if not reduction.is_known:
        return reduction.stay(Reason.MISSING_AXES)
    whole = affine.narrowed() if affine.axis in reduction.axes else affine
    return reduction.stay(Reason.MIXES_CHANNELS) if whole.axis in reduction.axes else whole


def _over(
    move: _Rule, reduced: _Rule, affine: ChannelAffine, passage: Passage
) -> ChannelAffine | Kept:
    reduction = _reduction(passage)
    if 0 in reduction.lengths:
        return reduction.stay(Reason.UNUSUAL_FORM)
    moved = move(affine, reduction)
    return moved if isinstance(moved, Kept) else reduced(moved, reduction)


def _mean(affine: ChannelAffine, reduction: _Reduction) -> ChannelAffine:
    return affine


def _sum(
    change: Callable[[Doubled, Doubled], Doubled], affine: ChannelAffine, reduction: _Reduction
) -> ChannelAffine | Kept:
    if affine.is_scale:
        return affine
    count = _count(reduction)
    return count if isinstance(count, Kept) else replace(affine, shift=change(affine.shift, count))


def _count(reduction: _Reduction) -> Doubled | Kept:
    """How many numbers are added."""
    if not reduction.is_known:
        return reduction.stay(Reason.MISSING_AXES)
    known = [length for length in reduction.lengths if length is not None]
    if len(known) < len(reduction.lengths):
        return reduction.stay(Reason.SIZES_UNKNOWN)
    return Doubled.exact(prod(map(float, known)))


def _extreme(affine: ChannelAffine, reduction: _Reduction) -> ChannelAffine | Kept:
    return affine if affine.keeps_order else reduction.stay(Reason.NEGATIVE_SCALE)


def _norm_up(affine: ChannelAffine, reduction: _Reduction) -> ChannelAffine | Kept:
    return absolute.up(affine, reduction.passage)


def _norm_down(affine: ChannelAffine, reduction: _Reduction) -> ChannelAffine | Kept:
    if reduction.may_do_nothing and not affine.keeps_order:
        return reduction.stay(Reason.NEGATIVE_SCALE)
    return absolute.down(affine, reduction.passage)


def _carrier(up: _Rule, down: _Rule, *operators: str) -> Carrier:
    return Carrier(operators, partial(_over, _before, up), partial(_over, _behind, down))


RULE = _carrier(_mean, _mean, "ReduceMean")
SUM = _carrier(partial(_sum, truediv), partial(_sum, mul), "ReduceSum")
EXTREME = _carrier(_extreme, _extreme, "ReduceMax", "ReduceMin")
NORM = _carrier(_norm_up, _norm_down, "ReduceL1", "ReduceL2")
