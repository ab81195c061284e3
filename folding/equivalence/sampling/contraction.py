"""Sums over the inputs of a layer: one matrix product for each block of its weight.

A layer's output at one place is a linear map of what its window covers there. Wanted elements are
therefore grouped by place, and all channels of a place are computed together, from a weight that is
read once for as many places as fit the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from folding.equivalence.sampling.numbers import Numbers, ravelled, unravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Floats, Sampled, zeros
from folding.scratch import ELEMENTS, tiles

#: Elements of the inputs that are in memory at the same time.
_AT_ONCE = 1 << 19
#: Multiplications at the same time: so few that the numerical library does them in one thread.
#: Waking others takes many times as long.
_PRODUCT = 1 << 18
_LEAST = 1 << 11


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight as an array of four axes: group, row, column and tap, from ``start`` on.

    The rows of a group are its outputs and the columns its inputs, or, if ``is_transposed``, the
    other way round.
    """

    numbers: Numbers
    dims: tuple[int, int, int, int]
    is_transposed: bool
    start: int = 0

    @property
    def sources(self) -> tuple[int, int, int]:
        """How many groups, inputs of each, and taps there are."""
        groups, rows, columns, taps = self.dims
        return groups, rows if self.is_transposed else columns, taps

    @property
    def channels(self) -> int:
        """How many outputs there are in all groups."""
        groups, rows, columns, _ = self.dims
        return groups * (columns if self.is_transposed else rows)


#: What the places of a layer's output read: an array of groups, inputs, taps and places.
Fetch = Callable[[Coordinates], Sampled]


def _accumulate(
    total: Floats, block: Floats, source: Floats, where: tuple[slice, ...], weight: Weight
) -> None:
    """Add what one block of the weight contributes to all outputs."""
    group, row, column, tap = where
    groups, rows, columns, taps = block.shape
    if weight.is_transposed:
        matrix = block.transpose(0, 2, 1, 3).reshape(groups, columns, rows * taps)
        outputs, inputs = column, source[group, row, tap]
    else:
        matrix = block.reshape(groups, rows, columns * taps)
        outputs, inputs = row, source[group, column, tap]
    total[group, outputs] += matrix @ inputs.reshape(groups, matrix.shape[2], -1)


def _block(places: int) -> int:
    """How many elements of a weight are multiplied at the same time."""
    return min(ELEMENTS, max(_LEAST, _PRODUCT // max(1, places)))


def _contract(weight: Weight, source: Sampled, wanted: npt.NDArray[np.bool_]) -> Sampled:
    """All outputs of some places; those of blocks in which none is wanted stay zero."""
    groups = weight.dims[0]
    dims = groups, weight.channels // groups, source.value.shape[-1]
    total, is_wanted = zeros(dims, source.value.dtype), wanted.reshape(dims[:2])
    for start, leading, shape in tiles(weight.dims, _block(dims[2])):
        where = (*leading, *(slice(None),) * (4 - len(leading)))
        if not is_wanted[where[0], where[2 if weight.is_transposed else 1]].any():
            continue
        first = weight.start + start
        block = weight.numbers.read(first, first + prod(shape)).reshape(*shape)
        _accumulate(total.value, block.value, source.value, where, weight)
        _accumulate(total.magnitude, block.magnitude, source.magnitude, where, weight)
    return total.reshape(weight.channels, dims[2])


def contract(
    pull: Pull, weight: Weight, coords: Coordinates, shape: Dims, axis: int, fetch: Fetch
) -> Sampled:
    """The wanted elements of a layer's output, whose channels are along ``axis``.

    Args:
        pull: the evaluation.
        weight: the layer's.
        coords: which elements are wanted.
        shape: that of the output.
        axis: where its channels are.
        fetch: what some places read, given by their coordinates without that axis.
    """
    dims = shape[:axis] + shape[axis + 1 :]
    channel = coords[:, axis]
    places, which = np.unique(ravelled(np.delete(coords, axis, 1), dims), return_inverse=True)
    wanted = np.zeros(weight.channels, np.bool_)
    wanted[channel] = True
    found = zeros((len(coords),), pull.wide)
    step = max(1, _AT_ONCE // max(1, prod(weight.sources)))
    pull.spend(prod(weight.sources), len(places))
    for low in range(0, len(places), step):
        part = _contract(weight, fetch(unravelled(places[low : low + step], dims)), wanted)
        mine = np.flatnonzero((which >= low) & (which < low + step))
        found.value[mine] = part.value[channel[mine], which[mine] - low]
        found.magnitude[mine] = part.magnitude[channel[mine], which[mine] - low]
    return found
