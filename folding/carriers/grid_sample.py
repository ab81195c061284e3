"""GridSample, which reads a picture at the places of a grid.

    x ─────┐                                 x ─ affine ─┐
    grid ─ GridSample ─ affine ─ y           grid ──────── GridSample ─ y        and back

Each element is an average of elements of one channel of one picture, whose weights sum to one, but
for those outside, which may be zeros.

1. The affine is along the first axis or the second one, of pictures or channels; the rank is known.
   Along the others only what is the same for all passes.
2. A shift passes only if what is outside stands for elements inside: with ``padding_mode`` border
   or reflection. A mode that ONNX does not know is refused.
3. The data is not the grid as well, and downward the affine stands before the data.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import attribute

_MODES = frozenset({"bilinear", "linear", "nearest", "bicubic", "cubic"})
_INSIDE = frozenset({"border", "reflection"})


def _text(passage: Passage, name: str, default: str) -> str:
    found = attribute(passage.node, name)
    return default if found is None else found.s.decode(errors="replace")


def _obstacle(affine: ChannelAffine, passage: Passage) -> Reason | None:
    data, grid = passage.node.input
    padding = _text(passage, "padding_mode", "zeros")
    is_known = _text(passage, "mode", "linear") in _MODES and padding in _INSIDE | {"zeros"}
    if not is_known or data == grid or passage.place:
        return Reason.UNUSUAL_FORM
    if padding not in _INSIDE and not affine.is_scale:
        return Reason.SHIFT_BLOCKED
    if affine.axis is None:
        return None
    shape = passage.around.shape(data)
    if shape is None:
        return Reason.MISSING_AXES
    return None if affine.axis + len(shape) in (0, 1) else Reason.MIXES_CHANNELS


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    narrow = affine.narrowed()
    obstacle = _obstacle(narrow, passage)
    return narrow if obstacle is None else stay(obstacle, passage)


RULE = Carrier(("GridSample",), up, up)
