"""Identity.

    x ─ Identity ─ affine ─ y        before
    x ─ affine ─ Identity ─ y        after, and the other way round

There is nothing to it: the same affine on the same values.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage


def _pass(affine: ChannelAffine, passage: Passage) -> ChannelAffine:
    return affine


RULE = Carrier(("Identity",), _pass, _pass, keeps_numbers=True)
