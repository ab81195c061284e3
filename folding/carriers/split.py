"""Split, which cuts a value into several along an axis.

    x ─ Split(axis) ─ y0 ─ affine ─ z                       before
                    └ y1
    x ─ affine, identity ─ Split(axis) ─ y0 = z             after
                                       └ y1

    x ─ affine ─ Split(axis) ─ y0, y1                       before
    x ─ Split(axis) ─ y0 ─ affine0                          after
                    └ y1 ─ affine1

Upward, an affine along the cut axis is filled up with the identity for the other outputs; and so
is a scalar. Downward, an affine along the cut axis is cut; an output whose piece does nothing gets
none. An affine along another axis, and a scalar, stand behind every output.

1. In opset 1 the axis has no default, and nothing passes.
2. The axis of the channels must be known, and the sizes on the cut axis: the attribute ``split``
   below opset 13, an input since; equal parts without one, of which the last may be smaller since
   opset 18.
3. Upward, an affine along another axis would also act on the other outputs: refused if one of them
   is read.
"""

from __future__ import annotations

import numpy as np

from folding.affine import ChannelAffine
from folding.carriers.axes import axis_from_right, size
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import integer, integers

_AXIS_HAS_DEFAULT, _SPLIT_IS_INPUT, _LAST_MAY_BE_SMALLER = 2, 13, 18


def _sizes(axis: int, passage: Passage) -> tuple[int, ...] | None:
    """How much each output gets of the cut axis, None if it is not known or impossible."""
    node, around = passage.node, passage.around
    whole = size(node.input[0], axis, around)
    if around.opset < _SPLIT_IS_INPUT:
        given, is_given = integers(node, "split"), integers(node, "split") is not None
    else:
        is_given = any(node.input[1:])
        given = around.integers(node.input[1]) if is_given else None
    if not is_given:
        return _equal(whole, passage) if whole is not None else None
    fits = given is not None and len(given) == len(node.output) and whole in (None, sum(given))
    return given if fits else None


def _equal(whole: int, passage: Passage) -> tuple[int, ...] | None:
    count = integer(passage.node, "num_outputs", len(passage.node.output))
    part = -(-whole // count)
    last = whole - part * (count - 1)
    if last < 0 or (last != part and passage.around.opset < _LAST_MAY_BE_SMALLER):
        return None
    return (*[part] * (count - 1), last)


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    node, around = passage.node, passage.around
    if around.opset < _AXIS_HAS_DEFAULT:
        return stay(Reason.UNUSUAL_FORM, passage)
    axis = axis_from_right(integer(node, "axis", 0), passage)
    if axis is None:
        return stay(Reason.MISSING_AXES, passage)
    if affine.axis != axis:
        if not any(around.is_read(o) for i, o in enumerate(node.output) if i != passage.place):
            return affine
        affine = affine.narrowed()
        if affine.axis is not None:
            return stay(Reason.OUTPUT_USED, passage)
    sizes = _sizes(axis, passage)
    if sizes is None:
        return stay(Reason.SIZES_UNKNOWN, passage)
    index = np.full(sum(sizes), -1)
    mine = np.arange(sizes[passage.place])
    index[sum(sizes[: passage.place]) + mine] = mine % (affine.channels or 1)
    return affine.of_channels(index, axis)


def down(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    node = passage.node
    if passage.around.opset < _AXIS_HAS_DEFAULT or passage.place:
        return stay(Reason.UNUSUAL_FORM, passage)
    axis = axis_from_right(integer(node, "axis", 0), passage)
    if axis is None:
        return stay(Reason.MISSING_AXES, passage)
    outputs = [i for i, name in enumerate(node.output) if name]
    if affine.axis != axis:
        return Moved(dict.fromkeys(outputs, affine))
    sizes = _sizes(axis, passage)
    if sizes is None:
        return stay(Reason.SIZES_UNKNOWN, passage)
    parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    pieces = {i: affine.of_channels(parts[i], axis) for i in outputs}
    return Moved({i: piece for i, piece in pieces.items() if not piece.is_identity})


RULE = Carrier(("Split",), up, down)
