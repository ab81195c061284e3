"""Kinds of made-up numbers, seeded. All are drawn in float64 and rounded to the input's type.

- normal: the standard normal distribution; uniform: [0, 1), as pictures are.
- zeros: what a layer's own shift is alone; padding cannot be told from them.
- impulses: zeros, but for single numbers 1 and -1. Each index along each axis but the batch has
  one, at the borders of the other axes more often than not, so that every channel has one
  whichever axis it is. At most an eighth of an entry is not zero, the next seed has the others.
- large: normal, times a power of two next to the cube root of the type's maximum: 2^42 for float32,
  32 for float16. With more, a right model overflows by itself: a normalisation or a norm squares
  its input and adds up, GELU's usual formula cubes it. What is left for layers to enlarge it by is
  2^86 in float32, 2^11 in float16.
- tiny: normal, times the least number that has all its digits. About half are subnormal, and so
  are products with weights below 1. (Their rounding errors are absolute, half the type's least
  number each, no longer relative to the result.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from math import floor, log2, prod
from typing import Any

import numpy as np
from onnx import TensorProto

from folding.equivalence.feeds import Array
from folding.floats import FLOATS

_PIECE = 1 << 15
_SPARSE = 8
_BORDER = 0.75
_MOST_IMPULSES = 1 << 14


class Kind(StrEnum):
    """What made-up floats are like; what each is good for is in the module's docstring."""

    NORMAL = "normal"
    UNIFORM = "uniform"
    ZEROS = "zeros"
    IMPULSES = "impulses"
    LARGE = "large"
    TINY = "tiny"


KINDS = tuple(Kind)
Shape = tuple[int, ...]


def floats(
    kinds: Sequence[Kind], seed: int, place: int, shape: Shape, dtype: np.dtype[Any], elem_type: int
) -> Array:
    """An array for one input.

    Args:
        kinds: one for all of it, or several that the entries along its first axis take in turn.
        seed: the same one gives the same numbers.
        place: which of the inputs it is, so that no two are the same.
        shape: of the array.
        dtype: of the array.
        elem_type: the same type as ONNX calls it.
    """
    rng, out = np.random.default_rng([seed, place]), np.zeros(shape, dtype)
    if elem_type not in FLOATS:
        return _few(out, rng, elem_type)
    entries = out.reshape(shape[0] if shape else 1, *shape[1:])
    for turn, kind in enumerate(kinds[: len(entries)]):
        own = entries[turn :: len(kinds)]
        if kind is Kind.IMPULSES:
            _impulses(own, rng, seed)
        elif kind is not Kind.ZEROS:
            _draw(own, _drawing(kind, rng, elem_type))
    return out


def _few(out: Array, rng: np.random.Generator, elem_type: int) -> Array:
    """Types of a few bits: 0 and 1, which all have but the one for scales, which has no 0."""
    low = 1 if elem_type == TensorProto.FLOAT8E8M0 else 0
    out[...] = rng.integers(low, 2, out.shape).astype(np.float32)
    return out


def _drawing(kind: Kind, rng: np.random.Generator, elem_type: int) -> Callable[[int], Array]:
    if kind is Kind.UNIFORM:
        return rng.random
    form, scale = FLOATS[elem_type], 1.0
    if kind is Kind.LARGE:
        scale = 2.0 ** floor(log2(form.largest) / 3)
    elif kind is Kind.TINY:
        scale = form.tiny
    return lambda size: rng.standard_normal(size) * scale


def _draw(entries: Array, draw: Callable[[int], Array]) -> None:
    """Not all at once, since what is drawn is larger than what is kept."""
    step = max(1, _PIECE // prod(entries.shape[1:]))
    for start in range(0, len(entries), step):
        few = entries[start : start + step]
        if step > 1:
            few[...] = draw(few.size).reshape(few.shape)
            continue
        flat = few.reshape(-1)  # A single entry lies in one piece, so this is no copy.
        for begin in range(0, flat.size, _PIECE):
            piece = flat[begin : begin + _PIECE]
            piece[:] = draw(piece.size)


def _impulses(entries: Array, rng: np.random.Generator, seed: int) -> None:
    """The entries share out among themselves what is wanted of them all."""
    count, shape = len(entries), entries.shape[1:]
    wanted = [(axis, index) for axis, size in enumerate(shape) for index in range(size)]
    if not wanted:
        entries[...] = 1.0
        return
    share = min(max(1, prod(shape) // _SPARSE), -(-len(wanted) // count))
    for number in range(min(count * share, _MOST_IMPULSES)):
        axis, index = wanted[(seed * count * share + number) % len(wanted)]
        at = [_coordinate(rng, size) for size in shape]
        at[axis] = index
        entries[(number // share, *at)] = rng.choice((-1.0, 1.0))


def _coordinate(rng: np.random.Generator, size: int) -> int:
    is_border = rng.random() < _BORDER
    return int(rng.choice((0, size - 1)) if is_border else rng.integers(size))
