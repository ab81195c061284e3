"""One evaluation of a region: who wants a value at some elements asks here.

An operator that is asked for elements of its output asks for the elements of its inputs that it
needs, and so on up to the activations that the region is given, and its constants. What is asked
for is checked here, so that no model can make an operator read beside a tensor; how much is asked
for is counted here, so that none can make it ask for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.numbers import (
    Numbers,
    PulledNumbers,
    constant_numbers,
    pick,
    quantised_numbers,
    stored_numbers,
)
from folding.equivalence.sampling.region import Region
from folding.equivalence.sampling.values import (
    Coordinates,
    Dims,
    NotSupported,
    Sampled,
    require,
    zeros,
)
from folding.floats import FLOATS
from folding.protos import is_default_domain, title
from folding.stored import Stored

#: Elements that may be asked for in one evaluation, with what a question costs besides.
_MOST = 1 << 26
_QUESTION = 1 << 9
#: Elements that one place may need.
_WIDEST = 1 << 22
#: Sizes above this would not fit the arithmetic on places.
_LARGEST = 1 << 48
_DEEPEST = 100
_FLOATS = frozenset(kind.dtype for kind in FLOATS.values())
#: What numpy raises where attributes and shapes do not fit each other.
_MISFITS = (IndexError, OverflowError, TypeError, ValueError, ZeroDivisionError)


class Pull:
    """The values of one run: its activations, its shapes, and what follows from them.

    ``wide`` is the type that everything is computed in.
    """

    def __init__(
        self,
        region: Region,
        operators: Mapping[str, Operator],
        activations: Mapping[str, npt.NDArray[Any]],
        shapes: Mapping[str, Dims],
    ) -> None:
        self.region, self.opset = region, region.opset
        self._operators, self._activations, self._shapes = operators, activations, shapes
        given = [activations[name].dtype for name in region.inputs & activations.keys()]
        is_double = region.is_double or np.float64 in given
        self.wide: np.dtype[Any] = np.dtype(np.longdouble if is_double else np.float64)
        self._numbers: dict[str, Numbers] = {}
        self._known: dict[tuple[str, bytes], Sampled] = {}
        self._left, self._depth = _MOST, 0

    def spend(self, each: int, places: int = 1) -> None:
        """Count elements that are to be asked for, before there is memory for them.

        Raises:
            NotSupported: they are too many, at one place or in all.
        """
        self._left -= each * places
        fits = each <= _WIDEST and self._left >= 0
        require(fits, "too many elements are needed for a sample")

    def shape(self, name: str) -> Dims:
        """The dimensions of a value in this run."""
        region = self.region
        if name in region.inputs:
            return self._activation(name).shape
        shape = self.numbers(name).dims if region.is_constant(name) else self._shapes.get(name)
        if shape is None:
            known = region.constants.scope.shape(name)
            shape = None if known is None or None in known else tuple(d or 0 for d in known)
        require(shape is not None, f"the shape of '{name}' is not known")
        assert shape is not None
        require(min(shape, default=0) >= 0 and prod(shape) < _LARGEST, f"'{name}' is too large")
        return shape

    def numbers(self, name: str) -> Numbers:
        """A whole value, to be read in pieces."""
        if not self.region.is_constant(name):
            return PulledNumbers(self.shape(name), lambda coords: self.at(name, coords))
        if name not in self._numbers:
            self._numbers[name] = self._constant(name)
        return self._numbers[name]

    def quantised(self, name: str) -> Numbers:
        """A whole constant that is stored in integers, or in floats too short to compute with."""
        if name not in self._numbers:
            found = quantised_numbers(self.region.constants, name, self.wide)
            require(found is not None, f"'{name}' is no stored constant")
            assert found is not None
            self._numbers[name] = found
        return self._numbers[name]

    def _constant(self, name: str) -> Numbers:
        region = self.region
        tensor = region.defaults.get(name)
        if tensor is not None:
            stored = Stored(tensor, tuple(tensor.dims))
            found: Numbers | None = stored_numbers(region.model, stored, self.wide)
        else:
            found = constant_numbers(region.constants, name, self.wide)
        if found is None:
            raise NotSupported(f"the constant '{name}' holds no floats, or is too large")
        return found

    def _activation(self, name: str) -> npt.NDArray[Any]:
        found = self._activations.get(name)
        if found is None:
            raise NotSupported(f"the activation '{name}' is not given")
        require(found.dtype in _FLOATS, f"'{name}' holds no floats")
        return found

    def integers(self, name: str) -> npt.NDArray[np.int64]:
        """The value of integers that are constant, or given."""
        if name in self.region.inputs:
            value: object = self._activations.get(name)
        else:
            value = self.region.constants.value(name)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biu":
            raise NotSupported(f"'{name}' is no constant of integers")
        return value.astype(np.int64)

    def at(self, name: str, coords: Coordinates) -> Sampled:
        """What a value is at some elements.

        Raises:
            NotSupported: there are no such elements, or they cannot be evaluated.
        """
        shape = self.shape(name)
        require(coords.shape[1:] == (len(shape),), f"the rank of '{name}' is {len(shape)}")
        self.spend(1, len(coords) + _QUESTION)
        if not len(coords):
            return zeros((0,), self.wide)
        inside = (coords >= 0).all() and (coords < np.array(shape, np.int64)).all()
        require(bool(inside), f"there are elements outside of '{name}'")
        if name in self.region.inputs:
            found = self._activation(name)[tuple(coords.T)].astype(self.wide)
            value = np.broadcast_to(found, (len(coords),))  # One without axes has one element.
            return Sampled(value, np.abs(value))
        if self.region.is_constant(name):
            return pick(self.numbers(name), coords, self.wide)
        return self._remembered(name, coords)

    def _remembered(self, name: str, coords: Coordinates) -> Sampled:
        """What a node computes; where several read it, they often want the same elements."""
        if name not in self.region.shared:
            return self._computed(name, coords)
        key = name, blake2b(coords.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._computed(name, coords)
        return self._known[key]

    def _computed(self, name: str, coords: Coordinates) -> Sampled:
        node, slot = self.region.producer(name)
        operator = self._operators.get(node.op_type) if is_default_domain(node) else None
        if operator is None:
            raise NotSupported(f"not supported: {node.op_type}")
        require(self._depth < _DEEPEST, "the region is too deep")
        self._depth += 1
        try:
            return operator(self, node, slot, coords)
        except _MISFITS as error:
            reason = f"{node.op_type} '{title(node)}' does not fit its shapes"
            raise NotSupported(reason) from error
        finally:
            self._depth -= 1

    def broadcast(self, name: str, coords: Coordinates, shape: Dims) -> Sampled:
        """What a value is at elements of a result of another shape that it is broadcast to."""
        own = self.shape(name)
        rank = len(own)
        whole = shape[len(shape) - rank :] if rank else ()
        fits = all(a in (1, b) for a, b in zip(own, whole, strict=True))
        require(fits, f"'{name}' cannot be broadcast")
        wide = np.array([size != 1 for size in own], np.int64)
        return self.at(name, coords[:, coords.shape[1] - rank :] * wide)


#: Computes elements of one output of a node.
Operator = Callable[[Pull, NodeProto, int, Coordinates], Sampled]
