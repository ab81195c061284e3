"""Relu, LeakyRelu and PRelu: a straight line on each side of zero.

    x ─ Relu ─ s·… ─ y         before (and after, downward)
    x ─ s·… ─ Relu ─ y         after (and before, downward)

A scale that is not negative leaves each number on its side of zero, whatever the slopes are. So
they stay as they are, be they computed at run time.

1. No shift passes.
2. No scale may be negative.
3. Of a PRelu, what is scaled is not also the slope.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason


def _pass(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if not affine.is_scale:
        return stay(Reason.SHIFT_BLOCKED, passage)
    if not affine.keeps_order:
        return stay(Reason.NEGATIVE_SCALE, passage)
    data, *slope = passage.node.input
    if data in slope:
        return stay(Reason.UNUSUAL_FORM, passage)
    return affine


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if passage.place != 0:
        return stay(Reason.UNUSUAL_FORM, passage)
    return _pass(affine, passage)


RULE = Carrier(("Relu", "LeakyRelu", "PRelu"), _pass, down, keeps_numbers=True)
