"""A number for each channel, and which elements of a weight get which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubled

Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Factor:
    """One number for each channel, [C]; ``channel`` says which one each element of a weight gets.

    ``channel`` has the weight's rank and broadcasts against it.
    """

    channel: Index
    scale: Doubled

    def times(self, other: Factor) -> Factor:
        """Both: by the same channels, or by each pair of channels where they are others."""
        if np.array_equal(self.channel, other.channel):
            return Factor(self.channel, self.scale * other.scale)
        pairs = self.scale.reshape(self.scale.size, 1) * other.scale.reshape(1, other.scale.size)
        channel = self.channel * other.scale.size + other.channel
        return Factor(channel, pairs.reshape(pairs.size))


def along(axis: int, dims: tuple[int, ...]) -> Index:
    """The indices of one axis, shaped to broadcast against ``dims``."""
    shape = [1] * len(dims)
    shape[axis] = dims[axis]
    return np.arange(dims[axis]).reshape(shape)
