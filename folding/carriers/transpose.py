"""Transpose.

    x ─ Transpose(perm) ─ affine on axis p ─ y              before
    x ─ affine on axis perm[p] ─ Transpose(perm) ─ y        after, and the other way round

Output axis p *is* input axis ``perm[p]``, not the other way round; without ``perm`` the axes are
reversed. Axes are counted from the right, so the rank is needed to look one up.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import integers


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if affine.axis is None:
        return affine
    perm = _perm(passage)
    if perm is None:
        return stay(Reason.MISSING_AXES, passage)
    return affine.along(perm[affine.axis] - len(perm))


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if affine.axis is None:
        return affine
    perm = _perm(passage)
    if perm is None:
        return stay(Reason.MISSING_AXES, passage)
    return affine.along(perm.index(len(perm) + affine.axis) - len(perm))


def _perm(passage: Passage) -> tuple[int, ...] | None:
    perm = integers(passage.node, "perm")
    shape = passage.around.shape(passage.node.input[0]) if perm is None else None
    return perm if shape is None else tuple(reversed(range(len(shape))))


RULE = Carrier(("Transpose",), up, down, keeps_numbers=True, asks_numbers=False)
