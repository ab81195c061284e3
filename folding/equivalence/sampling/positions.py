"""Which elements of a tensor are compared: all channels, at places where faults show."""

from __future__ import annotations

from itertools import islice, product
from math import prod

import numpy as np
import numpy.typing as npt

from folding.equivalence.sampling.numbers import ravelled, unravelled
from folding.equivalence.sampling.values import Coordinates, Dims

#: A tensor of so few elements is compared as a whole.
_SMALL = 256


def choose(shape: Dims, axis: int | None, rng: np.random.Generator, positions: int) -> Coordinates:
    """Elements of a tensor: every channel at each of some places.

    The corners come first, opposite ones before others, for that is where padding is seen; then
    places along the borders, then any. A tensor that is small is taken as a whole.

    Args:
        shape: that of the tensor.
        axis: where its channels are, from the right if negative; None if it has none.
        rng: what draws the places.
        positions: how many there are at most.
    """
    if axis is None or not shape:
        channels, rest = 1, shape
    else:
        axis %= len(shape)
        channels, rest = shape[axis], shape[:axis] + shape[axis + 1 :]
    most = prod(rest) if prod(shape) <= _SMALL else positions
    places = unravelled(_places(rest, rng, most), rest)
    repeated = np.repeat(places, channels, 0)
    if axis is None or not shape:
        return repeated
    return np.insert(repeated, axis, np.tile(np.arange(channels), len(places)), 1)


def _places(dims: Dims, rng: np.random.Generator, positions: int) -> npt.NDArray[np.int64]:
    """Different places in C order."""
    total = prod(dims)
    if total <= positions:
        return np.arange(total)
    # All corners may be padding: some places are never left to them.
    corners = ravelled(_corners(dims, (positions + 1) // 2), dims)
    borders = ravelled(_borders(dims, rng, positions), dims)
    inner = rng.choice(total, min(total, positions), replace=False)
    candidates = np.concatenate((corners, borders[: (positions - len(corners)) // 2], inner))
    _, first = np.unique(candidates, return_index=True)
    found: npt.NDArray[np.int64] = candidates[np.sort(first)][:positions]
    return found


def _corners(dims: Dims, most: int) -> Coordinates:
    """The corners, each followed by the one that is opposite to it."""
    ends = [(0, size - 1) if size > 1 else (0,) for size in dims[1:]]
    half = [(0, *rest) for rest in islice(product(*ends), most)]
    last = np.array(dims) - 1
    pairs = [end for corner in half for end in (corner, tuple(last - np.array(corner)))]
    return np.array(list(dict.fromkeys(pairs))[:most], np.int64)


def _borders(dims: Dims, rng: np.random.Generator, count: int) -> Coordinates:
    """Places that are at an end of one axis, and anywhere along the others."""
    found = rng.integers(0, dims, (count, len(dims)))
    axis = rng.choice(np.flatnonzero(np.array(dims) > 1), count)
    row = np.arange(count)
    found[row, axis] = (np.array(dims)[axis] - 1) * rng.integers(0, 2, count)
    return found
