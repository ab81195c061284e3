"""Max and Min of branches.

    a ───────┐                                   a ─ affine ─┐
    b ─ Max ─┴─ affine ─ y      before           b ─ affine ─┴─ Max ─ y        after

Where s is not negative, ``max(s·a + t, s·b + t) = s·max(a, b) + t``.

1. No scale may be negative.
2. Upward all operands take the affine. One without the channels takes it only if it is the same for
   all of them; how many it has must be known. A constant one takes it in, and may grow.
3. Downward all operands must be the same value, or the others constants, which become
   ``(c - t) / s``: then no scale may be zero.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.carriers.operands import handed, inverse, twins, ways
from folding.plan import Kept, Reason


def up(affine: ChannelAffine, passage: Passage) -> tuple[Moved, ...] | Kept:
    if not affine.keeps_order:
        return stay(Reason.NEGATIVE_SCALE, passage)
    found = ways([dict.fromkeys(range(len(passage.node.input)), affine)], passage)
    return stay(found, passage) if isinstance(found, Reason) else found


def down(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    if not affine.keeps_order:
        return stay(Reason.NEGATIVE_SCALE, passage)
    behind, names = {0: affine.narrowed()}, passage.node.input
    shared = twins(passage, passage.place)
    others = [slot for slot in range(len(names)) if slot not in shared]
    if not others:
        return Moved(behind)
    if not all(passage.around.is_constant(names[slot]) for slot in others):
        return stay(Reason.OTHER_BRANCH, passage)
    back = inverse(affine)
    if back is None:
        return stay(Reason.UNUSUAL_FORM, passage)
    moved = handed(dict.fromkeys(others, back), passage)
    return stay(moved, passage) if isinstance(moved, Reason) else Moved(behind, moved.constants)


RULE = Carrier(("Max", "Min"), up, down)
