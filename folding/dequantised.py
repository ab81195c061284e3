"""Weights that are rearranged behind their DequantizeLinear, as exporters of transposed ones do.

    q ─ DequantizeLinear(scale) ─ Transpose ─ w ─ layer

Transpose, Reshape, Flatten, Squeeze, Unsqueeze and Identity are looked through, where each is read
once and has no other input that is computed at run time. What multiplies ``w`` along one axis then
multiplies what the DequantizeLinear makes along the axis that became it:

1. A Transpose says which one that is.
2. Through the others it is an axis of the same length, with as many elements before it: an axis
   that they split or join is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from folding.draft import Draft
from folding.factor import Factor, Index
from folding.protos import integers, is_default_domain

_DEEPEST = 8
_SHAPING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class Dequantised:
    """A DequantizeLinear, and the nodes through which what it makes goes to a layer, in order."""

    index: int
    way: tuple[int, ...]


def dequantised(draft: Draft, name: str) -> Dequantised | None:
    """The DequantizeLinear that a value comes from; None if it does not come from one."""
    way: tuple[int, ...] = ()
    while len(way) < _DEEPEST:
        index = draft.producer(name)
        if index is None or not is_default_domain(draft.node(index)):
            return None
        node = draft.node(index)
        if node.op_type == "DequantizeLinear":
            return Dequantised(index, way)
        moves = node.op_type == "Transpose" or node.op_type in _SHAPING
        if not moves or not all(draft.is_constant(other) for other in node.input[1:] if other):
            return None
        way, name = (index, *way), node.input[0]
    return None


def before(draft: Draft, found: Dequantised, factor: Factor) -> Factor | None:
    """The factor of what a DequantizeLinear makes that one of the weight is; None if none is."""
    channel: Index | None = factor.channel
    for index in reversed(found.way):
        node = draft.node(index)
        old, new = (draft.shape(name) for name in (node.input[0], node.output[0]))
        if old is None or new is None or channel is None:
            return None
        if node.op_type == "Transpose":
            perm = integers(node, "perm") or tuple(reversed(range(len(new))))
            channel = channel.transpose(np.argsort(perm))
        else:
            channel = _reshaped(channel, new, old)
    return None if channel is None else Factor(channel, factor.scale)


def _reshaped(
    channel: Index, new: tuple[int | None, ...], old: tuple[int | None, ...]
) -> Index | None:
    """Which channel each element had before it was given another shape."""
    if None in new or None in old:
        return None
    wide = [axis for axis, size in enumerate(channel.shape) if size != 1]
    shape = [1] * len(old)
    if len(wide) > 1:
        return None
    if wide:
        size, ahead = new[wide[0]], _count(new[: wide[0]])
        places = (i for i in range(len(old)) if old[i] == size and _count(old[:i]) == ahead)
        place = next(places, None)
        if place is None:
            return None
        shape[place] = channel.size
    return channel.reshape(shape)


def _count(dims: tuple[int | None, ...]) -> int:
    return prod(size or 0 for size in dims)
