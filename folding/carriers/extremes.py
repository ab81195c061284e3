"""Max and Min of branches.

    a ───────┐                                   a ─ affine ─┐
    b ─ Max ─┴─ affine ─ y      before           b ─ affine ─┴─ Max ─ y        after

Where s is not negative, ``max(s·a + t, s·b + t) = s·max(a, b) + t``.

1. No scale may be negative.
2. Upward all operands take the affine. One without the channels takes it only if it is the same for
   all of them; how many it has must be known. A constant one takes it in, and may grow.
3. Downward the same affine must stand before all operands, or the others must be constants, which
   become ``(c - t) / s``: then no scale may be zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.carriers.operands import alike, left_out, of_one_value, ways
from folding.plan import Kept, Reason


def up(affine: ChannelAffine, passage: Passage) -> tuple[Moved, ...] | Kept:
    if not affine.keeps_order:
        return stay(Reason.NEGATIVE_SCALE, passage)
    found = ways([dict.fromkeys(range(len(passage.node.input)), affine)], passage)
    return stay(found, passage) if isinstance(found, Reason) else found


def join(affines: Mapping[int, ChannelAffine], passage: Passage) -> Moved | Kept:
    one, *_ = affines.values()
    if not one.keeps_order:
        return stay(Reason.NEGATIVE_SCALE, passage)
    found = alike(affines, left_out(affines, passage)[0], passage)
    return stay(found, passage) if isinstance(found, Reason) else found


RULE = Carrier(("Max", "Min"), up, of_one_value(join), join)
