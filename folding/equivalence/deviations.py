"""How far a folded layer is from the exact result, and how far rounding can explain.

For each sampled element of a site, with e the exact result, S the same computed with absolute
values and plus signs, and u the unit roundoff of the coarsest type in the site, the candidate must
satisfy

    |candidate - e| <= 8 * u * S + 2 * max |reference - e|

where the maximum is taken over the element's channel. It is no less than what any channel's largest
error is relative to its S, up to 64 * u * S: of the few elements that are sampled of a channel, all
may happen to be exact.

The first term is what the roundings of the folded constants and of a few operations on them may
amount to, to first order (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma
3.1 and section 3.5). A sum of n terms may be off by n * u * S in the worst case, though by far less
in practice (Higham and Mary, A new approach to probabilistic rounding error analysis, 2019); there
the second term helps: the reference sums as many. So a candidate that is nearer to the exact result
than the reference never fails.

But where the reference sums zeros and adds a shift, and the candidate sums the shift itself over
and over, that helps nothing: n equal numbers round n times the same way. Means of 256, 4,096 and
65,536 of them were measured to be off by 15, 128 and 1,838 u * S. So where a site fails, the
candidate's own formula is evaluated too: it must be within the first bound of e, and what the
runtime gave for it within 2^14 u * S of it; that is the fold's right to round, not a fault of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubles
from folding.equivalence.sampling import Sampled
from folding.floats import FloatType

#: How many roundings of S a candidate may be off on its own.
ROUNDINGS = 8.0
#: What a sum of 10^5 terms of one sign stays below, in roundings of S: 24 were measured.
_MOST = 64.0
#: What a runtime may make of a sum of equal numbers, in roundings of S.
_MOST_OF_ITS_OWN = 2.0**14
#: S this far below the largest number of a type cannot have overflowed on the way.
_MARGIN = 16.0


@dataclass(frozen=True, slots=True)
class Deviation:
    """The candidate's worst, in units of what is allowed, and half of that for each channel.

    ``channel`` is where the worst was found. ``half`` has the size that noise may have which stands
    for the rounding errors of the site. ``overflows`` is whether numbers of the site may have, and
    ``compared`` how many elements say anything.
    """

    worst: float
    channel: int
    half: Doubles
    overflows: bool
    compared: int


def deviation(
    exact: Sampled,
    reference: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    channels: int,
    kind: FloatType,
) -> Deviation:
    """Compare the elements of a site.

    Args:
        exact: e and S of each element, of all channels at one place after the other.
        reference: what the reference gave for them.
        candidate: what the candidate gave for them.
        channels: how many there are.
        kind: the coarsest type in the site.
    """
    value, size = (
        _by_channel(np.asarray(a, np.float64), channels) for a in (exact.value, exact.magnitude)
    )
    ours, theirs = (
        _by_channel(np.asarray(a).astype(np.float64), channels) for a in (reference, candidate)
    )
    with np.errstate(all="ignore"):
        # Where the way to it may overflow, or where the exact result is no number, nothing is said.
        is_safe = np.isfinite(value) & (size < kind.largest / _MARGIN) & np.isfinite(ours)
        error = np.where(is_safe, np.abs(ours - value), 0.0).max(0, initial=0.0)
        # S as far as it is known: what may overflow is no less uncertain for that.
        felt = np.fmin(size, kind.largest)
        roundings = ROUNDINGS * kind.roundoff * (felt + kind.tiny)
        usual = np.where(is_safe & (size > 0), np.abs(ours - value) / size, 0.0).max(initial=0.0)
        usual = min(float(usual), _MOST * kind.roundoff)
        allowed = roundings + 2 * np.maximum(error, usual * felt)
        apart = np.where(is_safe, np.abs(theirs - value) / allowed, 0.0)
    apart[np.isnan(apart)] = np.inf
    worst = apart.max(0, initial=0.0)
    channel = int(worst.argmax()) if channels else 0
    half = (roundings.max(0, initial=0.0) + 2 * error) / 2
    compared = int(np.count_nonzero(is_safe))
    # Where S is no number (0 / 0), what follows makes of it what it likes: poolings leave it out.
    overflows = not (size < kind.largest / _MARGIN).all()
    return Deviation(float(worst[channel]) if channels else 0.0, channel, half, overflows, compared)


def _by_channel(values: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """One row for each place; there may be no channels."""
    return values.reshape(values.size // max(channels, 1), channels)


def by_its_own(
    exact: Sampled,
    own: Sampled,
    reference: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    channels: int,
    kind: FloatType,
) -> Deviation:
    """The same where the candidate's own formula gives ``own``, e and S of its own.

    The formula is compared with the exact result, and the candidate with its formula.
    """
    with np.errstate(all="ignore"):
        size = np.maximum(exact.magnitude, own.magnitude)
        both = Sampled(exact.value, size)
        found = deviation(both, reference, own.value, channels, kind)
        apart = np.abs(np.asarray(candidate).astype(np.float64) - np.asarray(own.value, np.float64))
        allowed = _MOST_OF_ITS_OWN * kind.roundoff * (np.asarray(size, np.float64) + kind.tiny)
        loosest = _by_channel(np.nan_to_num(apart / allowed, nan=np.inf), channels)
    noise = _by_channel(apart, channels).max(0, initial=0.0)
    if loosest.max(initial=0.0) <= 1:
        return replace(found, half=found.half + noise)
    channel = int(loosest.max(0).argmax())
    return replace(found, worst=float(loosest.max()), channel=channel)
