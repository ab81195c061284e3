"""Where, which takes each element from one of two branches.

    a ─────────┐                                     a ─ affine ─┐
    b ─ Where ─┴─ affine ─ y      before             b ─ affine ─┴─ Where ─ y      after

Whichever is taken, ``s·where(c, a, b) + t = where(c, s·a + t, s·b + t)``. The condition stays.

1. Upward both branches take the affine. One without the channels takes it only if it is the same
   for all of them; how many it has must be known. A constant one takes it in, and may grow.
2. Downward the same affine must stand before both, or the other must be a constant, which becomes
   ``(c - t) / s``: then no scale may be zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.carriers.operands import alike, of_one_value, ways
from folding.plan import Kept, Reason

_BRANCHES = (1, 2)


def up(affine: ChannelAffine, passage: Passage) -> tuple[Moved, ...] | Kept:
    found = ways([dict.fromkeys(_BRANCHES, affine)], passage)
    return stay(found, passage) if isinstance(found, Reason) else found


def join(affines: Mapping[int, ChannelAffine], passage: Passage) -> Moved | Kept:
    found = alike(affines, [slot for slot in _BRANCHES if slot not in affines], passage)
    return stay(found, passage) if isinstance(found, Reason) else found


RULE = Carrier(("Where",), up, of_one_value(join), join)
