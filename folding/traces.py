"""What carriers do to the numbers of an affine: found out with one, and done to others like it.

    an affine's scales      a, b, c ─ carriers ─ a, a, b, b, c, c
    its trace               0, 1, 2 ─ carriers ─ 0, 0, 1, 1, 2, 2

Carriers that keep an affine's numbers (see ``carriers.base``) move them to other channels at most,
and all affines alike of which they see the same. So a trace goes over many of them once: an affine
of which they see that, and whose numbers tell the channels they come from. What passes if no two
channels are alike passes whatever they are; else it may yet pass if some are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from folding.affine import ChannelAffine
from folding.doubled import Doubled

#: All that carriers see of an affine that keep its numbers, and the type it is narrowed to.
Key = tuple[int | None, int | None, tuple[int, ...], int, bool, bool]


@dataclass(frozen=True, slots=True)
class Move:
    """Where the numbers of an affine come out, and along which axis.

    ``channels`` says for each channel which one it was; it is None if none has moved.
    """

    axis: int | None
    channels: npt.NDArray[np.intp] | None

    def of(self, affine: ChannelAffine) -> ChannelAffine:
        """Where an affine comes out that is like the one whose trace this was."""
        if affine.axis is None:
            return affine
        if self.channels is None:
            return replace(affine, axis=self.axis)
        whole = affine.spread(affine.channels or 1)
        return ChannelAffine(whole.scale[self.channels], whole.shift[self.channels], self.axis)


def key_of(affine: ChannelAffine, narrows_to: int, alike: tuple[int, ...] = ()) -> Key:
    """What affines have in common that move alike."""
    order = affine.keeps_order, affine.is_scale
    return affine.axis, affine.channels, alike, narrows_to, *order


def traced(affine: ChannelAffine, alike: tuple[int, ...] = ()) -> ChannelAffine:
    """The trace of an affine: the magnitudes of its scales are the numbers of its channels."""
    places = np.arange(affine.channels or 1)
    labels = np.array(alike or places) + 1.0
    sign = 1.0 if affine.keeps_order else -1.0
    scale = replace(Doubled.exact(sign * labels), magnitude=places.astype(np.float64))
    shift = Doubled.exact(0.0 if affine.is_scale else 1.0)
    return ChannelAffine(scale if affine.channels else scale.reshape(), shift, affine.axis)


def move_of(trace: ChannelAffine, before: ChannelAffine) -> Move:
    """What has become of a trace, which was another affine before."""
    is_as_before = np.array_equal(trace.scale.magnitude, before.scale.magnitude)
    return Move(trace.axis, None if is_as_before else trace.scale.magnitude.astype(np.intp))


def alike(affine: ChannelAffine) -> tuple[int, ...]:
    """For each channel the first one with the same numbers; empty if no two have the same."""
    whole = affine.spread(affine.channels or 1)
    parts = (whole.scale.high, whole.scale.low, whole.shift.high, whole.shift.low)
    numbers = [*zip(*(part.tolist() for part in parts), strict=True)]
    first = {numbers[channel]: channel for channel in reversed(range(len(numbers)))}
    return tuple(first[n] for n in numbers) if len(first) < len(numbers) else ()
