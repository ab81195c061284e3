"""Double-double numbers that know how wrong they can be.

A ``Doubled`` array is the unevaluated sum ``high + low`` of two float64 arrays (about 106 bits) and
a ``magnitude``: the same formula evaluated with absolute values and plus signs. A result computed
in any precision with unit roundoff u is within a small multiple of ``u * magnitude`` of the
truth (N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1), so one
value carries both what a folded tensor must be and how closely.

The algorithms are the classical error-free ones: TwoSum (Knuth), TwoProd with Veltkamp's splitting
(Dekker 1971), and the double-double operations of Hida, Li and Bailey (2001). Folding only ever
computes with a few vectors of one number per channel, so their cost does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
_SPLITTER = 2.0**27 + 1
#: The least number of which float64 has all digits.
_TINY = 2.0**-1022


def _two_sum(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def _split(a: Doubles) -> tuple[Doubles, Doubles]:
    scaled = _SPLITTER * a
    upper = scaled - (scaled - a)
    return upper, a - upper


def _two_product(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    # Splitting overflows above 2^996; the product alone is then as good as float64 gets.
    return product, np.where(np.isfinite(error), error, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Doubled:
    """An array of double-double numbers with a bound for rounding errors."""

    high: Doubles
    low: Doubles
    magnitude: Doubles

    @classmethod
    def exact(cls, values: npt.ArrayLike) -> Doubled:
        """Numbers that are stored in some float type of at most 64 bits, without any error."""
        high = np.asarray(values).astype(np.float64)
        return cls(high, np.zeros_like(high), np.abs(high))

    @classmethod
    def joined(cls, parts: Sequence[Doubled]) -> Doubled:
        """Vectors one behind the other."""
        names = ("high", "low", "magnitude")
        high, low, magnitude = (np.concatenate([getattr(p, name) for p in parts]) for name in names)
        return cls(high, low, magnitude)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.high.shape

    @property
    def size(self) -> int:
        return self.high.size

    def is_finite(self) -> bool:
        return bool(np.isfinite(self.high).all())

    def equals(self, number: float) -> bool:
        """Whether every element is exactly ``number``."""
        return bool(((self.high == number) & (self.low == 0)).all())

    def is_same(self, other: Doubled) -> bool:
        """Whether every element is exactly that of another array; so are equal infinities."""
        return bool(((self.high == other.high) & (self.low == other.low)).all())

    def is_uniform(self) -> bool:
        """Whether all elements are exactly the same."""
        return self.is_same(self.reshape(self.size)[0])

    def moved(self, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Doubled:
        """Apply a function that only moves or repeats elements."""
        return Doubled(move(self.high), move(self.low), move(self.magnitude))

    def reshape(self, *shape: int) -> Doubled:
        return self.moved(lambda a: a.reshape(shape))

    def __getitem__(self, index: Any) -> Doubled:
        return self.moved(lambda a: np.asarray(a[index]))

    def broadcast_to(self, shape: tuple[int, ...]) -> Doubled:
        return self.moved(lambda a: np.broadcast_to(a, shape))

    def __neg__(self) -> Doubled:
        return Doubled(-self.high, -self.low, self.magnitude)

    def __add__(self, other: Doubled) -> Doubled:
        with np.errstate(all="ignore"):
            high, error = _two_sum(self.high, other.high)
            return _settled(high, error + (self.low + other.low), self.magnitude + other.magnitude)

    def __sub__(self, other: Doubled) -> Doubled:
        return self + -other

    def __mul__(self, other: Doubled) -> Doubled:
        with np.errstate(all="ignore"):
            high, error = _two_product(self.high, other.high)
            low = error + (self.high * other.low + self.low * other.high)
            return _settled(high, low, self.magnitude * other.magnitude)

    def scaled(self, other: Doubled) -> Doubled:
        """A product of scales: NaN where it is too small to be known, though none of both is 0."""
        product = self * other
        is_small = np.abs(product.high) < _TINY
        lost = is_small & (self.high != 0) & (other.high != 0)
        return replace(product, high=np.where(lost, np.nan, product.high))

    def __truediv__(self, other: Doubled) -> Doubled:
        with np.errstate(all="ignore"):
            first = self.high / other.high
            rest = self - other * _plain(first)
            second = rest.high / other.high
            # The divisor's own relative error, magnitude / |value|, adds to the dividend's.
            magnitude = (self.magnitude / np.abs(other.high)) * (
                other.magnitude / np.abs(other.high)
            )
            return _settled(first, second, magnitude)

    def sqrt(self) -> Doubled:
        with np.errstate(all="ignore"):
            root = np.sqrt(self.high)
            square, error = _two_product(root, root)
            rest = (self.high - square) - error + self.low
            low = np.where(root > 0, rest / (2 * root), 0.0)
            conditioning = np.where(root > 0, self.magnitude / np.abs(self.high), 1.0)
            return _settled(root, low, root * conditioning)


def _plain(values: Doubles) -> Doubled:
    return Doubled(values, np.zeros_like(values), np.abs(values))


def _settled(high: Doubles, low: Doubles, magnitude: Doubles) -> Doubled:
    """Make ``high`` the float64 nearest to the sum; Inf and NaN stay as they are."""
    total = high + low
    rest = low - (total - high)
    settled = np.isfinite(total)
    return Doubled(np.where(settled, total, high), np.where(settled, rest, 0.0), magnitude)
