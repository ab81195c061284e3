"""What is passed between the operators: coordinates that are wanted, and what stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: One row for each wanted element, one column for each axis.
Coordinates = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Dims = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """What a value is at some elements, and the same with absolute values and plus signs.

    A result computed in any precision of unit roundoff u differs from ``value`` by a small multiple
    of ``u * magnitude`` (N. Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
    """

    value: Floats
    magnitude: Floats

    def __add__(self, other: Sampled) -> Sampled:
        return Sampled(self.value + other.value, self.magnitude + other.magnitude)

    def __sub__(self, other: Sampled) -> Sampled:
        return Sampled(self.value - other.value, self.magnitude + other.magnitude)

    def __mul__(self, other: Sampled) -> Sampled:
        return Sampled(self.value * other.value, self.magnitude * other.magnitude)

    def __truediv__(self, other: Sampled) -> Sampled:
        # The divisor's own relative error, magnitude / |value|, adds to the dividend's.
        size = np.abs(other.value)
        magnitude = (self.magnitude / size) * (other.magnitude / size)
        return Sampled(self.value / other.value, magnitude)

    def __neg__(self) -> Sampled:
        return Sampled(-self.value, self.magnitude)

    def times(self, number: float) -> Sampled:
        """Each element times a number that is stored."""
        return Sampled(self.value * number, self.magnitude * abs(number))

    def __getitem__(self, places: Any) -> Sampled:
        return Sampled(self.value[places], self.magnitude[places])

    def __setitem__(self, places: Any, part: Sampled) -> None:
        self.value[places], self.magnitude[places] = part.value, part.magnitude

    def reshape(self, *dims: int) -> Sampled:
        return Sampled(self.value.reshape(dims), self.magnitude.reshape(dims))


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Why a region cannot be evaluated."""

    reason: str


class NotSupported(Exception):
    """A region cannot be evaluated. ``evaluate`` turns it into an Unsupported; never escapes."""


def zeros(dims: Dims, wide: np.dtype[Any]) -> Sampled:
    """As many zeros, which were computed without any error."""
    return Sampled(np.zeros(dims, wide), np.zeros(dims, wide))


def require(condition: bool, what: str) -> None:  # noqa: FBT001 - it reads like an assert
    """Go on only if the shapes and attributes of a node agree.

    Raises:
        NotSupported: they do not, as ``what`` says.
    """
    if not condition:
        raise NotSupported(what)
