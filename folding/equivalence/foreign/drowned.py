"""Shifts that a candidate adds and takes away again, so large that a channel is lost in between.

What is added to a channel, all with plus signs, must not be eight times larger than the terms of
that channel (``bounds`` has why): the norm of its weights, taken with inputs of size 1, and its
bias. It may be where the reference itself adds as much there.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from math import inf, prod

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubles
from folding.equivalence.foreign.bounds import ROUNDINGS
from folding.equivalence.foreign.chains import keeps_range
from folding.equivalence.foreign.deviation import pieces
from folding.equivalence.foreign.layers import LAYERS, width_of
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import LINEAR, Call, Term
from folding.floats import FLOATS
from folding.recipes import Direct

_BIAS = 2

_Places = npt.NDArray[np.intp]


def is_lost(ours: Constant, theirs: Constant, reader: Term | None) -> bool:
    """Whether the candidate loses on the way what a constant says that it does.

    What is added to the result of a layer is told by ``lost_in_bias``.
    """
    kind = FLOATS.get(theirs.elem_type)
    channel = partial(_smallest, reader)
    if kind is not None and not keeps_range(ours.scales, theirs.scales, kind, channel):
        return True
    is_bias = reader is not None and reader.call.is_own(*LAYERS)
    return not is_bias and bool(_drowned(ours, theirs, np.zeros(())).any())


def _smallest(layer: Term | None) -> float:
    """The size of a layer's smallest channel; 0 for what is none."""
    if layer is None or not layer.call.is_own(*LAYERS):
        return 0.0
    bias = layer.call.input(_BIAS)
    own = bias.doubled() if isinstance(bias, Constant) else None
    if own is None or own.shape != (width_of(layer.call),):
        return 0.0
    return float((own.magnitude + _norms(layer.call)).min(initial=inf))


def lost_in_bias(one: Call, other: Call) -> Constant | None:
    """The reference's bias of a layer of which the candidate loses a channel."""
    ours, theirs = one.input(_BIAS), other.input(_BIAS)
    if not other.is_own(*LAYERS):
        return None
    if not isinstance(ours, Constant) or not isinstance(theirs, Constant):
        return None
    if not ours.shape == theirs.shape == (width_of(other),):
        return None
    if not _drowned(ours, theirs, np.zeros(())).any():
        return None
    return ours if _drowned(ours, theirs, _norms(other)).any() else None


def _drowned(ours: Constant, theirs: Constant, beside: Doubles) -> npt.NDArray[np.bool_]:
    """Which numbers of a bias have terms too large for it and what it is added to."""
    own, value = ours.doubled(), theirs.doubled()
    if not isinstance(theirs.source, Direct) or own is None or value is None:
        return np.zeros((), bool)
    with np.errstate(all="ignore"):
        found: npt.NDArray[np.bool_] = ~(value.magnitude <= ROUNDINGS * (own.magnitude + beside))
    return found


def _norms(layer: Call) -> Doubles:
    """The Euclidean norm of the weights of each channel of a layer."""
    weight = layer.input(1)
    if not isinstance(weight, Constant) or weight.elem_type not in FLOATS:
        return np.ones(())
    bias = layer.input(_BIAS)
    assert isinstance(bias, Constant)
    squares = np.zeros(bias.shape)
    with closing(pieces(weight)) as parts, np.errstate(all="ignore"):
        for start, exact, _ in parts:
            channel = channel_of(np.arange(start, start + exact.size), layer, weight.shape)
            squares += np.bincount(channel, np.square(exact), squares.size)
    return np.sqrt(squares)


def channel_of(place: _Places, layer: Call, dims: tuple[int, ...]) -> _Places:
    """Which channel the numbers of a weight belong to, by their places in C order."""
    if layer.is_own(LINEAR):
        return place % dims[1]
    first = place // prod(dims[1:])
    if layer.is_own("Conv"):
        return first
    group: _Places = first // (dims[0] // layer.attributes.get("group", 1))
    return group * dims[1] + place // prod(dims[2:]) % dims[1]
