"""How far two runs are apart, measured by the rounding noise that may arrive there.

The reference is run again with noise on the outputs of its folded sites, of half the size that
their own bounds allow (``deviations``). What of it arrives at an output is what rounding can do
there, whatever lies between: so a difference is compared with that, in the root mean square over the whole
output and over each channel, and may be four times as large. Where no noise arrives, as behind a
saturated Softmax, the outputs must agree to 4 units in the last place; that is no evidence for
the fold, and said to be ``insensitive``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, prod, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubles
from folding.floats import FloatType

#: How many times the noise a difference may have.
RATIO = 4.0
_ULPS = 4.0
#: A channel of fewer elements says too little: the noise of all may happen to be small.
_LEAST = 16
#: Elements that are looked at in float64 at a time.
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Ratio:
    """The difference over the noise; or why there is none. ``arrived`` is whether noise did."""

    worst: float
    arrived: bool
    why: str = ""


def ratio(
    expected: npt.NDArray[Any],
    given: npt.NDArray[Any],
    draws: Sequence[npt.NDArray[Any]],
    kind: FloatType,
) -> Ratio:
    """Compare a value of two models.

    Args:
        expected: the reference's.
        given: the candidate's.
        draws: the reference's with noise, at least one.
        kind: its type.
    """
    if given.shape != expected.shape or given.dtype != expected.dtype:
        return Ratio(
            inf,
            arrived=True,
            why=f"{expected.dtype} {expected.shape} became {given.dtype} {given.shape}",
        )
    outer, channels, inner = _form(expected.shape)
    apart, noise = np.zeros(channels), np.zeros(channels)
    arrays = [np.reshape(a, (outer, channels, inner)) for a in (expected, given, *draws)]
    for place in _pieces(outer, channels, inner):
        one, other, *noisy = (array[place].astype(np.float64) for array in arrays)
        if not _same_specials(one, other, noisy):
            return Ratio(inf, arrived=True, why="NaN or Inf elsewhere")
        d, n = _squares(one, other, noisy, kind)
        apart[place[1]] += d
        noise[place[1]] += n
    return _worst(apart, noise, outer * inner)


def _worst(apart: Doubles, noise: Doubles, size: int) -> Ratio:
    arrived = bool(noise.sum() > 0)
    worst = _quotient(float(apart.sum()), float(noise.sum()))
    if size >= _LEAST:
        worst = max(worst, *(map(_quotient, apart.tolist(), noise.tolist())))
    return Ratio(worst, arrived)


def _quotient(apart: float, noise: float) -> float:
    if not apart:
        return 0.0
    return sqrt(apart / noise) if noise else inf


def _squares(
    one: Doubles, other: Doubles, noisy: Sequence[Doubles], kind: FloatType
) -> tuple[Doubles, Doubles]:
    """The squares of the difference and of the noise, added up by channel."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(one) & np.isfinite(other)
        apart = np.where(finite, other - one, 0.0)
        apart[np.abs(apart) <= 2 * _ULPS * kind.half_ulp(one)] = 0.0
        noise = [np.where(finite & np.isfinite(draw), draw - one, 0.0) for draw in noisy]
        squares = sum(np.square(n) for n in noise) / len(noise)
    axes = tuple(axis for axis in range(one.ndim) if axis != one.ndim - 2)
    return np.square(apart).sum(axes), np.asarray(squares).sum(axes)


def _same_specials(one: Doubles, other: Doubles, noisy: Sequence[Doubles]) -> bool:
    """Whether NaN and Inf are where they were; the candidate may be finite where no other is.

    Where the least noise makes others of most of them, as next to a division by zero, none counts.
    """
    special = ~(np.isfinite(one) & np.isfinite(other))
    apart = ~_alike(one, other) & ~(~np.isfinite(one) & np.isfinite(other))
    if not apart.any():
        return True
    shaky = np.zeros_like(special)
    for draw in noisy:
        shaky |= ~_alike(one, draw)
    return bool(2 * np.count_nonzero(shaky & special) > np.count_nonzero(special))


def _alike(one: Doubles, other: Doubles) -> npt.NDArray[np.bool_]:
    """Where two are both finite, or the same special number."""
    finite = np.isfinite(one) & np.isfinite(other)
    found: npt.NDArray[np.bool_] = finite | (one == other) | (np.isnan(one) & np.isnan(other))
    return found


def _form(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A shape as what is before the channels, the channels, and what is behind them."""
    if len(shape) < 2:  # noqa: PLR2004 - a batch and channels
        return 1, 1, prod(shape)
    return shape[0], shape[1], prod(shape[2:])


def _pieces(outer: int, channels: int, inner: int) -> Iterator[tuple[slice, slice, slice]]:
    """The whole in slices of some elements."""
    width = max(1, _PIECE // max(1, inner))
    for first in range(outer):
        for channel in range(0, channels, width):
            for start in range(0, inner, _PIECE):
                yield (
                    slice(first, first + 1),
                    slice(channel, channel + width),
                    slice(start, start + _PIECE),
                )
