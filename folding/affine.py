"""``y = scale * x + shift`` along one axis: what every normalisation is at inference."""

from __future__ import annotations

from dataclasses import dataclass, replace

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

    def agrees_with(self, other: ChannelAffine) -> bool:
        """Whether both act along one axis, so that they compose."""
        return None in (self.axis, other.axis) or (self.axis, self.channels) == (
            other.axis,
            other.channels,
        )

    def after(self, inner: ChannelAffine) -> ChannelAffine:
        """``self(inner(x))`` as one affine."""
        return ChannelAffine(
            self.scale * inner.scale,
            self.scale * inner.shift + self.shift,
            inner.axis if self.axis is None else self.axis,
        )

    def along(self, axis: int) -> ChannelAffine:
        """The same map on a value whose channels stand on another axis."""
        return self if self.axis is None else replace(self, axis=axis)

    def spread(self, channels: int) -> ChannelAffine:
        """The same map with one number for each of so many channels."""
        return replace(
            self,
            scale=self.scale.broadcast_to((channels,)),
            shift=self.shift.broadcast_to((channels,)),
        )


def identity() -> ChannelAffine:
    """``y = x``."""
    return ChannelAffine(Doubled.exact(1.0), Doubled.exact(0.0), None)
