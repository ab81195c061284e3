"""How far two runs are apart, measured by the rounding noise that may arrive there.

The reference is run again with noise on the outputs of its folded sites, of half the size that
their own bounds allow (``deviations``). What of it arrives at an output is what rounding can do
there, whatever lies between: so a difference is compared with that, in the root mean square over
the whole output and over each channel, and may be four times as large. Where no noise arrives, as
behind a saturated Softmax, the outputs must agree to 4 units in the last place; that is no evidence
for the fold, and said to be ``insensitive``.

Why four: with b the bound of a site, its noise is b/2 times the sum of two independent numbers,
both uniform in [-1, 1], one drawn for each element and one for each channel. The root mean square
of that is b/2 * sqrt(2/3) = b / 2.45. So a candidate that were off by b in every element of every
site would arrive with 2.45 times the noise, as far as what lies between is linear and the errors
are independent, which is what makes them add up like noise (Higham and Mary, A new approach to
probabilistic rounding error analysis, SIAM J. Sci. Comput. 41, 2019). What is left up to four,
1.63, is for chance: of 16 normal numbers, the fewest that a channel is judged by in one draw, the
root mean square is below the usual one over 1.63 once in eighty, and there are two draws at least;
but no right fold is off by its bounds everywhere. Errors that conspire could exceed it (Higham,
Accuracy and Stability of Numerical Algorithms, 2nd ed., section 2.8); outputs are an alarm and no
proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, prod, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubles
from folding.floats import FLOATS, FloatType

#: How many times the noise a difference may have.
RATIO = 4.0
_ULPS = 4.0
#: A channel of fewer elements says too little: the noise of all may happen to be small.
_LEAST = 16
#: Of what was decided, so many may differ; one at least, unless noise was drawn so often.
_ONE_IN, _MANY = 100, 4
#: A result this far below the largest number may have overflowed on the way to it.
_MARGIN = 256.0
#: Squares of numbers below this are finite.
_LARGE = 2.0**500
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
    outer, channels, inner = form(expected.shape)
    apart, noise = np.zeros(channels), np.zeros(channels)
    scale = _scale(expected, kind)
    arrays = [np.reshape(a, (outer, channels, inner)) for a in (expected, given, *draws)]
    for place in pieces(outer, channels, inner):
        one, other, *noisy = (array[place].astype(np.float64) for array in arrays)
        if not _same_specials(one, other, noisy, kind):
            return Ratio(inf, arrived=True, why="NaN or Inf elsewhere")
        d, n = _squares(one, other, noisy, kind, scale)
        apart[place[1]] += d
        noise[place[1]] += n
    return _worst(apart, noise, outer * inner)


def explained(one: Any, other: Any, noisy: list[Any]) -> float | None:
    """How many times the noise a difference is, if that is few enough."""
    kind = float_type(one)
    if (
        kind is None
        or not noisy
        or float_type(other) is not kind
        or np.shape(one) != np.shape(other)
    ):
        return None
    if any(np.shape(draw) != np.shape(one) for draw in noisy):
        return None
    found = ratio(one, other, noisy, kind)
    return None if found.why or not found.worst <= RATIO else found.worst


def float_type(value: Any) -> FloatType | None:
    """The type of an array of floats; None for anything else."""
    if not isinstance(value, np.ndarray):
        return None
    return next((kind for kind in FLOATS.values() if kind.dtype == value.dtype), None)


def _worst(apart: Doubles, noise: Doubles, size: int) -> Ratio:
    arrived = bool(noise.sum() > 0)
    worst = _quotient(float(apart.sum()), float(noise.sum()))
    if size >= _LEAST:
        worst = max((worst, *map(_quotient, apart.tolist(), noise.tolist())))
    return Ratio(worst, arrived)


def _quotient(apart: float, noise: float) -> float:
    if not apart:
        return 0.0
    return sqrt(apart / noise) if noise else inf


def _scale(values: npt.NDArray[Any], kind: FloatType) -> float:
    """What to multiply by so that no square overflows, nor vanishes."""
    if kind.largest < _LARGE:
        return 1.0
    largest = float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
    return 1 / max(largest, kind.tiny) if largest else 1.0


def _squares(
    one: Doubles, other: Doubles, noisy: Sequence[Doubles], kind: FloatType, scale: float
) -> tuple[Doubles, Doubles]:
    """The scaled squares of the difference and of the noise, added up by channel.

    Where noise alone makes a number overflow, nothing is said.
    """
    with np.errstate(all="ignore"):
        finite = np.isfinite(one) & np.isfinite(other)
        for draw in noisy:
            finite &= np.isfinite(draw)
        apart = np.where(finite, other - one, 0.0)
        apart[np.abs(apart) <= 2 * _ULPS * kind.half_ulp(one)] = 0.0
        noise = [np.where(finite, draw - one, 0.0) * scale for draw in noisy]
        apart *= scale
        squares = sum(np.square(n) for n in noise) / len(noise)
    axes = tuple(axis for axis in range(one.ndim) if axis != one.ndim - 2)
    return np.square(apart).sum(axes), np.asarray(squares).sum(axes)


def _same_specials(one: Doubles, other: Doubles, noisy: Sequence[Doubles], kind: FloatType) -> bool:
    """Whether NaN and Inf are where they were; the candidate may be finite where no other is.

    It may also overflow where the reference nearly does. And where noise makes as many others as
    there are, or others of most of them, as next to a division by zero, none counts.
    """
    special = ~(np.isfinite(one) & np.isfinite(other))
    overflows = (np.abs(one) >= kind.largest / _MARGIN) & (other == np.copysign(inf, one))
    apart = ~_alike(one, other) & ~(~np.isfinite(one) & np.isfinite(other)) & ~overflows
    if not apart.any():
        return True
    shaken = [~_alike(one, draw) for draw in noisy]
    usual = sum(map(np.count_nonzero, shaken)) / len(shaken)
    shaky = np.logical_or.reduce(shaken)
    is_mostly = 2 * np.count_nonzero(shaky & special) > np.count_nonzero(special)
    return bool(is_mostly or np.count_nonzero(apart) <= RATIO * usual)


def _alike(one: Doubles, other: Doubles) -> npt.NDArray[np.bool_]:
    """Where two are both finite, or the same special number."""
    finite = np.isfinite(one) & np.isfinite(other)
    found: npt.NDArray[np.bool_] = finite | (one == other) | (np.isnan(one) & np.isnan(other))
    return found


def form(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A shape as what is before the channels, the channels, and what is behind them."""
    if len(shape) < 2:  # noqa: PLR2004 - a batch and channels
        return 1, 1, prod(shape)
    return shape[0], shape[1], prod(shape[2:])


