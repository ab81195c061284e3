"""How the new content of a tensor is computed: decided by the planner, done block by block.

Factors are accumulated per tensor in double-double and applied once, so there is one rounding to
the stored type, whatever was folded into it. A recipe is data until somebody asks for its parts;
the writer rounds them, and the parameter check holds the written file against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from folding.constants import Constants
from folding.doubled import Doubled, Doubles
from folding.factor import Factor, Index
from folding.floats import FLOATS, FloatType
from folding.plan import Reason
from folding.protos import BITS
from folding.repeated import Repeated
from folding.scratch import scratch
from folding.source import Block
from folding.stored import Stored, stored_tiles

#: A channel whose largest weight was below this did nothing before; it may vanish altogether.
_NOTHING = 2.0**-100


class Unrepresentable(Exception):
    """A folded tensor does not fit its type; the pipeline turns it into a Kept. Never escapes."""

    def __init__(self, changed: Changed, reason: Reason) -> None:
        super().__init__(changed.name, reason)
        self.changed, self.reason = changed, reason


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive elements of a tensor, from ``start`` on: what they must be, unrounded.

    ``terms`` times ``factor`` is the same formula with absolute values and plus signs. The arrays
    are work buffers: they hold until the next part is asked for.
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

    def parts(self) -> Iterator[Part]: ...


@dataclass(frozen=True, slots=True)
class Direct:
    """A small tensor whose numbers are known."""

    value: Doubled

    @property
    def dims(self) -> tuple[int, ...]:
        return self.value.shape

    def parts(self) -> Iterator[Part]:
        yield Part(0, self.value.high, self.value.magnitude, np.ones(()))


@dataclass(frozen=True, slots=True)
class Scaled:
    """A weight times some factors: one that is stored, or one that is computed and not too big.

    No two factors have the same channels. They stay apart, since the pairs of their channels may be
    as many as the weight's numbers.
    """

    constants: Constants
    source: Stored | Doubled
    factors: tuple[Factor, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        return self.source.shape if isinstance(self.source, Doubled) else self.source.dims

    def times(self, factor: Factor) -> Scaled:
        """The same with one more factor."""
        others = tuple(one for one in self.factors if not one.has_channels_of(factor))
        for one in self.factors:
            if one.has_channels_of(factor):
                factor = Factor(factor.channel, one.scale.scaled(factor.scale))
        return Scaled(self.constants, self.source, (*others, factor))

    def has_known_scales(self) -> bool:
        """Whether float64 holds all products of scales of which none is 0."""
        least = Doubled.exact(1.0)
        for factor in self.factors:
            sizes = np.abs(factor.scale.high)
            least = least.scaled(Doubled.exact(sizes.min(initial=1.0, where=sizes != 0)))
        return least.is_finite()

    def parts(self) -> Iterator[Part]:
        yield from (part for part, _ in self._pieces())

    def _pieces(self) -> Iterator[tuple[Part, tuple[slice, ...]]]:
        """The parts, each with its place along the leading axes."""
        if isinstance(self.source, Doubled):
            product = self.source
            for factor in self.factors:
                product = product * factor.scale[factor.channel]
            yield Part(0, product.high, product.magnitude, np.ones(())), ()
            return
        with scratch(1) as (doubles,):
            for start, place, values in stored_tiles(self.constants.model, self.source):
                scales = [factor.scale[channels_of(factor, place)] for factor in self.factors]
                exact = _product(values, scales, doubles.array(np.float64, values.shape))
                magnitude = reduce(np.multiply, (scale.magnitude for scale in scales))
                yield Part(start, exact, values, magnitude), place

    def peaks(self, factor: Factor) -> Doubles:
        """The largest absolute number of each channel of a factor."""
        peaks = np.zeros(factor.scale.size)
        for part, place in self._pieces():
            index = np.broadcast_to(channels_of(factor, place), part.exact.shape)
            np.maximum.at(peaks, index.ravel(), np.abs(part.exact).ravel())
        return peaks

    def losing(self, factor: Factor, kind: FloatType) -> npt.NDArray[np.intp]:
        """The channels of a factor with a number that becomes subnormal and loses digits by it."""
        found: list[npt.NDArray[np.intp]] = [np.empty(0, np.intp)]
        for part, place in self._pieces():
            rounded = kind.round(part.exact)
            small = (np.abs(rounded) <= kind.tiny) & (part.exact != rounded)
            found.append(np.broadcast_to(channels_of(factor, place), small.shape)[small])
        return np.unique(np.concatenate(found))


def channels_of(factor: Factor, place: tuple[slice, ...]) -> Index:
    """The channels of a piece; axes along which they do not change have a length of 1."""
    pairs = zip(place, factor.channel.shape, strict=False)
    return factor.channel[tuple(i if size > 1 else slice(None) for i, size in pairs)]


def _product(part: npt.NDArray[Any], scales: Sequence[Doubled], out: Doubles) -> Doubles:
    """A stored weight times its scales, in float64.

    Each multiplication by ``scale.high`` is within a unit of float64, far below the rounding to any
    narrower type; a float64 weight needs the rest of the scale too, to be rounded only once.
    """
    with np.errstate(all="ignore"):
        if part.dtype == np.float64:
            return reduce(Doubled.__mul__, scales, Doubled.exact(part)).high
        np.copyto(out, part, casting="unsafe")
        for scale in scales:
            np.multiply(out, scale.high, out=out)
        return out


@dataclass(slots=True)
class Changed:
    """A tensor with new content, under the name it has in the folded model.

    ``origin`` is the constant that it was, None if there was none. ``folded`` names the affines
    that are in it, the last one last, for each node and input slot that gave it them.
    """

    name: str
    elem_type: int
    recipe: Recipe | Repeated
    origin: str | None
    folded: dict[tuple[int, int], tuple[str, ...]]

    @property
    def because(self) -> list[str]:
        """All affines that are in it."""
        return [name for names in self.folded.values() for name in names]

    @property
    def float_type(self) -> FloatType:
        return FLOATS[self.elem_type]

    @property
    def size(self) -> int:
        return -(-prod(self.recipe.dims) * BITS[self.elem_type] // 8)

    def to_bytes(self) -> bytes:
        """All of them at once, like ``blocks``."""
        return b"".join([bytes(block) for block in self.blocks()])

    def blocks(self) -> Iterator[Block]:
        """The stored bytes; each block holds until the next one is asked for.

        Raises:
            Unrepresentable: a number overflows, or a channel's numbers vanish.
        """
        if isinstance(self.recipe, Repeated):
            yield self.recipe.data
            return
        kind, is_checked = self.float_type, not isinstance(self.recipe, Scaled)
        if isinstance(self.recipe, Scaled) and not self.recipe.has_known_scales():
            raise Unrepresentable(self, Reason.UNDERFLOW)
        with scratch(2) as (numbers, sizes):
            for part in self.recipe.parts():
                shape = part.exact.shape
                rounded = kind.round(part.exact, numbers.array(kind.dtype, shape))
                size = np.abs(rounded, out=sizes.array(kind.dtype, shape))
                if not np.isfinite(size.max(initial=0)):
                    is_number = np.isfinite(part.terms).all()
                    lost = Reason.OVERFLOW if np.isinf(size).any() else Reason.UNDERFLOW
                    raise Unrepresentable(self, lost if is_number else Reason.NOT_FINITE)
                if not is_checked and size.min(initial=kind.largest) <= kind.tiny:
                    self._refuse_vanishing()
                    is_checked = True
                yield rounded.reshape(-1).view(np.uint8).data

    def _refuse_vanishing(self) -> None:
        """Refuse a channel without any normal number left, if it had larger ones before.

        Digits lost beside a normal number are within the rounding of that one.
        """
        assert isinstance(self.recipe, Scaled)
        for factor in self.recipe.factors:
            losing = self.recipe.losing(factor, self.float_type)
            after = self.recipe.peaks(factor)[losing]
            before = after / np.abs(factor.scale.high[losing])
            gone = (after < self.float_type.tiny) & (after < before) & (before > _NOTHING)
            if gone.any():
                raise Unrepresentable(self, Reason.UNDERFLOW)
