"""Copies of constants that several nodes read, found again by what is in them.

    w ─┬─ layer ─ affine            w' ─┬─ layer'
       └─ layer ─ same affine           └─ layer'

Where all readers of a constant agree on what becomes of it, it stays one tensor; else each content
is stored once. A copy is found by a digest of its content, so that many cost no more than few.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubled
from folding.recipes import Changed, Direct, Scaled
from folding.repeated import Repeated

_DIGEST_BYTES = 16


class Copies:
    """The tensors of one draft that were made from constants with several readers."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Changed] = {}
        self._origins: set[str] = set()

    def has(self, origin: str | None) -> bool:
        """Whether a constant was copied at some time."""
        return origin in self._origins

    def find(self, wanted: Changed) -> Changed | None:
        """The last tensor that had this origin, type and content; it may be gone since."""
        return self._known.get(_key(wanted))

    def add(self, made: Changed) -> None:
        """Remember a tensor that has an origin."""
        assert made.origin is not None
        self._origins.add(made.origin)
        self._known[_key(made)] = made


def _key(tensor: Changed) -> Hashable:
    recipe = tensor.recipe
    assert isinstance(recipe, (Direct, Repeated, Scaled))
    return tensor.origin, tensor.elem_type, recipe.dims, _content(recipe)


def _content(recipe: Direct | Repeated | Scaled) -> Hashable:
    """What tells the new numbers of a constant from others of it."""
    if isinstance(recipe, Repeated):
        return _digest(recipe.array)
    if isinstance(recipe, Direct):
        return _numbers(recipe.value)
    # What is stored is the origin's; a small weight may have taken a shift in before.
    base = _numbers(recipe.source) if isinstance(recipe.source, Doubled) else ()
    factors = ((_digest(one.channel), *_numbers(one.scale)) for one in recipe.factors)
    return base, frozenset(factors)


def _numbers(value: Doubled) -> tuple[Hashable, ...]:
    return _digest(value.high), _digest(value.low)


def _digest(array: npt.NDArray[np.generic]) -> Hashable:
    data = np.ascontiguousarray(array).view(np.uint8)
    return array.shape, blake2b(data.data, digest_size=_DIGEST_BYTES).digest()
