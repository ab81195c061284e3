"""Abs, and what it has in common with the norms: LpPool, GlobalLpPool, ReduceL1 and ReduceL2.

    x ─ Abs ─ affine ─ y                before, upward
    x ─ affine ─ Abs ─ y                after

    x ─ affine ─ Abs ─ y                before, downward
    x ─ Abs ─ affine' ─ y               after, with scale' = |scale|

A norm of ``scale * x`` is ``|scale|`` times that of x.

1. There is no shift.
2. Upward no scale is negative: no norm ever is. Downward a scale may be, and loses its sign.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.doubled import Doubled
from folding.plan import Kept, Reason


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if not affine.keeps_order:
        return stay(Reason.NEGATIVE_SCALE, passage)
    return affine if affine.is_scale else stay(Reason.SHIFT_BLOCKED, passage)


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if not affine.is_scale:
        return stay(Reason.SHIFT_BLOCKED, passage)
    return replace(affine, scale=_magnitudes(affine.scale))


def _magnitudes(scale: Doubled) -> Doubled:
    low = np.where(scale.high < 0, -scale.low, scale.low)
    return Doubled(np.abs(scale.high), low, scale.magnitude)


RULE = Carrier(("Abs",), up, down, keeps_numbers=True)
