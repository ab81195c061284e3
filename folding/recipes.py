"""How the new content of a tensor is computed: decided by the planner, done block by block.

Factors are accumulated per tensor in double-double and applied once, so there is one rounding to
the stored type, whatever was folded into it. A recipe is data until somebody asks for its rows;
the writer rounds them, and the parameter check holds the written file against them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

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
    """A folded tensor does not fit its type; the planner turns it into a Kept. Never escapes."""

    def __init__(self, tensor: str, reason: Reason) -> None:
        super().__init__(tensor, reason)
        self.tensor, self.reason = tensor, reason


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a tensor: what they must be, and by how much an exact tool may miss it."""

    start: int
    exact: Doubles
    magnitude: Doubles


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
        yield Rows(0, self.value.high, self.value.magnitude)


@dataclass(frozen=True, slots=True)
class Factor:
    """One number for each channel; ``channel`` says which one each element of the weight gets."""

    channel: npt.NDArray[np.intp]
    scale: Doubled


@dataclass(frozen=True, slots=True)
class Scaled:
    """A stored weight times a factor; or several, which absorb at different places."""

    constants: Constants
    source: Stored
    factor: Factor

    @property
    def dims(self) -> tuple[int, ...]:
        return self.source.dims

    def times(self, scale: Doubled) -> Scaled:
        """The same with one more scale for the same channels."""
        return Scaled(
            self.constants, self.source, Factor(self.factor.channel, scale * self.factor.scale)
        )

    def rows(self) -> Iterator[Rows]:
        channel, scale = self.factor.channel, self.factor.scale
        whole = self.constants.load(self.source) if self.source.moves else None
        count = self.dims[0]
        step = max(1, _BLOCK_ELEMENTS * count // max(1, int(np.prod(self.dims))))
        for start in range(0, count, step):
            stop = min(start + step, count)
            part = (
                self.constants.model.rows(self.source.tensor, start, stop)
                if whole is None
                else whole[start:stop]
            ).astype(np.float64)
            index = channel[start:stop] if channel.shape[0] > 1 else channel
            exact = part * scale.high[index]
            if scale.low.any():
                exact += part * scale.low[index]
            yield Rows(start, exact, np.abs(part) * scale.magnitude[index])

    def channels(self, rows: Rows) -> npt.NDArray[np.intp]:
        """The channel of each element of some rows, ready to broadcast."""
        channel = self.factor.channel
        return channel[rows.start : rows.start + len(rows.exact)] if len(channel) > 1 else channel

    def peaks(self) -> Doubles:
        """The largest absolute number of each channel."""
        peaks = np.zeros(self.factor.scale.size)
        for rows in self.rows():
            index = np.broadcast_to(self.channels(rows), rows.exact.shape)
            np.maximum.at(peaks, index.ravel(), np.abs(rows.exact).ravel())
        return peaks


@dataclass(slots=True)
class Changed:
    """A tensor with new content, under the name it has in the folded model.

    ``origin`` is the constant that it was, None if there was none. ``because`` names the affines
    that are in it; ``beside`` the shift that stands next to this weight, to judge what may vanish.
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
        for rows in self.recipe.rows():
            rounded = self.float_type.round(rows.exact)
            if not np.isfinite(rounded).all():
                raise Unrepresentable(self.name, Reason.OVERFLOW)
            self._refuse_vanishing(rows, rounded.astype(np.float64))
            yield np.ascontiguousarray(rounded).tobytes()

    def _refuse_vanishing(self, rows: Rows, rounded: Doubles) -> None:
        """Refuse a channel all of whose weights become subnormal and lose digits by it.

        Digits lost beside a normal number are within the rounding of that one.
        """
        small = (np.abs(rows.exact) < self.float_type.tiny) & (rows.exact != rounded)
        if not isinstance(self.recipe, Scaled) or not small.any():
            return
        scale = np.abs(self.recipe.factor.scale.high)
        lost = np.unique(np.broadcast_to(self.recipe.channels(rows), small.shape)[small])
        after = self.recipe.peaks()[lost]
        before = after / scale[lost]
        if ((after < self.float_type.tiny) & (after < before) & (before > _NOTHING)).any():
            raise Unrepresentable(self.name, Reason.UNDERFLOW)
