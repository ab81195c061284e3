"""Two arrays that differ, in the words of ``numpy.testing``: how many elements, and by how much."""

from __future__ import annotations

from typing import Any

import numpy as np

from folding.doubled import Doubles

#: Differing arrays are looked at once, so as many elements at a time as keep the copies small.
_PIECE = 1 << 16


def mismatch(one: Any, other: Any, bound: float) -> tuple[str, ...]:
    """Lines on what differs; none for what are no two arrays of numbers of one shape.

    Args:
        one: what was expected.
        other: what was given.
        bound: how far an element may be off, relative to itself, that is not counted.
    """
    if not _is_comparable(one, other) or not one.size:
        return ()
    count, absolute, relative = 0, 0.0, 0.0
    for start in range(0, one.size, _PIECE):
        place = slice(start, start + _PIECE)
        a, b = (x.reshape(-1)[place].astype(np.float64) for x in (one, other))
        apart, size = _beyond(a, b, bound)
        count += apart.size
        absolute = max(absolute, float(apart.max(initial=0.0)))
        with np.errstate(all="ignore"):
            shares = np.where(size > 0, apart / size, np.inf)
        relative = max(relative, float(shares.max(initial=0.0)))
    return (
        f"Mismatched elements: {count} / {one.size} ({100 * count / one.size:.3g}%)",
        f"Max absolute difference among violations: {absolute:.8g}",
        f"Max relative difference among violations: {relative:.8g}",
    )


def _is_comparable(one: Any, other: Any) -> bool:
    arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return arrays and one.shape == other.shape and one.dtype.kind not in "OSU"


def _beyond(one: Doubles, other: Doubles, bound: float) -> tuple[Doubles, Doubles]:
    """The differences that are too large, and the sizes of what was expected there."""
    with np.errstate(all="ignore"):
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        apart = np.where(same, 0.0, np.abs(other - one))
    apart[np.isnan(apart)] = np.inf
    size = np.abs(one)
    size[~np.isfinite(size)] = 0.0
    large = ~same & ~(apart <= bound * size)
    return apart[large], size[large]
