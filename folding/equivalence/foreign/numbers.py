"""Constants of either side, as they are compared: where their numbers are, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper

from folding.constants import Constants
from folding.doubled import Doubled
from folding.equivalence.foreign.chains import Scale
from folding.equivalence.foreign.steps import Part, found
from folding.factor import Factor
from folding.floats import FLOATS
from folding.inference import Shape
from folding.protos import BITS
from folding.recipes import Direct, Recipe, Scaled
from folding.scratch import ELEMENTS
from folding.skeleton import LEAST
from folding.stored import Stored

_BYTE = 8

Whole = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A constant of one side: stored, evaluated, or what a fold makes of one.

    ``name`` is what its model calls it, ``axes`` the order of the source's axes in which it is
    seen, ``parts`` what of it its model computes, and ``scales`` those that its model still
    multiplies with beside the layer, though they are in it.
    """

    name: str
    elem_type: int
    constants: Constants
    source: Stored | Recipe | Whole
    axes: tuple[int, ...] | None = None
    parts: tuple[Part, ...] = ()
    scales: tuple[Scale, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        dims = self.source.shape if isinstance(self.source, np.ndarray) else self.source.dims
        return dims if self.axes is None else tuple(dims[axis] for axis in self.axes)

    @property
    def key(self) -> int:
        """The same for constants that may be equal; with the numbers only where they are whole."""
        whole = self.integers() if prod(self.shape) <= _BYTE else None
        return hash((self.elem_type, self.shape, whole))

    def integers(self) -> tuple[int, ...] | None:
        """The numbers, if they are a few whole ones or truth values."""
        if self.elem_type in FLOATS or prod(self.shape) > ELEMENTS or not is_whole(self):
            return None
        array = self.array()
        return tuple(int(n) for n in array.ravel()) if array.dtype.kind in "biu" else None

    def array(self) -> Whole:
        """The numbers of a constant that no fold computes."""
        if isinstance(self.source, Stored):
            array: Whole = self.constants.load(self.source)
        else:
            assert isinstance(self.source, np.ndarray)
            array = self.source
        return array if self.axes is None else array.transpose(self.axes)

    def transposed(self, axes: tuple[int, ...]) -> Constant:
        """The same with its axes in another order."""
        before = self.axes or tuple(range(len(axes)))
        composed = tuple(before[axis] for axis in axes)
        is_plain = composed == tuple(range(len(axes)))
        return replace(self, axes=None if is_plain else composed)

    def reshaped(self, shape: tuple[int, ...]) -> Constant | None:
        """The same in another shape; None where it is a weight that a fold computes."""
        if shape == self.shape:
            return self
        source = self.source
        moves = (partial(np.transpose, axes=self.axes),) if self.axes else ()
        moves = (*moves, partial(np.reshape, shape=shape))
        if isinstance(source, Stored):
            return replace(
                self, source=Stored(source.tensor, shape, (*source.moves, *moves)), axes=None
            )
        if isinstance(source, np.ndarray):
            return replace(self, source=self.array().reshape(shape), axes=None)
        value = self.doubled()
        return None if value is None else self.holding(value.reshape(*shape))

    def broadcast_to(self, shape: tuple[int, ...]) -> Constant | None:
        """The same in more dimensions; None where it is a weight that a fold computes."""
        if shape == self.shape:
            return self
        move, source = partial(np.broadcast_to, shape=shape), self.source
        if isinstance(source, Stored):
            before = (partial(np.transpose, axes=self.axes),) if self.axes else ()
            moved = Stored(source.tensor, shape, (*source.moves, *before, move))
            return replace(self, source=moved, axes=None)
        if isinstance(source, np.ndarray):
            return replace(self, source=move(self.array()), axes=None)
        value = self.doubled()
        return None if value is None else self.holding(value.moved(move))

    def doubled(self) -> Doubled | None:
        """The numbers of a small float constant, and A."""
        found: Doubled | None = None
        if isinstance(self.source, Direct):
            found = self.source.value
        elif isinstance(self.source, Stored) and prod(self.shape) <= ELEMENTS:
            is_float = self.elem_type in FLOATS
            found = Doubled.exact(self.constants.load(self.source)) if is_float else None
        if found is None or self.axes is None:
            return found
        return found.moved(lambda a: a.transpose(self.axes))

    def scaled(self, channel: npt.NDArray[np.intp], scale: Doubled) -> Constant | None:
        """A weight times a number for each channel; ``channel`` says which, as it is seen."""
        back = None if self.axes is None else tuple(int(i) for i in np.argsort(self.axes))
        factor = Factor(channel if back is None else channel.transpose(back), scale)
        source = self.source
        if isinstance(source, Scaled):
            return replace(self, source=source.times(factor))
        if isinstance(source, Direct):
            return replace(self, source=Scaled(self.constants, source.value, (factor,)))
        if not isinstance(source, Stored) or self.elem_type not in FLOATS:
            return None
        return replace(self, source=Scaled(self.constants, source, (factor,)))

    def taking(self, other: Constant, *, is_added: bool = False) -> tuple[Part, ...]:
        """The parts of this one with another one added to it, or multiplied with it."""
        own = other.parts
        return *self.parts, *(((True, own[0][1]),) if is_added and len(own) == 1 else own)

    def holding(self, value: Doubled) -> Constant:
        """A constant of the same type and name that is computed."""
        return replace(self, source=Direct(value), axes=None)


def is_whole(constant: Constant) -> bool:
    """Whether each of its numbers is some bytes: no text, and not several in one byte."""
    bits = BITS.get(constant.elem_type, 1)
    return bits % _BYTE == 0


def is_big_product(constants: Constants, node: NodeProto) -> bool:
    """Whether a constant is the product of a weight: not to be evaluated as a whole."""
    dims = constants.dims(node.output[0]) if node.op_type == "Mul" else None
    return dims is not None and prod(dims) > LEAST


def find(name: str, constants: Constants, elem_type: int) -> Constant | None:
    """The constant of that name as it is without a fold; None if it is not evaluated."""
    stored = constants.stored(name)
    if stored is not None:
        return Constant(name, stored.tensor.data_type, constants, stored)
    value = constants.value(name)
    if value is None:
        return None
    if isinstance(value, Doubled):
        kind = elem_type or TensorProto.FLOAT
        parts = ((False, found(constants, name)),)
        is_float = kind in FLOATS
        return Constant(name, kind, constants, Direct(value), None, parts) if is_float else None
    kind = elem_type or helper.np_dtype_to_tensor_dtype(value.dtype)
    return Constant(name, kind, constants, value)


def counts(shape: Shape | None) -> int:
    """How many dimensions are not known; many if not even their number."""
    return ELEMENTS if shape is None else sum(d is None for d in shape)
