"""Expand and Tile, which repeat a value along its axes.

    x ─ Tile ─ affine ─ y              before
    x ─ affine' ─ Tile ─ y             after, and the other way round

Expand repeats axes of length one, and adds new ones on the left; axes counted from the right stay.

1. Upward the affine must do the same to each repetition of an element. Along an axis that Expand
   makes long it has then one number for all, and is a scalar.
2. The size of its axis before must then be known. An axis that is not there yet has the size one.
3. Downward Expand leaves the axis of an affine alone, since it has more than one channel.
4. Downward over Tile the vector is tiled too, for which the size after must be known, and neither
   zero nor very large.
"""

from __future__ import annotations

import numpy as np

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.carriers.blocks import LARGEST, alike
from folding.plan import Kept, Reason


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    narrow, shape = affine.narrowed(), passage.around.shape(passage.node.input[0])
    if narrow.axis is None or narrow.channels is None:
        return narrow
    if shape is None:
        return stay(Reason.MISSING_AXES, passage)
    size = shape[narrow.axis] if -narrow.axis <= len(shape) else 1
    if size is None:
        return stay(Reason.SIZES_UNKNOWN, passage)
    channel = np.arange(narrow.channels)
    if not alike(narrow, channel, channel % size):
        return stay(Reason.OPERAND_GROWS, passage)
    return narrow.of_channels(channel[:size], narrow.axis)


def down_expand(affine: ChannelAffine, passage: Passage) -> ChannelAffine:
    return affine


def down_tile(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    narrow, shape = affine.narrowed(), passage.around.shape(passage.node.output[0])
    if narrow.axis is None or narrow.channels is None:
        return narrow
    if shape is None:
        return stay(Reason.MISSING_AXES, passage)
    size = shape[narrow.axis]
    if size is None:
        return stay(Reason.SIZES_UNKNOWN, passage)
    if not 0 < size <= LARGEST:
        return stay(Reason.UNUSUAL_FORM, passage)
    return narrow.of_channels(np.arange(size) % narrow.channels, narrow.axis)


EXPAND = Carrier(("Expand",), up, down_expand)
TILE = Carrier(("Tile",), up, down_tile)
