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
    """A weight as an array of any axes, from ``start`` on.

    ``roles`` has a letter for each axis: those of "g" count groups, which have nothing to do with
    each other, those of "o" the outputs of a group, and those of "i" its inputs.
    """

    numbers: Numbers
    dims: Dims
    roles: str
    start: int = 0

    def axes(self, roles: str) -> tuple[int, ...]:
        """The axes of some roles, one role after the other."""
        return tuple(axis for role in roles for axis, own in enumerate(self.roles) if own == role)

    @property
    def sources(self) -> Dims:
        """How many groups there are, and inputs of each, axis by axis."""
        return tuple(self.dims[axis] for axis in self.axes("gi"))

    @property
    def outputs(self) -> Dims:
        """How many groups there are, and outputs of each, axis by axis."""
        return tuple(self.dims[axis] for axis in self.axes("go"))


#: What the places of a layer's output read: an array of the weight's sources, and of places.
Fetch = Callable[[Coordinates], Sampled]


def _accumulate(
    total: Floats, block: Floats, source: Floats, where: tuple[slice, ...], weight: Weight
) -> None:
    """Add what one block of the weight contributes to all outputs."""
    groups, outputs, inputs = (
        prod(block.shape[axis] for axis in weight.axes(role)) for role in "goi"
    )
    matrix = block.transpose(weight.axes("goi")).reshape(groups, outputs, inputs)
    read = source[tuple(where[axis] for axis in weight.axes("gi"))]
    sums = matrix @ read.reshape(groups, inputs, source.shape[-1])
    target = total[tuple(where[axis] for axis in weight.axes("go"))]
    target += sums.reshape(target.shape)


def _block(places: int) -> int:
    """How many elements of a weight are multiplied at the same time."""
    return min(ELEMENTS, max(_LEAST, _PRODUCT // max(1, places)))


def _contract(weight: Weight, source: Sampled, wanted: npt.NDArray[np.bool_]) -> Sampled:
    """All outputs of some places; those of blocks in which none is wanted stay zero."""
    places = source.value.shape[-1]
    total = zeros((*weight.outputs, places), source.value.dtype)
    for start, leading, shape in tiles(weight.dims, _block(places)):
        where = (*leading, *(slice(None),) * (len(weight.dims) - len(leading)))
        if not wanted[tuple(where[axis] for axis in weight.axes("go"))].any():
            continue
        first = weight.start + start
        block = weight.numbers.read(first, first + prod(shape)).reshape(*shape)
        _accumulate(total.value, block.value, source.value, where, weight)
        _accumulate(total.magnitude, block.magnitude, source.magnitude, where, weight)
    return total.reshape(prod(weight.outputs), places)


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
    wanted = np.zeros(prod(weight.outputs), np.bool_)
    wanted[channel] = True
    wanted = wanted.reshape(weight.outputs)
    found = zeros((len(coords),), pull.wide)
    step = max(1, _AT_ONCE // max(1, prod(weight.sources)))
    pull.spend(prod(weight.sources), len(places))
    for low in range(0, len(places), step):
        part = _contract(weight, fetch(unravelled(places[low : low + step], dims)), wanted)
        mine = np.flatnonzero((which >= low) & (which < low + step))
        found[mine] = part[channel[mine], which[mine] - low]
    return found
