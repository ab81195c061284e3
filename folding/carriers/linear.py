"""CumSum and Trilu: sums of elements, and zeros in place of others.

    x ─ CumSum(axis) ─ scale ─ y        before
    x ─ scale ─ CumSum(axis) ─ y        after, and the other way round

A sum of scaled elements is the scaled sum, and zero is zero times anything.

1. There is no shift: a sum has as many as it has elements, and a zero has none.
2. CumSum adds up elements along its axis, a constant, which are scaled alike: an affine along it
   passes only if it is the same for all channels. Trilu keeps each element or not, wherever it is.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.axes import axis_from_right
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    return affine if affine.is_scale else stay(Reason.SHIFT_BLOCKED, passage)


def up_sum(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    narrow = affine.narrowed()
    if narrow.axis is not None:
        given = passage.around.integers(passage.node.input[1])
        axis = axis_from_right(given[0], passage) if given is not None else None
        if axis is None:
            return stay(Reason.MISSING_AXES, passage)
        if narrow.axis == axis:
            return stay(Reason.MIXES_CHANNELS, passage)
    return up(narrow, passage)


TRILU = Carrier(("Trilu",), up, up, keeps_numbers=True)
CUM_SUM = Carrier(("CumSum",), up_sum, up_sum)
