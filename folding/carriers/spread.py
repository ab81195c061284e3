"""An affine whose channels a Reshape spreads over several axes, until another one joins them.

    x ─ Reshape(n, g, c/g, …) ─ Transpose(0, 2, 1, …) ─ Reshape(n, c, …) ─ affine ─ y      before
    x ─ affine of other channels ─ Reshape ─ Transpose ─ Reshape ─ y                       after

So channels are shuffled; it is the same downward. In between no axis alone tells the channel of an
element, but the indices on a few do. What has one number for each of those is no affine, and
nothing but a Reshape or a Transpose is asked to carry it.

1. Of the axes that a Reshape makes of those, and of all between them, every size is known: from the
   shapes, from the channels, or as the only one that is left. None is 0, and they are not very
   many elements.
2. At the end the channel follows from the index on one axis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.affine import ChannelAffine
from folding.carriers.base import Passage
from folding.carriers.blocks import LARGEST, Sizes, completed
from folding.carriers.reshape import cuts
from folding.carriers.transpose import permutation
from folding.inference import Shape


@dataclass(frozen=True, slots=True)
class Spread:
    """Which channel of an affine each element belongs to.

    ``channels`` has it by the indices on ``axes``, which are counted from the right.
    """

    channels: npt.NDArray[np.intp]
    axes: tuple[int, ...]

    def of(self, affine: ChannelAffine) -> ChannelAffine | None:
        """The affine on the only axis that is left; None if there are more."""
        if len(self.axes) != 1:
            return None
        return affine.of_channels(self.channels, self.axes[0])


def spread(affine: ChannelAffine) -> Spread | None:
    """An affine's own channels on its own axis; None if there is none."""
    narrow = affine.narrowed()
    if narrow.axis is None:
        return None
    return Spread(np.arange(narrow.channels or 1), (narrow.axis,))


def moved_up(given: Spread, passage: Passage) -> Spread | None:
    """Where channels stand before a node that stand behind it; None if that is not known."""
    node = passage.node
    if node.op_type == "Reshape":
        return _reshaped(given, passage, node.output[0], node.input[0])
    perm = permutation(passage)
    return None if perm is None else _transposed(given, perm)


def moved_down(given: Spread, passage: Passage) -> Spread | None:
    """Where channels stand behind a node that stand before it; None if that is not known."""
    node = passage.node
    if node.op_type == "Reshape":
        return _reshaped(given, passage, node.input[0], node.output[0])
    perm = permutation(passage)
    if perm is None:
        return None
    return _transposed(given, tuple(perm.index(axis) for axis in range(len(perm))))


def _transposed(given: Spread, goes: tuple[int, ...]) -> Spread:
    """``goes`` has for each axis, counted from the left, where it stands afterwards."""
    rank = len(goes)
    axes = [goes[rank + axis] - rank for axis in given.axes]
    order = sorted(range(len(axes)), key=axes.__getitem__)
    return Spread(given.channels.transpose(order), tuple(axes[i] for i in order))


def _reshaped(given: Spread, passage: Passage, here: str, there: str) -> Spread | None:
    source, target = passage.around.shape(here), passage.around.shape(there)
    if source is None or target is None:
        return None
    places = [len(source) + axis for axis in given.axes]
    borders = pairwise(cuts(passage, here, there))
    run = [(a, b) for a, b in borders if b[0] > places[0] and a[0] <= places[-1]]
    (i, j), (k, m) = run[0][0], run[-1][1]
    sizes: list[int | None] = [*source]
    for place, size in zip(places, given.channels.shape, strict=True):
        if sizes[place] not in (None, size):
            return None
        sizes[place] = size
    whole = _known(*completed(tuple(sizes[i:k]), target[j:m]))
    if whole is None:
        return None
    inside = replace(given, axes=tuple(place - i for place in places))
    return _found(_laid_out(inside, whole[0]).reshape(whole[1]), len(target) - j)


def _known(source: Shape, target: Shape) -> tuple[Sizes, Sizes] | None:
    """The sizes on both sides, if they are all known and those of the same few elements."""
    sides = [tuple(size for size in side if size is not None) for side in (source, target)]
    fits = [len(side) for side in sides] == [len(source), len(target)]
    before, after = sides
    count = prod(before) if fits and prod(before) == prod(after) else 0
    return (before, after) if 0 < count <= LARGEST else None


def _laid_out(given: Spread, sizes: Sizes) -> npt.NDArray[Any]:
    """The channel of every element; here ``axes`` are counted from the left."""
    dims = [size if axis in given.axes else 1 for axis, size in enumerate(sizes)]
    return np.broadcast_to(given.channels.reshape(dims), sizes)


def _found(channels: npt.NDArray[Any], end: int) -> Spread:
    """The axes that tell the channel; ``end`` is what theirs are counted back from."""
    axes = tuple(
        axis for axis in range(channels.ndim) if not (channels == channels.take([0], axis)).all()
    )
    first = tuple(slice(None) if axis in axes else 0 for axis in range(channels.ndim))
    return Spread(channels[first], tuple(axis - end for axis in axes))