def pieces(outer: int, channels: int, inner: int) -> Iterator[tuple[slice, slice, slice]]:
    """The whole in slices of some elements."""
    width = max(1, _PIECE // max(1, inner))
    depth = max(1, _PIECE // max(1, inner * channels))
    for first in range(0, outer, depth):
        for channel in range(0, channels, width):
            for start in range(0, inner, _PIECE):
                yield (
                    slice(first, first + depth),
                    slice(channel, channel + width),
                    slice(start, start + _PIECE),
                )


def flipped(
    expected: npt.NDArray[Any], given: npt.NDArray[Any], draws: Sequence[npt.NDArray[Any]]
) -> str:
    """What is wrong with a value that was decided, or nothing.

    What no noise changes must be the same, but for one in a hundred: noise is a draw. If its very
    shape depends on it, nothing is said.
    """
    if given.shape != expected.shape or given.dtype != expected.dtype:
        if any(draw.shape != expected.shape for draw in draws):
            return ""
        return f"{expected.dtype} {expected.shape} became {given.dtype} {given.shape}"
    wrong = given != expected
    for draw in draws:
        wrong &= draw == expected if draw.shape == expected.shape else False
    count = int(np.count_nonzero(wrong))
    if count <= max(int(len(draws) < _MANY), wrong.size // _ONE_IN):
        return ""
    return f"{count} elements differ, which noise does not change"
