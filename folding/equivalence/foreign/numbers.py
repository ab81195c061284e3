"""Constants as they are compared: what they are exactly, and how far another tool may be off.

With T what a constant must be, evaluated in double-double from the stored numbers, and A the same
formula with absolute values and plus signs, the other tool's number must satisfy

    |stored - T| <= 8 * u * max(A, tiny)

u is the unit roundoff of the stored type: an expression of k operations in that type is within
k * u * A of its value to first order (Higham, Accuracy and Stability of Numerical Algorithms, 2nd
ed., lemma 3.1), and a fold has fewer than eight. Below ``tiny``, the least normal number, the
distance of stored numbers no longer shrinks with them.

What neither side computed must be the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from math import inf, prod

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from folding.constants import Constants, Stored
from folding.doubled import Doubled, Doubles
from folding.floats import FLOATS, FloatType
from folding.inference import Shape
from folding.protos import BITS
from folding.recipes import Direct, Factor, Part, Recipe, Scaled
from folding.scratch import ELEMENTS, scratch

#: What a float32 tool that computes carefully never reaches: 3.3 was measured.
ROUNDINGS = 8.0
_BYTE = 8

Whole = npt.NDArray[np.generic]
_Piece = tuple[int, Doubles, Callable[[], Doubles]]


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A constant of one side: stored, evaluated, or what a fold makes of one.

    ``name`` is what its model calls it, ``axes`` the order of the source's axes in which it is
    seen.
    """

    name: str
    elem_type: int
    constants: Constants
    source: Stored | Recipe | Whole
    axes: tuple[int, ...] | None = None

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
        if self.elem_type in FLOATS or prod(self.shape) > ELEMENTS:
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
            return replace(self, source=Scaled(self.constants, source.value, factor))
        if not isinstance(source, Stored) or self.elem_type not in FLOATS:
            return None
        return replace(self, source=Scaled(self.constants, source, factor))

    def holding(self, value: Doubled) -> Constant:
        """A constant of the same type and name that is computed."""
        return replace(self, source=Direct(value), axes=None)


def deviation(ours: Constant, theirs: Constant) -> float:
    """The largest |stored - T| over what is allowed; infinite where nothing is and they differ."""
    if ours.shape != theirs.shape or ours.elem_type != theirs.elem_type:
        return inf
    kind = FLOATS.get(ours.elem_type)
    if _is_given(ours) and _is_given(theirs):
        return 0.0 if _same_bytes(ours, theirs) else inf
    if kind is None or isinstance(ours.source, np.ndarray) or isinstance(theirs.source, np.ndarray):
        return inf
    with closing(_pieces(ours)) as one, closing(_pieces(theirs)) as other:
        return _furthest(one, other, kind)


def _is_given(constant: Constant) -> bool:
    """Whether its numbers are stored, or follow without rounding."""
    return isinstance(constant.source, Stored | np.ndarray)


def _same_bytes(ours: Constant, theirs: Constant) -> bool:
    sources = ours.source, theirs.source
    whole = BITS.get(ours.elem_type, 0) % _BYTE == 0 and ours.elem_type != TensorProto.STRING
    if ours.axes or theirs.axes or not whole or not all(map(_is_streamable, sources)):
        return _same_arrays(ours.array(), theirs.array())
    assert isinstance(ours.source, Stored)
    assert isinstance(theirs.source, Stored)
    read = ours.constants.model.reader(ours.source.tensor)
    read_other = theirs.constants.model.reader(theirs.source.tensor)
    count = prod(ours.shape)
    with scratch(2) as (work, other):
        return all(
            _same_arrays(
                read(low, min(low + ELEMENTS, count), work),
                read_other(low, min(low + ELEMENTS, count), other),
            )
            for low in range(0, count, ELEMENTS)
        )


def _is_streamable(source: object) -> bool:
    return isinstance(source, Stored) and not source.moves


def _same_arrays(one: Whole, other: Whole) -> bool:
    if one.dtype.kind in "OSU" or other.dtype.kind in "OSU":
        return bool(np.array_equal(one, other))
    if one.dtype != other.dtype:
        return False
    a, b = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (one, other))
    return bool(np.array_equal(a, b))


def _furthest(one: Iterator[_Piece], other: Iterator[_Piece], kind: FloatType) -> float:
    """Go through both in step, whatever pieces each comes in."""
    worst = 0.0
    ours, theirs = next(one, None), next(other, None)
    while ours is not None and theirs is not None:
        low, high = max(ours[0], theirs[0]), min(_end(ours), _end(theirs))
        own, their = slice(low - ours[0], high - ours[0]), slice(low - theirs[0], high - theirs[0])
        worst = max(worst, _excess(ours[1][own], theirs[1][their], (ours[2], own), kind))
        done = _end(ours) == high, _end(theirs) == high
        ours = next(one, None) if done[0] else ours
        theirs = next(other, None) if done[1] else theirs
    return worst


def _end(piece: _Piece) -> int:
    return piece[0] + piece[1].size


def _excess(
    exact: Doubles, stored: Doubles, size: tuple[Callable[[], Doubles], slice], kind: FloatType
) -> float:
    """The largest deviation of a piece. A is computed only where T itself does not allow it."""
    allowance = ROUNDINGS * kind.roundoff
    with np.errstate(all="ignore"), scratch(2) as buffers:
        apart, scale = (buffer.array(np.float64, exact.shape) for buffer in buffers)
        np.abs(np.subtract(stored, exact, out=apart), out=apart)
        np.maximum(np.abs(exact, out=scale), kind.tiny, out=scale)
        worst = float(np.divide(apart, scale, out=scale).max(initial=0.0)) / allowance
        if worst <= 1:
            return worst
        magnitude, part = size
        scale = np.maximum(magnitude()[part], kind.tiny)
        worst = float((apart / scale).max(initial=0.0)) / allowance
    return inf if np.isnan(worst) else worst


def _pieces(constant: Constant) -> Generator[_Piece]:
    """Consecutive numbers in C order as float64, each piece with how to compute its A."""
    for part in _recipe(constant).parts():
        yield part.start, part.exact.reshape(-1), partial(_magnitude, part)


def _magnitude(part: Part) -> Doubles:
    return np.broadcast_to(part.magnitude, part.exact.shape).reshape(-1)


def _recipe(constant: Constant) -> Recipe:
    """What a constant holds, in the order of axes in which it is seen."""
    source, axes = constant.source, constant.axes
    assert not isinstance(source, np.ndarray)
    if isinstance(source, Stored):
        one = Factor(np.zeros((1,) * len(source.dims), np.intp), Doubled.exact(np.ones(1)))
        source = Scaled(constant.constants, source, one)
    if axes is None:
        return source
    turn = partial(np.transpose, axes=axes)
    if isinstance(source, Direct):
        return Direct(source.value.moved(turn))
    assert isinstance(source, Scaled)
    inner: Stored | Doubled
    if isinstance(source.source, Doubled):
        inner = source.source.moved(turn)
    else:
        inner = Stored(source.source.tensor, constant.shape, (*source.source.moves, turn))
    factor = Factor(turn(source.factor.channel), source.factor.scale)
    return Scaled(source.constants, inner, factor)


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
        return Constant(name, kind, constants, Direct(value)) if kind in FLOATS else None
    kind = elem_type or helper.np_dtype_to_tensor_dtype(value.dtype)
    return Constant(name, kind, constants, value)


def counts(shape: Shape | None) -> int:
    """How many dimensions are not known; many if not even their number."""
    return ELEMENTS if shape is None else sum(d is None for d in shape)
