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

    def has_channels_of(self, other: Factor) -> bool:
        """Whether every element belongs to the same channel in both."""
        return np.array_equal(self.channel, other.channel)


def along(axis: int, dims: tuple[int, ...]) -> Index:
    """The indices of one axis, shaped to broadcast against ``dims``."""
    shape = [1] * len(dims)
    shape[axis] = dims[axis]
    return np.arange(dims[axis]).reshape(shape)
