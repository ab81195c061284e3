"""The numbers of a constant or of any other value, read in pieces.

A weight is read in small blocks, so that there is never a float64 copy of a whole
one, and of a large table only the blocks in which something is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from folding.computed import computed
from folding.constants import Constants
from folding.doubled import Doubled
from folding.equivalence.sampling.values import Coordinates, Dims, Floats, Sampled, zeros
from folding.factor import Factor
from folding.floats import FLOATS
from folding.modelfile import Model
from folding.protos import BITS
from folding.scratch import ELEMENTS, scratch
from folding.stored import Stored, load


class Numbers(Protocol):
    """The elements of one tensor, in C order."""

    @property
    def dims(self) -> Dims: ...

    def read(self, start: int, stop: int) -> Sampled:
        """The elements from one place to another."""
        ...


@dataclass(frozen=True, slots=True)
class StoredNumbers:
    """A tensor in the model's files, each element exactly what is stored."""

    dims: Dims
    wide: np.dtype[Any]
    elements: Callable[[int, int], Floats]

    def read(self, start: int, stop: int) -> Sampled:
        value = self.elements(start, stop)
        return Sampled(value, np.abs(value))


@dataclass(frozen=True, slots=True)
class ScaledNumbers:
    """A tensor in the model's files times small factors, which are multiplied piece by piece."""

    stored: StoredNumbers
    factors: tuple[Factor, ...]

    @property
    def dims(self) -> Dims:
        return self.stored.dims

    def read(self, start: int, stop: int) -> Sampled:
        value = self.stored.elements(start, stop)
        size = np.abs(value)
        places = np.unravel_index(np.arange(start, stop), self.dims)
        for factor in self.factors:
            scale = factor.scale[np.broadcast_to(factor.channel, self.dims)[places]]
            value = value * (scale.high.astype(self.stored.wide) + scale.low)
            size = size * scale.magnitude.astype(self.stored.wide)
        return Sampled(value, size)


@dataclass(frozen=True, slots=True)
class ComputedNumbers:
    """A small constant that a few nodes compute."""

    value: Doubled
    wide: np.dtype[Any]

    @property
    def dims(self) -> Dims:
        return self.value.shape

    def read(self, start: int, stop: int) -> Sampled:
        part = self.value.reshape(self.value.size)[start:stop]
        value = part.high.astype(self.wide) + part.low
        return Sampled(value, part.magnitude.astype(self.wide))


@dataclass(frozen=True, slots=True)
class PulledNumbers:
    """A value that the region computes, or is given."""

    dims: Dims
    pull: Callable[[Coordinates], Sampled]

    def read(self, start: int, stop: int) -> Sampled:
        return self.pull(unravelled(np.arange(start, stop), self.dims))


def stored_numbers(model: Model, stored: Stored, wide: np.dtype[Any]) -> StoredNumbers | None:
    """The numbers of a stored tensor; None if they are of no float type."""
    if stored.tensor.data_type not in FLOATS:
        return None
    return _at_once(model, stored, wide) if stored.moves else _by_pieces(model, stored, wide)


def quantised_numbers(constants: Constants, name: str, wide: np.dtype[Any]) -> StoredNumbers | None:
    """The numbers of a stored tensor of any type; None if it is none, or not in the model."""
    stored = constants.stored(name)
    if stored is None or stored.tensor.data_type not in BITS:
        return None
    is_packed = BITS[stored.tensor.data_type] % 8 != 0
    as_seen = _at_once if stored.moves or is_packed else _by_pieces
    return as_seen(constants.model, stored, wide)


def _at_once(model: Model, stored: Stored, wide: np.dtype[Any]) -> StoredNumbers:
    """What is not in the file as it is seen, or not in whole bytes."""
    whole = load(model, stored).reshape(-1)
    return StoredNumbers(stored.dims, wide, lambda a, b: whole[a:b].astype(wide))


def _by_pieces(model: Model, stored: Stored, wide: np.dtype[Any]) -> StoredNumbers:
    read = model.reader(stored.tensor)

    def elements(start: int, stop: int) -> Floats:
        with scratch(1) as (work,):
            return read(start, stop, work).astype(wide)

    return StoredNumbers(stored.dims, wide, elements)


def constant_numbers(
    constants: Constants, name: str, wide: np.dtype[Any]
) -> StoredNumbers | ScaledNumbers | ComputedNumbers | None:
    """The numbers of a constant; None if it is of no float type, or computed and too big."""
    found = computed(constants, name)
    if found is None:
        return None
    if isinstance(found.source, Doubled):
        return ComputedNumbers(found.source, wide)
    stored = stored_numbers(constants.model, found.source, wide)
    return stored if stored is None or not found.factors else ScaledNumbers(stored, found.factors)


def pick(numbers: Numbers, coords: Coordinates, wide: np.dtype[Any]) -> Sampled:
    """Single elements, from one block after the other in which some are wanted."""
    count = prod(numbers.dims)
    flat = ravelled(coords, numbers.dims)
    if count <= ELEMENTS:
        return numbers.read(0, count)[flat]
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    found = zeros((len(flat),), wide)
    for start in np.unique(ordered // ELEMENTS) * ELEMENTS:
        stop = min(int(start) + ELEMENTS, count)
        low, high = np.searchsorted(ordered, (start, stop))
        found[order[low:high]] = numbers.read(int(start), stop)[ordered[low:high] - start]
    return found


def ravelled(coords: Coordinates, dims: Dims) -> npt.NDArray[np.int64]:
    """The places of elements in C order. They must be inside."""
    flat = np.zeros(len(coords), np.int64)
    for axis, size in enumerate(dims):
        flat = flat * size + coords[:, axis]
    return flat


def unravelled(flat: npt.NDArray[np.int64], dims: Dims) -> Coordinates:
    """The coordinates of elements, given their places in C order."""
    coords = np.empty((len(flat), len(dims)), np.int64)
    for axis in reversed(range(len(dims))):
        flat, coords[:, axis] = np.divmod(flat, dims[axis])
    return coords
