"""How far the constants of another tool are from what they must be.

With T what a constant must be, evaluated in double-double from the stored numbers, and A the same
formula with absolute values and plus signs, the other tool's number must satisfy

    |stored - T| <= 8 * u * max(A, tiny)

u is the unit roundoff of the stored type (``bounds`` has why). Below ``tiny``, the least normal
number, the distance of stored numbers no longer shrinks with them. Whether what is smaller may be
flushed to 0, nobody says (``given``).

Where the candidate itself leaves a constant to be computed by the runtime, what that may be off T
counts as well (``rounding``), but for what the reference's own constant is off. What is left to be
added to a layer's result is rounded with it, so its terms must not be eight times larger than what
they add up to.

That is what a fold may do to numbers that are multiplied or added. What no fold computed must be
the same: the bytes of what is stored on both sides (``given``), and what one rounding makes of such
numbers, which a runtime makes of them as well. Other readers (a Resize, a comparison, a Range) may
turn the last bit of a number into another result, so for them that goes for all constants, unless
both sides compute them in the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from math import inf, isnan, nan

import numpy as np

from folding.doubled import Doubled, Doubles
from folding.equivalence.foreign.bounds import ROUNDINGS
from folding.equivalence.foreign.given import as_good, flushed_below, is_given, same
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.rounding import Ways, is_own
from folding.factor import Factor
from folding.floats import FLOATS, FloatType
from folding.recipes import Direct, Part, Recipe, Scaled
from folding.scratch import scratch
from folding.stored import Stored

#: A this close to |T| is no larger: both are rounded to float64.
_EQUAL = 1 + 2.0**-40

_Piece = tuple[int, Doubles, Callable[[], Doubles]]


def deviation(
    ours: Constant, theirs: Constant, ways: Ways, *, is_linear: bool, is_smooth: bool
) -> float:
    """The largest |stored - T| over what is allowed; infinite where nothing is and they differ.

    NaN where nothing can be said: T is not finite, or may not be what roundings on the way give,
    or the constants are near to each other where they must be the same, or of other shapes.
    ``ways`` are those to both. ``is_linear`` says that they are only multiplied or added, and
    ``is_smooth`` that a result is no further off than they are.
    """
    if ours.elem_type != theirs.elem_type:
        return inf
    if ours.shape != theirs.shape:
        return nan  # Both may broadcast to the same.
    kind = FLOATS.get(ours.elem_type)
    if is_given(ours) and is_given(theirs):
        if same(ours, theirs):
            return 0.0
        return nan if is_linear and as_good(ours, theirs) else inf
    if kind is None or isinstance(ours.source, np.ndarray) or isinstance(theirs.source, np.ndarray):
        return inf
    are_same = ways.are_told_same(ours, theirs)
    if are_same:
        return 0.0
    with closing(pieces(ours)) as one, closing(pieces(theirs)) as other:
        found = _furthest(one, other, kind, flushed_below(kind) if is_linear else 0.0)
    found = found if isnan(found) else _on_the_way(found, ours, theirs, kind, ways)
    must_be_same = are_same is False or not is_smooth
    if found <= 1 and must_be_same and not ways.are_alike(ours, theirs):
        return nan
    return found


def _on_the_way(
    found: float, ours: Constant, theirs: Constant, kind: FloatType, ways: Ways
) -> float:
    """A deviation, or NaN where what is rounded on the way may make it another one."""
    more, size = _rounded(ours, theirs, kind, ways)
    if found <= 1:
        one, other = (ways.to(c).roundoff if is_own(c) else 0.0 for c in (ours, theirs))
        is_same = one == other or max(one, other) <= kind.roundoff
        return found if is_same and found + more <= 1 and size <= ROUNDINGS else nan
    both = [ways.to(ours), ways.to(theirs)]
    is_exact = all(way.is_certain and way.roundoff <= kind.roundoff for way in both)
    return found if is_exact and found - more > 1 else nan


def _rounded(ours: Constant, theirs: Constant, kind: FloatType, ways: Ways) -> tuple[float, float]:
    """How far off its T a constant of the candidate may be where the reference's is not.

    In units of what is allowed; and how much larger the candidate's terms are on the whole.
    """
    if isinstance(theirs.source, Stored):
        return 0.0, 1.0
    each, whole = _sizes(ours, theirs, kind)
    if not each:
        return 0.0, 1.0
    way = ways.to(theirs, beside=ours)
    if not way.is_certain:
        return inf, whole
    known = ways.to(ours, beside=theirs).error
    return max(each * way.error - known, 0.0) / (ROUNDINGS * kind.roundoff), whole


def _sizes(ours: Constant, theirs: Constant, kind: FloatType) -> tuple[float, float]:
    """The candidate's A over the reference's: of that number where it is largest, and of all.

    1 stands for what is less, and 0 for a candidate that has nothing but zeros.
    """
    if not _cancels(theirs):
        is_zero = isinstance(theirs.source, Direct) and theirs.source.value.equals(0)
        return float(not is_zero), 1.0
    worst, peak, its_peak = 1.0, kind.tiny, kind.tiny
    with closing(pieces(ours)) as one, closing(pieces(theirs)) as other:
        for mine, own, its, their in in_step(one, other):
            with np.errstate(all="ignore"):
                size, its_size = (
                    np.nan_to_num(piece[2]()[part], nan=inf)
                    for piece, part in ((mine, own), (its, their))
                )
                found = its_size / np.maximum(size, kind.tiny)
            worst = max(worst, float(np.nan_to_num(found, nan=inf).max(initial=0.0)))
            peak = max(peak, float(size.max(initial=0.0)))
            its_peak = max(its_peak, float(its_size.max(initial=0.0)))
    return worst, its_peak / peak


def _cancels(constant: Constant) -> bool:
    """Whether the terms of a constant are larger than what they add up to."""
    source = constant.source
    values = [source.value] if isinstance(source, Direct) else []
    if isinstance(source, Scaled):
        values = [factor.scale for factor in source.factors]
        values += [source.source] if isinstance(source.source, Doubled) else []
    return any((value.magnitude > _EQUAL * np.abs(value.high)).any() for value in values)


def _furthest(
    one: Iterator[_Piece], other: Iterator[_Piece], kind: FloatType, least: float
) -> float:
    worst = 0.0
    for ours, own, theirs, their in in_step(one, other):
        found = _excess(ours[1][own], theirs[1][their], (ours[2], own), kind, least)
        if isnan(found):
            return found
        worst = max(worst, found)
    return worst


def in_step(
    one: Iterator[_Piece], other: Iterator[_Piece]
) -> Iterator[tuple[_Piece, slice, _Piece, slice]]:
    """Go through both in step, whatever pieces each comes in: the parts of two that coincide."""
    ours, theirs = next(one, None), next(other, None)
    while ours is not None and theirs is not None:
        low, high = max(ours[0], theirs[0]), min(_end(ours), _end(theirs))
        own, their = slice(low - ours[0], high - ours[0]), slice(low - theirs[0], high - theirs[0])
        yield ours, own, theirs, their
        done = _end(ours) == high, _end(theirs) == high
        ours = next(one, None) if done[0] else ours
        theirs = next(other, None) if done[1] else theirs


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
        magnitude, part = size
        apart /= np.maximum(magnitude()[part], kind.tiny)
        worst = float(apart.max(initial=0.0)) / allowance
        apart[(np.abs(exact) < least) & (np.abs(stored) < least)] = 0
        if worst > 1 and float(apart.max(initial=0.0)) <= allowance:
            return nan
    return inf if np.isnan(worst) and np.isfinite(exact).all() else worst


def pieces(constant: Constant) -> Generator[_Piece]:
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
        source = Scaled(constant.constants, source, (one,))
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
    factors = tuple(Factor(turn(one.channel), one.scale) for one in source.factors)
    return Scaled(source.constants, inner, factors)
