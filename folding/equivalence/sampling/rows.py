"""Rows: the elements that one result is made of, read in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from folding.equivalence.sampling.numbers import ravelled, unravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require

#: Elements of the input that are in memory at the same time.
AT_ONCE = 1 << 19

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """Boxes of a value, all of the same lengths: each row is the elements of one of them.

    ``origins`` are where the boxes begin.
    """

    name: str
    origins: Coordinates
    lengths: Dims

    @property
    def size(self) -> int:
        """How many elements a row has."""
        return prod(self.lengths)

    def reduced(
        self, pull: Pull, part: Callable[[Sampled], T], join: Callable[[T, T], T]
    ) -> Iterator[tuple[slice, T]]:
        """What comes of the rows, some at a time: of their parts, joined.

        Args:
            pull: the evaluation.
            part: what comes of an array of rows and elements.
            join: what comes of two parts of the same rows.
        """
        require(self.size > 0, f"there is nothing of '{self.name}' to reduce")
        pull.spend(1, self.size * len(self.origins))
        step = max(1, AT_ONCE // self.size)
        for low in range(0, len(self.origins), step):
            some = slice(low, low + step)
            yield some, reduce(join, map(part, self._parts(pull, self.origins[some])))

    def _parts(self, pull: Pull, origins: Coordinates) -> Iterator[Sampled]:
        for start in range(0, self.size, AT_ONCE):
            places = np.arange(start, min(start + AT_ONCE, self.size))
            coords = origins[:, None] + unravelled(places, self.lengths)
            rows, columns, rank = coords.shape
            yield pull.at(self.name, coords.reshape(rows * columns, rank)).reshape(rows, columns)


def distinct(
    name: str, origins: Coordinates, lengths: Dims, shape: Dims
) -> tuple[Rows, npt.NDArray[np.int64]]:
    """The rows of a value of some shape, each of them once, and which is whose."""
    flat, which = np.unique(ravelled(origins, shape), return_inverse=True)
    return Rows(name, unravelled(flat, shape), lengths), which
