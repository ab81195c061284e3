"""Squeeze and Unsqueeze, which take away and add axes of length one.

    x ─ Squeeze(axes) ─ affine on axis p ─ y         before
    x ─ affine on axis p' ─ Squeeze(axes) ─ y        after, and the other way round

1. The channels are never on an axis that comes or goes: one channel is a scalar, which has none.
2. Counted from the right, an axis moves by the number of axes that come or go to its right.
3. The axes are an attribute below opset 13 and an input since; a Squeeze without any drops the
   axes of length one, which must then be known from the shape. An empty list of axes means all
   of them to some and none to others: refused.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import integers


def _axes(passage: Passage, long_side: str) -> set[int] | None:
    """The axes that come or go, from the right on the side that has them."""
    node, around = passage.node, passage.around
    shape = around.shape(long_side)
    if shape is None:
        return None
    if len(node.input) > 1 and node.input[1]:
        given = around.integers(node.input[1])
    else:
        given = integers(node, "axes")
        if given is None:
            ones = {i - len(shape) for i, dim in enumerate(shape) if dim == 1}
            return None if None in shape else ones
    return {a if a < 0 else a - len(shape) for a in given} if given else None


def up_squeeze(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    return _to_long(affine, passage, passage.node.input[0])


def down_squeeze(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    return _to_short(affine, passage, passage.node.input[0])


def up_unsqueeze(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    return _to_short(affine, passage, passage.node.output[0])


def down_unsqueeze(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    return _to_long(affine, passage, passage.node.output[0])


def _to_long(affine: ChannelAffine, passage: Passage, long_side: str) -> ChannelAffine | Kept:
    """The affine on the side that has the axes of length one, from the other."""
    if affine.axis is None:
        return affine
    ones = _axes(passage, long_side)
    if ones is None:
        return stay(Reason.MISSING_AXES, passage)
    axis, left = 0, -affine.axis
    while left:
        axis -= 1
        left -= axis not in ones
    return affine.along(axis)


def _to_short(affine: ChannelAffine, passage: Passage, long_side: str) -> ChannelAffine | Kept:
    if affine.axis is None:
        return affine
    ones = _axes(passage, long_side)
    if ones is None:
        return stay(Reason.MISSING_AXES, passage)
    return affine.along(affine.axis + sum(axis > affine.axis for axis in ones))


RULE = Carrier(("Squeeze",), up_squeeze, down_squeeze, keeps_numbers=True)
UNSQUEEZE = Carrier(("Unsqueeze",), up_unsqueeze, down_unsqueeze, keeps_numbers=True)
