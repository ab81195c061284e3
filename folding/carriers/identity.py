"""Identity.

    x ─ Identity ─ affine ─ y        before
    x ─ affine ─ Identity ─ y        after

There is nothing to it: the same affine on the same values.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine:
    return affine


RULE = Carrier(("Identity",), up, keeps_numbers=True, asks_numbers=False)
