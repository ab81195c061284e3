"""Sums along axes that leave errors of some 2^-75 of the sum of absolute values."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np

from folding.doubled import Doubled

#: Elements that are worked on at a time: few enough that a dozen such arrays stay in the cache.
PIECE = 1 << 15

Place = tuple[slice, ...]


def gathered(
    dims: tuple[int, ...], axes: tuple[int, ...], pieces: Iterable[tuple[Place, Doubled]]
) -> Doubled:
    """The sum over some axes, which remain with a length of 1, of what comes in pieces.

    Each has its place along the leading axes.
    """
    shape = [1 if i in axes else size for i, size in enumerate(dims)]
    whole = Doubled(np.zeros(shape), np.zeros(shape), np.zeros(shape))
    for place, terms in pieces:
        at = tuple(slice(None) if i in axes else part for i, part in enumerate(place))
        added = whole[at] + total(terms, axes)
        for name in ("high", "low", "magnitude"):
            getattr(whole, name)[at] = getattr(added, name)
    return whole


def total(terms: Doubled, axes: tuple[int, ...]) -> Doubled:
    """The sum over some axes, which remain with a length of 1.

    Adding and subtracting a number far above the terms cuts each of them into an upper part, whose
    sums are exact in float64, and a rest that is smaller by the bits that are left. (S. Rump,
    T. Ogita and S. Oishi, "Accurate floating-point summation, part I", 2008, section 3.)
    """
    count = prod(terms.shape[axis] for axis in axes)
    with np.errstate(all="ignore"):
        largest = np.abs(terms.high).max(axis=axes, keepdims=True, initial=0.0)
        above = np.ldexp(1.0, np.frexp(largest)[1] + (count + 1).bit_length())
        upper = (terms.high + above) - above
        rest = (terms.high - upper) + terms.low
        sums = [part.sum(axis=axes, keepdims=True) for part in (upper, rest, terms.magnitude)]
    nothing = np.zeros_like(largest)
    return Doubled(sums[0], nothing, sums[2]) + Doubled(sums[1], nothing, nothing)
