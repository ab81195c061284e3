"""ReverseSequence and Compress, which turn round or leave out what stands along one axis.

    x ─ Compress(condition, axis) ─ affine ─ y        before
    x ─ affine ─ Compress(condition, axis) ─ y        after, and the other way round

1. An affine along another axis stays where it is, counted from the right; that of ReverseSequence
   is ``time_axis``, and each batch keeps its place.
2. Along the axis itself only what is the same for all channels passes. So it is for Compress
   without an axis, which makes one axis of all.
3. The axis must be known.
4. Below opset 11 ONNX says nothing of the type and the shape of what Compress makes: refused.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.axes import axis_from_right
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import attribute, integer

_COMPRESS_IS_INFERRED = 11


def up_reversed(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    return _beside(affine, integer(passage.node, "time_axis", 0), passage)


def up_compressed(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if passage.around.opset < _COMPRESS_IS_INFERRED:
        return stay(Reason.UNUSUAL_FORM, passage)
    if attribute(passage.node, "axis") is not None:
        return _beside(affine, integer(passage.node, "axis", 0), passage)
    narrow = affine.narrowed()
    return narrow if narrow.axis is None else stay(Reason.MIXES_CHANNELS, passage)


def _beside(affine: ChannelAffine, axis: int, passage: Passage) -> ChannelAffine | Kept:
    narrow = affine.narrowed()
    if narrow.axis is None:
        return narrow
    place = axis_from_right(axis, passage)
    if place is None:
        return stay(Reason.MISSING_AXES, passage)
    return narrow if narrow.axis != place else stay(Reason.MIXES_CHANNELS, passage)


REVERSE = Carrier(("ReverseSequence",), up_reversed, up_reversed)
COMPRESS = Carrier(("Compress",), up_compressed, up_compressed)
