"""Transpose.

    x ─ Transpose(perm) ─ affine on axis p ─ y              before
    x ─ affine on axis perm[p] ─ Transpose(perm) ─ y        after

Output axis p *is* input axis ``perm[p]``, not the other way round; without ``perm`` the axes are
reversed. Axes are counted from the right, so the rank is needed to look one up.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage
from folding.plan import Kept, Reason
from folding.protos import integers, title


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if affine.axis is None:
        return affine
    perm = integers(passage.node, "perm")
    if perm is None:
        shape = passage.around.shape(passage.node.input[0])
        if shape is None:
            return Kept(Reason.MISSING_AXES, title(passage.node), "Transpose")
        perm = tuple(reversed(range(len(shape))))
    return affine.along(perm[affine.axis] - len(perm))


RULE = Carrier(("Transpose",), up, keeps_numbers=True, asks_numbers=False)
