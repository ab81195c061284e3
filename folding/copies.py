"""Copies of constants that several nodes read, found again by what is in them.

    w ─┬─ layer ─ affine            w' ─┬─ layer'
       └─ layer ─ same affine           └─ layer'

Where all readers of a constant agree on what becomes of it, it stays one tensor; else each content
is stored once. A copy is found by a digest of its content, so that many cost no more than few.
Exporters give a constant that several layers share a name for each by an Identity, or transpose it
for each: it is one.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from folding.constants import Constants
from folding.doubled import Doubled
from folding.recipes import Changed, Direct, Scaled
from folding.repeated import Repeated

_DIGEST_BYTES = 16


class Copies:
    """The tensors of one scope that were made from constants with several readers."""

    def __init__(self, constants: Constants) -> None:
        self._constants = constants
        self._known: dict[Hashable, Changed] = {}
        self._copied: set[str] = set()
        self._originals: dict[str, str] = {}
        self._alike: dict[Hashable, str] = {}

    def original(self, name: str) -> str:
        """The constant that stands under a name: behind Identities, and computed alike, one."""
        passed = []
        while name not in self._originals:
            node = self._constants.node(name)
            if node is None or len(node.input) != 1:
                self._originals[name] = name
            else:
                passed.append((name, node))
                name = node.input[0]
        found = self._originals[name]
        for name, node in reversed(passed):
            if node.op_type != "Identity":
                attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
                found = self._alike.setdefault((node.op_type, *attributes, found), name)
            self._originals[name] = found
        return found

    def has(self, origin: str | None) -> bool:
        """Whether a constant was copied at some time."""
        return bool(self._copied) and origin is not None and self.original(origin) in self._copied

    def find(self, wanted: Changed) -> Changed | None:
        """The last tensor that had this origin, type and content; it may be gone since."""
        return self._known.get(self._key(wanted)) if self.has(wanted.origin) else None

    def add(self, made: Changed) -> None:
        """Remember a tensor that has an origin."""
        assert made.origin is not None
        self._copied.add(self.original(made.origin))
        self._known[self._key(made)] = made

    def _key(self, tensor: Changed) -> Hashable:
        recipe = tensor.recipe
        assert isinstance(recipe, (Direct, Repeated, Scaled))
        assert tensor.origin is not None
        origin = self.original(tensor.origin)
        return origin, tensor.elem_type, recipe.dims, _content(recipe)


def _content(recipe: Direct | Repeated | Scaled) -> Hashable:
    """What tells the new numbers of a constant from others of it."""
    if isinstance(recipe, Repeated):
        return ()  # It is the origin's.
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
