"""Reshape and Flatten, which merge and split axes.

    x ─ Reshape ─ affine on an axis ─ y              before
    x ─ affine on an axis of x ─ Reshape ─ y         after, and the other way round

Elements keep their order, so equal products of sizes, counted from either end, tell which axes
after the node are made of which before it (see ``blocks``).

1. An axis that stays one keeps the affine. Behind an axis that is split, upward, the affine's
   vector is repeated or tiled over the whole one; so is that of an axis that is merged, downward.
2. The other way the vector must follow from one of the axes alone: upward through a merge, and
   downward through a split. All numbers the same always do.
3. The sizes of the axes merged or split must be known, those of others need not be. Where the
   shape is a constant, a 0 in it copies the size of the same axis of the data, unless
   ``allowzero`` (opset 14) says that it is a size; where it is computed from the data's shape,
   inference gives the sizes names.
4. No size of what is merged or split may be 0: such products are all equal.
5. Flatten merges the axes before ``axis``, which may be negative (opset 11), and those from it on.
6. No block that is looked at may be very large.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.carriers.blocks import Cut, cuts_between, reshaped
from folding.inference import Shape
from folding.plan import Kept, Reason
from folding.protos import integer

Answer = ChannelAffine | Kept


def up(affine: ChannelAffine, passage: Passage) -> Answer:
    node = passage.node
    return _reshape(affine, passage, node.output[0], node.input[0])


def down(affine: ChannelAffine, passage: Passage) -> Answer:
    node = passage.node
    return _reshape(affine, passage, node.input[0], node.output[0])


def _reshape(affine: ChannelAffine, passage: Passage, here: str, there: str) -> Answer:
    source, target = passage.around.shape(here), passage.around.shape(there)
    narrow = affine.narrowed()
    if narrow.axis is None:
        return narrow
    if source is None or target is None:
        return stay(Reason.MISSING_AXES, passage)
    return _answer(reshaped(narrow, source, target, cuts(passage, here, there)), passage)


def cuts(passage: Passage, here: str, there: str) -> list[Cut]:
    """The borders of the smallest blocks of both sides, whose ranks are known."""
    source, target = passage.around.shape(here) or (), passage.around.shape(there) or ()
    return cuts_between(source, target, [*_copied(passage), *_same(passage, here, there)])


def _copied(passage: Passage) -> list[Cut]:
    """The axes whose sizes a constant shape copies, on both sides."""
    sizes = passage.around.integers(passage.node.input[1]) or ()
    copies = not integer(passage.node, "allowzero", 0)
    return [(axis, axis) for axis, size in enumerate(sizes) if size == 0 and copies]


def _same(passage: Passage, here: str, there: str) -> list[Cut]:
    """The axes whose sizes have the same name."""
    names = {name: axis for axis, name in enumerate(passage.around.symbols(there)) if name}
    named = enumerate(passage.around.symbols(here))
    return [(axis, names[name]) for axis, name in named if name in names]


def _answer(moved: ChannelAffine | Reason, passage: Passage) -> Answer:
    return stay(moved, passage) if isinstance(moved, Reason) else moved


def up_flatten(affine: ChannelAffine, passage: Passage) -> Answer:
    return _flatten(affine, passage, upward=True)


def down_flatten(affine: ChannelAffine, passage: Passage) -> Answer:
    return _flatten(affine, passage, upward=False)


def _flatten(affine: ChannelAffine, passage: Passage, *, upward: bool) -> Answer:
    narrow, shape = affine.narrowed(), passage.around.shape(passage.node.input[0])
    if narrow.axis is None:
        return narrow
    if shape is None:
        return stay(Reason.MISSING_AXES, passage)
    axis = integer(passage.node, "axis", 1)
    borders: list[Cut] = [(0, 0), (axis if axis >= 0 else axis + len(shape), 1), (len(shape), 2)]
    matrix: Shape = (None, None)
    if upward:
        moved = reshaped(narrow, matrix, shape, [(after, before) for before, after in borders])
    else:
        moved = reshaped(narrow, shape, matrix, borders)
    return _answer(moved, passage)


RULE = Carrier(("Reshape",), up, down, keeps_numbers=True)
FLATTEN = Carrier(("Flatten",), up_flatten, down_flatten, keeps_numbers=True)
