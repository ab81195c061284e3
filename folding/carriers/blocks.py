"""An affine along one axis of a block, on the axes that the block has after (or before) a reshape.

    [ ... 4, 3 ... ]  ─ Reshape ─  [ ... 12 ... ]        two axes merged; an axis split, read back

A block is a run of neighbouring axes on one side and the run on the other side that has the same
elements in the same order. Which channel an element belongs to follows from its place in the block,
and so from its indices on the other side's axes. There it is an affine again if it follows from one
of them alone: from a split axis to the whole one always, the other way if the numbers repeat.

Sizes may be unknown. Let P and Q be the products of the known sizes that one and the other side
end with. The number of elements is a multiple of both, so of L, their least common multiple, and
the place modulo L tells the indices on those axes: all that precedes may be taken for one axis of
size L/P and L/Q. Nothing may depend on that one. The same holds for the sizes both sides begin
with, and L equal parts of the block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.affine import ChannelAffine
from folding.inference import Shape
from folding.plan import Reason

#: The most elements of a block, or of a vector, that are looked at.
LARGEST = 2**20
#: Numbers of axes on both sides between which there is a border of blocks.
Cut = tuple[int, int]
Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """Known sizes in place of a block's, with an axis before and one behind for unknown ones.

    ``place`` is where the affine's axis is in the source, and ``end`` the number that the target's
    axes are counted back from.
    """

    source: Sizes
    target: Sizes
    place: int
    end: int


def reshaped(
    affine: ChannelAffine, source: Shape, target: Shape, cuts: Sequence[Cut]
) -> ChannelAffine | Reason:
    """The affine, which stands on the source's axes, on the target's; both are cut into blocks."""
    if affine.axis is None:
        return affine
    place = len(source) + affine.axis
    (i, j), (k, m) = next(pair for pair in pairwise(cuts) if pair[1][0] > place)
    moved = refit(affine.along(place - k), source[i:k], target[j:m])
    if isinstance(moved, Reason) or moved.axis is None:
        return moved
    return moved.along(moved.axis + m - len(target))


def cuts_between(source: Shape, target: Shape, equal: Collection[Cut]) -> list[Cut]:
    """Cut two shapes of the same elements into the smallest blocks, from both ends.

    ``equal`` are pairs of axes that have the same size, be it known or not.
    """
    first = _cuts(source, target, equal)
    (i, j), (k, m) = first[-1], (len(source), len(target))
    mirrored = {(k - 1 - a, m - 1 - b) for a, b in equal if a >= i and b >= j}
    last = _cuts(source[i:][::-1], target[j:][::-1], mirrored)
    return first + [(k - a, m - b) for a, b in reversed(last)]


def _cuts(source: Shape, target: Shape, equal: Collection[Cut]) -> list[Cut]:
    i, j = 0, 0
    cuts = [(i, j)]
    while block := (1, 1) if (i, j) in equal else _block(source[i:], target[j:]):
        i, j = i + block[0], j + block[1]
        cuts.append((i, j))
    return cuts


def _block(source: Shape, target: Shape) -> Cut | None:
    """How many axes that the shapes begin with have the same elements; None if not known."""
    i, j, left, right = 0, 0, 1, 1
    while not (i and j and left == right):
        takes_source = not i or (j > 0 and left < right)
        sizes, at = (source, i) if takes_source else (target, j)
        size = sizes[at] if at < len(sizes) else None
        if size is None:
            return None
        if takes_source:
            i, left = i + 1, left * size
        else:
            j, right = j + 1, right * size
    return i, j


def refit(affine: ChannelAffine, source: Shape, target: Shape) -> ChannelAffine | Reason:
    """The affine, which stands on an axis of a block, on one of the same block's other axes.

    ``source`` and ``target`` are the sizes of the block's axes on both sides.
    """
    affine = affine.narrowed()
    if affine.axis is None:
        return affine
    if 0 in source or 0 in target:
        return Reason.UNUSUAL_FORM
    if source[affine.axis] not in (None, affine.channels):
        return Reason.SIZES_UNKNOWN
    filled = (*source[: affine.axis], affine.channels, *source[affine.axis :][1:])
    if not (_divides(filled, target) and _divides(target, filled)):
        return Reason.SIZES_UNKNOWN  # Inference erred, or no input gets here.
    views = _views(*completed(filled, target), len(source) + affine.axis)
    found = [_seen(affine, view) for view in views] or [Reason.SIZES_UNKNOWN]
    return next((moved for moved in found if not isinstance(moved, Reason)), found[0])


def _divides(sizes: Shape, other: Shape) -> bool:
    """Whether a block of these sizes may have the elements of the other, where all are known."""
    return None in other or not prod(_known(other)) % prod(_known(sizes))


def _seen(affine: ChannelAffine, view: _View) -> ChannelAffine | Reason:
    """The affine on the one axis of the target that its numbers follow from."""
    if prod(view.source) > LARGEST:
        return Reason.UNUSUAL_FORM
    index = np.arange(view.source[view.place])
    column = index.reshape(-1, *[1] * (len(view.source) - 1 - view.place))
    channel = np.broadcast_to(column, view.source).reshape(view.target)
    axis = _only_axis(affine, channel)
    if axis is None:
        return Reason.MIXES_CHANNELS
    if axis in (0, len(view.target) - 1):
        return Reason.SIZES_UNKNOWN
    return affine.of_channels(_line(channel, axis).ravel(), axis - view.end)


def completed(source: Shape, target: Shape) -> tuple[Shape, Shape]:
    """Both shapes, with the only unknown size of one worked out from the other."""
    return _with_total(source, target), _with_total(target, source)


def _with_total(sizes: Shape, other: Shape) -> Shape:
    known, total = _known(sizes), _known(other)
    if len(known) != len(sizes) - 1 or len(total) != len(other):
        return sizes
    return tuple(prod(total) // prod(known) if size is None else size for size in sizes)


def _known(sizes: Shape) -> Sizes:
    return tuple(size for size in sizes if size is not None)


def _views(source: Shape, target: Shape, place: int) -> Iterator[_View]:
    """What is known of a block: the sizes that both sides end with, or those they begin with."""
    ends, others = _trailing(source), _trailing(target)
    first = len(source) - len(ends)
    if place >= first:
        whole = lcm(prod(ends), prod(others))
        before, after = (whole // prod(ends), *ends, 1), (whole // prod(others), *others, 1)
        yield _View(before, after, place - first + 1, len(others) + 1)
    ends, others = _leading(source), _leading(target)
    if place < len(ends) and (len(ends) < len(source) or len(others) < len(target)):
        whole = lcm(prod(ends), prod(others))
        before, after = (1, *ends, whole // prod(ends)), (1, *others, whole // prod(others))
        yield _View(before, after, place + 1, len(target) + 1)


def _trailing(sizes: Shape) -> Sizes:
    return _leading(sizes[::-1])[::-1]


def _leading(sizes: Shape) -> Sizes:
    """The sizes before the first unknown one."""
    return _known(sizes[: sizes.index(None)] if None in sizes else sizes)


def _only_axis(affine: ChannelAffine, channel: npt.NDArray[Any]) -> int | None:
    """The axis whose index alone tells the numbers of every channel."""
    axes = range(channel.ndim)
    return next((a for a in axes if alike(affine, channel, _line(channel, a))), None)


def _line(channel: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    """The channels along an axis, at the first index of all others."""
    return channel[tuple(slice(None if i == axis else 1) for i in range(channel.ndim))]


def alike(affine: ChannelAffine, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether an affine's channels ``one`` have the same numbers as its channels ``other``."""
    whole = affine.spread(affine.channels or 1)
    return all(part[one].is_same(part[other]) for part in (whole.scale, whole.shift))
