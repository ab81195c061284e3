"""``y = scale * x + shift`` along one axis: what every normalisation is at inference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubled


@dataclass(frozen=True, slots=True)
class ChannelAffine:
    """One affine map per channel.

    ``scale`` and ``shift`` have the shape [C] of the channels, or () where they are the same for
    all. ``axis`` is the channels' axis counted from the right (-1 is the last), None if both are
    scalars: counted so, an axis is not moved by broadcasting.
    """

    scale: Doubled
    shift: Doubled
    axis: int | None

    @property
    def channels(self) -> int | None:
        """The number of channels, None if it acts on all alike."""
        return None if self.axis is None else max(self.scale.size, self.shift.size)

    @property
    def is_shift(self) -> bool:
        """Whether nothing is multiplied."""
        return self.scale.equals(1)

    @property
    def is_scale(self) -> bool:
        """Whether nothing is added."""
        return self.shift.equals(0)

    @property
    def keeps_order(self) -> bool:
        """Whether no scale is negative, so that of two values the larger one stays it."""
        return not (self.scale.high < 0).any()

    @property
    def is_identity(self) -> bool:
        return self.is_shift and self.is_scale

    @property
    def changes(self) -> bytes:
        """Which channels are not left as they are, as a key."""
        scale, shift = self.scale, self.shift
        left = (scale.high == 1) & (scale.low == 0) & (shift.high == 0) & (shift.low == 0)
        return np.packbits(~left).tobytes()

    def agrees_with(self, other: ChannelAffine) -> bool:
        """Whether both act along one axis, so that they compose; one may be the same for all."""
        return self._is_beside(other) or None in (self.narrowed().axis, other.narrowed().axis)

    def equals(self, other: ChannelAffine) -> bool:
        """Whether both do the same to the same channels."""
        one, two = self.narrowed(), other.narrowed()
        return (one.axis, one.channels) == (two.axis, two.channels) and (
            (one.scale - two.scale).equals(0) and (one.shift - two.shift).equals(0)
        )

    def after(self, inner: ChannelAffine) -> ChannelAffine:
        """``self(inner(x))`` as one affine."""
        outer = self
        if not self._is_beside(inner):
            outer, inner = self.narrowed(), inner.narrowed()
        return ChannelAffine(
            outer.scale.scaled(inner.scale),
            outer.scale * inner.shift + outer.shift,
            inner.axis if outer.axis is None else outer.axis,
        )

    def _is_beside(self, other: ChannelAffine) -> bool:
        """Whether both have one number for each of the same channels, or one has but one number."""
        return None in (self.axis, other.axis) or (self.axis, self.channels) == (
            other.axis,
            other.channels,
        )

    def parts(self) -> tuple[ChannelAffine, ChannelAffine]:
        """The scale alone, and the shift alone that follows it."""
        one, zero = Doubled.exact(1.0), Doubled.exact(0.0)
        return _along(self.axis, self.scale, zero), _along(self.axis, one, self.shift)

    def shift_first(self) -> ChannelAffine | None:
        """The shift that would have to come before the scale; None if a scale is zero."""
        if (self.scale.high == 0).any():
            return None
        return _along(self.axis, Doubled.exact(1.0), self.shift / self.scale)

    def along(self, axis: int) -> ChannelAffine:
        """The same map on a value whose channels stand on another axis."""
        return self if self.axis is None else replace(self, axis=axis)

    def narrowed(self) -> ChannelAffine:
        """The same map as a scalar, if all channels have the same numbers."""
        if not self.channels:
            return self
        parts = (self.scale, self.shift)
        if not all(part.is_uniform() for part in parts):
            return self
        first = [part.reshape(part.size)[0] for part in parts]
        return ChannelAffine(first[0], first[1], None)

    def settled(self) -> ChannelAffine:
        """The same map as a scalar, if there is but one channel."""
        return self.narrowed() if self.channels == 1 else self

    def of_channels(self, index: npt.NDArray[np.intp], axis: int) -> ChannelAffine:
        """The map whose channel ``i``, on an axis from the right, is this one's ``index[i]``.

        A negative index is a channel that the map leaves as it is.
        """
        whole = self.spread(self.channels or 1)
        scale, shift = whole.scale[index], whole.shift[index]
        new = index < 0
        if new.any():
            one, zero = np.where(new, 1.0, 0.0), np.where(new, 0.0, 1.0)
            scale = scale * Doubled.exact(zero) + Doubled.exact(one)
            shift = shift * Doubled.exact(zero)
        return ChannelAffine(scale, shift, axis)

    def spread(self, channels: int) -> ChannelAffine:
        """The same map with one number for each of so many channels."""
        return replace(
            self,
            scale=self.scale.broadcast_to((channels,)),
            shift=self.shift.broadcast_to((channels,)),
        )


def _along(axis: int | None, scale: Doubled, shift: Doubled) -> ChannelAffine:
    """An affine of parts that may both be scalars."""
    return ChannelAffine(scale, shift, axis if scale.shape or shift.shape else None)


def identity() -> ChannelAffine:
    """``y = x``."""
    return ChannelAffine(Doubled.exact(1.0), Doubled.exact(0.0), None)
