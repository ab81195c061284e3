"""How the new content of a tensor is computed: decided by the planner, done block by block.

Factors are accumulated per tensor in double-double and applied once, so there is one rounding to
the stored type, whatever was folded into it. A recipe is data until somebody asks for its rows;
the writer rounds them, and the parameter check holds the written file against them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from folding.constants import Constants, Stored
from folding.doubled import Doubled, Doubles
from folding.floats import FLOATS, FloatType
from folding.plan import Reason

_BLOCK_ELEMENTS = 1 << 19
#: A channel whose largest weight was below this did nothing before; it may vanish altogether.
_NOTHING = 2.0**-100


class Unrepresentable(Exception):
    """A folded tensor does not fit its type; the pipeline turns it into a Kept. Never escapes."""

    def __init__(self, changed: Changed, reason: Reason) -> None:
        super().__init__(changed.name, reason)
        self.changed, self.reason = changed, reason


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a tensor: what they must be, before they are rounded.

    ``terms`` times ``factor`` is the same formula with absolute values and plus signs.
    """

    start: int
    exact: Doubles
    terms: npt.NDArray[Any]
    factor: Doubles

    @property
    def magnitude(self) -> Doubles:
        with np.errstate(all="ignore"):
            terms: Doubles = np.abs(self.terms).astype(np.float64)
            return terms * self.factor


class Recipe(Protocol):
    """The new content of a tensor, in float64 and before it is rounded."""

    @property
    def dims(self) -> tuple[int, ...]: ...

    def rows(self) -> Iterator[Rows]: ...


@dataclass(frozen=True, slots=True)
class Direct:
    """A small tensor whose numbers are known."""

    value: Doubled

    @property
    def dims(self) -> tuple[int, ...]:
        return self.value.shape

    def rows(self) -> Iterator[Rows]:
        yield Rows(0, self.value.high, self.value.magnitude, np.ones(()))


@dataclass(frozen=True, slots=True)
class Factor:
    """One number for each channel; ``channel`` says which one each element of the weight gets."""

    channel: npt.NDArray[np.intp]
    scale: Doubled

    def times(self, other: Factor) -> Factor:
        """Both: by the same channels, or by each pair of channels where they are others."""
        if np.array_equal(self.channel, other.channel):
            return Factor(self.channel, self.scale * other.scale)
        pairs = self.scale.reshape(self.scale.size, 1) * other.scale.reshape(1, other.scale.size)
        channel = self.channel * other.scale.size + other.channel
        return Factor(channel, pairs.reshape(pairs.size))


@dataclass(frozen=True, slots=True)
class Scaled:
    """A weight times a factor: one that is stored, or one that is small and computed."""

    constants: Constants
    source: Stored | Doubled
    factor: Factor

    @property
    def dims(self) -> tuple[int, ...]:
        return self.source.shape if isinstance(self.source, Doubled) else self.source.dims

    def times(self, factor: Factor) -> Scaled:
        """The same with one more factor."""
        return Scaled(self.constants, self.source, self.factor.times(factor))

    def rows(self) -> Iterator[Rows]:
        if isinstance(self.source, Doubled):
            product = self.source * self.factor.scale[self.factor.channel]
            yield Rows(0, product.high, product.magnitude, np.ones(()))
            return
        tensor = self.source.tensor
        whole = self.constants.load(self.source) if self.source.moves else None
        count = self.dims[0]
        step = max(1, _BLOCK_ELEMENTS * count // max(1, int(np.prod(self.dims))))
        for start in range(0, count, step):
            stop = min(start + step, count)
            model = self.constants.model
            part = model.rows(tensor, start, stop) if whole is None else whole[start:stop]
            scale = self.factor.scale[self._of_rows(start, stop)]
            yield Rows(start, _product(part, scale), part, scale.magnitude)

    def _of_rows(self, start: int, stop: int) -> npt.NDArray[np.intp]:
        channel = self.factor.channel
        return channel[start:stop] if len(channel) > 1 else channel

    def channels(self, rows: Rows) -> npt.NDArray[np.intp]:
        """The channel of each element of some rows."""
        index = self._of_rows(rows.start, rows.start + len(rows.exact))
        return np.broadcast_to(index, rows.exact.shape)

    def peaks(self) -> Doubles:
        """The largest absolute number of each channel."""
        peaks = np.zeros(self.factor.scale.size)
        for rows in self.rows():
            np.maximum.at(peaks, self.channels(rows).ravel(), np.abs(rows.exact).ravel())
        return peaks


def _product(part: npt.NDArray[Any], scale: Doubled) -> Doubles:
    """A stored weight times its scale, in float64.

    One multiplication by ``scale.high`` is within a unit of float64, far below the rounding to any
    narrower type; a float64 weight needs the rest of the scale too, to be rounded only once.
    """
    with np.errstate(all="ignore"):
        if part.dtype == np.float64:
            return (Doubled.exact(part) * scale).high
        exact: Doubles = part.astype(np.float64) * scale.high
        return exact


@dataclass(slots=True)
class Changed:
    """A tensor with new content, under the name it has in the folded model.

    ``origin`` is the constant that it was, None if there was none. ``because`` names the affines
    that are in it.
    """

    name: str
    elem_type: int
    recipe: Recipe
    origin: str | None
    because: list[str]

    @property
    def float_type(self) -> FloatType:
        return FLOATS[self.elem_type]

    @property
    def size(self) -> int:
        count = int(np.prod(self.recipe.dims, dtype=np.int64))
        return count * self.float_type.dtype.itemsize

    def blocks(self) -> Iterator[bytes]:
        """The stored bytes.

        Raises:
            Unrepresentable: a number overflows, or a channel's numbers vanish.
        """
        peaks: Doubles | None = None
        for rows in self.recipe.rows():
            rounded = self.float_type.round(rows.exact)
            if not np.isfinite(rounded).all():
                was_finite = np.isfinite(rows.terms).all()
                reason = Reason.OVERFLOW if was_finite else Reason.NOT_FINITE
                raise Unrepresentable(self, reason)
            if isinstance(self.recipe, Scaled):
                losing = self._losing_channels(self.recipe, rows, rounded)
                if losing.size:
                    peaks = self.recipe.peaks() if peaks is None else peaks
                    self._refuse_vanishing(self.recipe, losing, peaks)
            yield np.ascontiguousarray(rounded).tobytes()

    def _losing_channels(
        self, recipe: Scaled, rows: Rows, rounded: npt.NDArray[Any]
    ) -> npt.NDArray[np.intp]:
        """The channels with a number that becomes subnormal and loses digits by it."""
        small = np.abs(rounded) <= self.float_type.tiny
        if not small.any():
            return np.empty(0, np.intp)
        small &= rows.exact != rounded
        return np.unique(recipe.channels(rows)[small])

    def _refuse_vanishing(
        self, recipe: Scaled, losing: npt.NDArray[np.intp], peaks: Doubles
    ) -> None:
        """Refuse a channel without any normal number left, if it had larger ones before.

        Digits lost beside a normal number are within the rounding of that one.
        """
        after = peaks[losing]
        before = after / np.abs(recipe.factor.scale.high[losing])
        if ((after < self.float_type.tiny) & (after < before) & (before > _NOTHING)).any():
            raise Unrepresentable(self, Reason.UNDERFLOW)
