"""DepthToSpace and SpaceToDepth, which move blocks of pixels to channels of their own and back.

    x ─ DepthToSpace ─ affine on C ─ y            before
    x ─ affine on C·b·b ─ DepthToSpace ─ y        after, and the other way round

Both split axes into parts, transpose these and merge them again. With b the size of a block and
letters for parts (i, j: the row and column within a block), the channels of depth are

    DCR (default, SpaceToDepth)   (i j c)     an affine on c is tiled
    CRD (opset 11)                (c i j)     an affine on c is repeated

and rows and columns of space are (h i) and (w j).

1. From the channels of space to those of depth an affine goes always. From depth to space its
   vector must follow from c alone (or from i or j, then it goes to the rows or columns).
2. One along rows or columns passes where its vector follows from one part alone.
3. The sizes of the parts that are merged must be known.
4. There is no third mode.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.carriers.blocks import refit
from folding.inference import Shape
from folding.plan import Kept, Reason
from folding.protos import attribute, integer

#: The parts of each axis, outermost first.
Parts = tuple[str, str, str, str]
_SPACE: Parts = ("n", "c", "hi", "wj")
_DEPTH: dict[bytes, Parts] = {b"DCR": ("n", "ijc", "h", "w"), b"CRD": ("n", "cij", "h", "w")}


def to_space(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    """Over from the side of depth to the side of space."""
    return _over(affine, passage, to_depth=False)


def to_depth(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    """Over from the side of space to the side of depth."""
    return _over(affine, passage, to_depth=True)


def _over(affine: ChannelAffine, passage: Passage, *, to_depth: bool) -> ChannelAffine | Kept:
    depth = _DEPTH.get(_mode(passage))
    if affine.axis is None:
        return affine
    if depth is None:
        return stay(Reason.UNUSUAL_FORM, passage)
    ways = (_SPACE, depth) if to_depth else (depth, _SPACE)
    moved = _rearranged(affine, *ways, _sizes(passage))
    return stay(moved, passage) if isinstance(moved, Reason) else moved


def _mode(passage: Passage) -> bytes:
    found = attribute(passage.node, "mode")
    return b"DCR" if found is None else found.s


def _sizes(passage: Passage) -> dict[str, int | None]:
    """The sizes of the parts, as far as they are known."""
    node, around = passage.node, passage.around
    values = (node.output[0], node.input[0])
    space, depth = values if node.op_type == "DepthToSpace" else values[::-1]
    unknown: Shape = (None,) * 4
    channels = (around.shape(space) or unknown)[1]
    rows, columns = (around.shape(depth) or unknown)[2:]
    block = integer(node, "blocksize", 1)
    return {"n": None, "c": channels, "h": rows, "w": columns, "i": block, "j": block}


def _rearranged(
    affine: ChannelAffine, source: Parts, target: Parts, sizes: dict[str, int | None]
) -> ChannelAffine | Reason:
    """The affine on the axes of the target: on one part of its axis, then on the axis of that."""
    assert affine.axis is not None
    parts = source[affine.axis]
    split = refit(affine.along(-1), (affine.channels,), tuple(sizes[part] for part in parts))
    if isinstance(split, Reason) or split.axis is None:
        return split
    part = parts[split.axis]
    axis = next(axis for axis in range(-4, 0) if part in target[axis])
    merged = tuple(split.channels if other == part else sizes[other] for other in target[axis])
    joined = refit(split.along(target[axis].index(part) - len(merged)), merged, (None,))
    return joined if isinstance(joined, Reason) else joined.along(axis)


RULE = Carrier(("DepthToSpace",), to_depth, to_space)
SPACE_TO_DEPTH = Carrier(("SpaceToDepth",), to_space, to_depth)
