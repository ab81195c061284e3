"""How far the constants of another tool are from what they must be.

With T what a constant must be, evaluated in double-double from the stored numbers, and A the same
formula with absolute values and plus signs, the other tool's number must satisfy

    |stored - T| <= 8 * u * max(A, tiny)

u is the unit roundoff of the stored type, or of a coarser one that was rounded to on the way: an
expression of k operations in that type is within k * u * A of its value to first order (Higham,
Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1), and a fold has fewer than
eight. Below ``tiny``, the least normal number, the distance of stored numbers no longer shrinks
with them; what is smaller may be flushed to 0 where ``given`` says so.

What neither side computed must be the same bytes, or as good as them (``given``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from math import inf, isnan, nan

import numpy as np

from folding.constants import Stored
from folding.doubled import Doubled, Doubles
from folding.equivalence.foreign.given import flushed_below, is_given, same
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.rounding import is_own, way_to
from folding.floats import FLOATS, FloatType
from folding.recipes import Direct, Factor, Part, Recipe, Scaled
from folding.scratch import scratch

#: What a float32 tool that computes carefully never reaches: 3.3 was measured.
ROUNDINGS = 8.0

_Piece = tuple[int, Doubles, Callable[[], Doubles]]


def deviation(ours: Constant, theirs: Constant, *, is_linear: bool = False) -> float:
    """The largest |stored - T| over what is allowed; infinite where nothing is and they differ.

    NaN where nothing can be said: T is not finite, or may not be what roundings on the way give.
    ``is_linear`` says that the constant is only multiplied or added.
    """
    if ours.shape != theirs.shape or ours.elem_type != theirs.elem_type:
        return inf
    kind = FLOATS.get(ours.elem_type)
    if is_given(ours) and is_given(theirs):
        return 0.0 if same(ours, theirs, is_linear=is_linear) else inf
    if kind is None or isinstance(ours.source, np.ndarray) or isinstance(theirs.source, np.ndarray):
        return inf
    least = flushed_below(kind) if is_linear else 0.0
    with closing(_pieces(ours)) as one, closing(_pieces(theirs)) as other:
        found = _furthest(one, other, kind, least)
    return found if isnan(found) else _on_the_way(found, ours, theirs, kind)


def _on_the_way(found: float, ours: Constant, theirs: Constant, kind: FloatType) -> float:
    """A deviation, or NaN where T leaves out roundings to a coarser type that both do not share."""
    if found <= 1:
        one, other = (way_to(c).roundoff if is_own(c) else 0.0 for c in (ours, theirs))
        return found if one == other or max(one, other) <= kind.roundoff else nan
    ways = [way_to(ours), way_to(theirs)]
    is_exact = all(way.is_certain and way.roundoff <= kind.roundoff for way in ways)
    return found if is_exact else nan


def _furthest(
    one: Iterator[_Piece], other: Iterator[_Piece], kind: FloatType, least: float
) -> float:
    """Go through both in step, whatever pieces each comes in."""
    worst = 0.0
    ours, theirs = next(one, None), next(other, None)
    while ours is not None and theirs is not None:
        low, high = max(ours[0], theirs[0]), min(_end(ours), _end(theirs))
        own, their = slice(low - ours[0], high - ours[0]), slice(low - theirs[0], high - theirs[0])
        found = _excess(ours[1][own], theirs[1][their], (ours[2], own), kind, least)
        if isnan(found):
            return found
        worst = max(worst, found)
        done = _end(ours) == high, _end(theirs) == high
        ours = next(one, None) if done[0] else ours
        theirs = next(other, None) if done[1] else theirs
    return worst


def _end(piece: _Piece) -> int:
    return piece[0] + piece[1].size


def _excess(
    exact: Doubles,
    stored: Doubles,
    size: tuple[Callable[[], Doubles], slice],
    kind: FloatType,
    least: float,
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
        apart[(np.abs(exact) < least) & (np.abs(stored) < least)] = 0
        magnitude, part = size
        scale = np.maximum(magnitude()[part], kind.tiny)
        worst = float((apart / scale).max(initial=0.0)) / allowance
    return inf if np.isnan(worst) and np.isfinite(exact).all() else worst


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
