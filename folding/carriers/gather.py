"""Gather from data, whose axis is replaced by the axes of the indices.

    x ─ Gather(indices, axis) ─ affine ─ y                      before
    x ─ affine, identity elsewhere ─ Gather(indices, axis) ─ y  after

    x ─ affine ─ Gather(indices, axis) ─ y                      before
    x ─ Gather(indices, axis) ─ affine of the indices ─ y       after

A scalar passes. An axis left of the gathered one moves by the rank of the indices less one; one to
its right stays where it is, counted from there. On the gathered axis itself, output channel i is
input channel indices[i]: upward those that are not gathered get the identity; downward a single
index leaves one channel, which is a scalar. What does nothing then goes on, too: only a layer can
take it in.

1. The axis of the channels, and the rank of the indices, must be known.
2. On the gathered axis the indices must be constant and in range, and upward the size known; else
   only an affine that is the same for all channels passes.
3. Upward, indices of more axes than one spread the channels over all of them: the same.
4. Upward, a channel that is gathered twice must be mapped alike.
5. Downward, channels spread over several axes are no vector: the same as 2.
6. Downward only from before the data.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from folding.affine import ChannelAffine, identity
from folding.carriers.axes import axis_from_right, size
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import integer


def _axes(passage: Passage) -> tuple[int, int] | None:
    """The gathered axis from the right, and the rank of the indices."""
    axis = axis_from_right(integer(passage.node, "axis", 0), passage)
    indices = passage.around.shape(passage.node.input[1])
    return None if axis is None or indices is None else (axis, len(indices))


def _index(channels: int, passage: Passage) -> npt.NDArray[np.intp] | None:
    """Which of so many channels are gathered, None if that is not known."""
    given = passage.around.integers(passage.node.input[1])
    if given is None or any(not -channels <= i < channels for i in given):
        return None
    return np.array(given, np.intp) % channels


def gathered(axis: int, passage: Passage) -> list[int] | None:
    """Which channels of an axis from the right are gathered; None if it is all, or not known."""
    channels = size(passage.node.input[0], axis, passage.around)
    axes = _axes(passage)
    index = _index(channels, passage) if channels is not None else None
    return None if axes is None or axes[0] != axis or index is None else [*map(int, index)]


def _uniform(affine: ChannelAffine, reason: Reason, passage: Passage) -> ChannelAffine | Kept:
    narrowed = affine.narrowed()
    return narrowed if narrowed.axis is None else stay(reason, passage)


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if affine.axis is None:
        return affine
    axes = _axes(passage)
    if axes is None:
        return stay(Reason.MISSING_AXES, passage)
    axis, rank = axes
    if affine.axis > axis:
        return affine
    if affine.axis <= axis - rank:
        return affine.along(affine.axis + rank - 1)
    if rank > 1:
        return _uniform(affine, Reason.UNUSUAL_FORM, passage)
    return _spread(affine, axis, passage)


def _spread(affine: ChannelAffine, axis: int, passage: Passage) -> ChannelAffine | Kept:
    """The map of the data's channels that maps each gathered one as it should be."""
    channels = size(passage.node.input[0], axis, passage.around)
    index = _index(channels, passage) if channels is not None else None
    if index is None or channels is None:
        return _uniform(affine, Reason.SIZES_UNKNOWN, passage)
    source = np.full(channels, -1)
    source[index] = np.arange(len(index))
    whole = affine.spread(len(index))
    for part in (whole.scale, whole.shift):
        if not part.is_same(part[source[index]]):
            return stay(Reason.MIXES_CHANNELS, passage)
    return affine.of_channels(source, axis)


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if passage.place:
        return stay(Reason.UNUSUAL_FORM, passage)
    moved = _down(affine, passage)
    return moved if isinstance(moved, Kept) or not moved.is_identity else identity()


def _down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if affine.axis is None:
        return affine
    axes = _axes(passage)
    if axes is None:
        return stay(Reason.MISSING_AXES, passage)
    axis, rank = axes
    if affine.axis > axis:
        return affine
    if affine.axis < axis:
        return affine.along(affine.axis - rank + 1)
    if rank > 1:
        return _uniform(affine, Reason.UNUSUAL_FORM, passage)
    index = _index(affine.channels or 1, passage)
    if index is None:
        return _uniform(affine, Reason.SIZES_UNKNOWN, passage)
    picked = affine.of_channels(index, axis)
    return picked if rank else picked.narrowed()


RULE = Carrier(("Gather",), up, down)
