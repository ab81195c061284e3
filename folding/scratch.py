"""Work buffers that are used again and again.

On fresh memory the page faults cost more than the arithmetic does, so a tensor passes through a few
buffers of about a megabyte each, however big it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

#: Elements of a buffer: few enough to stay in the processor's cache on the way.
ELEMENTS = 1 << 17
_ITEM = 8


class Scratch:
    """One buffer for ``ELEMENTS`` elements of any type."""

    def __init__(self) -> None:
        self._bytes = np.empty(ELEMENTS * _ITEM, np.uint8)

    def array(self, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The buffer as an array; what it was before is lost. Where it is too small, a new one."""
        size = prod(shape) * np.dtype(dtype).itemsize
        if size > self._bytes.size:
            return np.empty(shape, dtype)
        return self._bytes[:size].view(dtype).reshape(shape)


_SPARE: list[Scratch] = []


@contextmanager
def scratch(count: int) -> Iterator[list[Scratch]]:
    """So many buffers, for this block alone; safe among threads and when nested."""
    taken: list[Scratch] = []
    while len(taken) < count:
        try:
            taken.append(_SPARE.pop())
        except IndexError:
            taken.append(Scratch())
    try:
        yield taken
    finally:
        _SPARE.extend(taken)


def tiles(
    dims: tuple[int, ...], most: int = ELEMENTS
) -> Iterator[tuple[int, tuple[slice, ...], tuple[int, ...]]]:
    """Consecutive pieces of an array in C order, each of at most so many elements.

    Yields:
        The place of the first element, the index of the piece along the leading axes, its shape.
    """
    axis, inner = len(dims), 1
    while axis and inner * dims[axis - 1] <= most:
        axis -= 1
        inner *= dims[axis]
    if not axis:
        yield 0, (), dims
        return
    split, step, start = axis - 1, max(1, most // inner), 0
    for outer in np.ndindex(*dims[:split]):
        leading = tuple(slice(i, i + 1) for i in outer)
        for low in range(0, dims[split], step):
            high = min(low + step, dims[split])
            yield start, (*leading, slice(low, high)), (*(1,) * split, high - low, *dims[axis:])
            start += (high - low) * inner
