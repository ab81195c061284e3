"""Stored tensors as constants see them: whole, or piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy.typing as npt
from onnx import TensorProto

from folding.expressions import Move
from folding.modelfile import Model
from folding.scratch import ELEMENTS, scratch, tiles


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored tensor seen through operators that only move its elements.

    ``dims`` is the shape that is seen; ``moves`` turn the stored array into it.
    """

    tensor: TensorProto
    dims: tuple[int, ...]
    moves: tuple[Move, ...] = ()


def load(model: Model, stored: Stored) -> npt.NDArray[Any]:
    """The array that is seen, in the stored type."""
    array = model.array(stored.tensor)
    for move in stored.moves:
        array = move(array)
    return array


def stored_tiles(
    model: Model, source: Stored, most: int = ELEMENTS
) -> Iterator[tuple[int, tuple[slice, ...], npt.NDArray[Any]]]:
    """The numbers of a weight as they are stored, in pieces of at most so many elements.

    Yields:
        The place of the first element, the index of the piece along the leading axes, the piece:
        a work buffer, which holds until the next one is asked for.
    """
    moved = load(model, source).reshape(-1) if source.moves else None
    read = model.reader(source.tensor)
    with scratch(1) as (stored,):
        for start, place, shape in tiles(source.dims, most):
            stop = start + prod(shape)
            flat = read(start, stop, stored) if moved is None else moved[start:stop]
            yield start, place, flat.reshape(shape)
