"""Parts of a value that are cut out one by one, each with an affine of its own."""

from __future__ import annotations

import numpy as np

from growing.affines import AFFINES
from growing.branching import relu
from growing.grower import Grower, Rule
from growing.shaping import same, transpose

_SLICES_TAKE_INPUTS = 10


def parts(g: Grower, x: str) -> str:
    """Two or three parts along one axis, some of which may overlap; most are normalised.

    They are put together again, or all but one are outputs or unread.
    """
    shape = g.shape(x, least=1)
    axis = g.hints.get(x, 0) % len(shape) if not g.one_in(4) else g.axis(x)
    first = g.upto(shape[axis] - 1, 1)
    places = [range(first), range(first, shape[axis])]
    if g.one_in(3):
        begin = g.upto(shape[axis] - 1)
        places.append(range(begin, g.upto(shape[axis], begin + 1)))
    cut = [_behind(g, _part(g, x, axis, part)) for part in places]
    around = {np.delete(g.values[part].shape, axis).tobytes() for part in cut}
    if len(around) == 1 and g.flip():
        return g.add("Concat", *cut, axis=axis, hint=axis)
    if g.flip():
        g.outputs.append(cut[0])
    return g.pick(*cut)


def _part(g: Grower, x: str, axis: int, places: range) -> str:
    rank = len(g.values[x].shape)
    if g.one_in(3):
        order = [places[i] for i in g.order(len(places))]
        return g.add("Gather", x, g.net.integers(*order), axis=axis)
    if g.net.opset < _SLICES_TAKE_INPUTS:
        return g.add("Slice", x, starts=[places.start], ends=[places.stop], axes=[axis])
    given = (places.start, places.stop, g.spelled(axis, rank))
    return g.add("Slice", x, *(g.net.integers(value) for value in given))


def _behind(g: Grower, part: str) -> str:
    """An affine more often than not, perhaps behind another carrier."""
    if g.one_in(4):
        return g.any_of(part, relu, same)
    if g.one_in(4):
        part = g.any_of(part, relu, same, transpose)
    return g.any_of(part, *AFFINES)


PARTS: tuple[Rule, ...] = (parts,)
