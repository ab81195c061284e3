"""Slice.

    x ─ Slice(starts, ends, axes, steps) ─ affine ─ y                     before
    x ─ affine, identity elsewhere ─ Slice(starts, ends, axes, steps) ─ y  after

    x ─ affine ─ Slice(starts, ends, axes, steps) ─ y                     before
    x ─ Slice(starts, ends, axes, steps) ─ affine of what is taken ─ y    after

A scalar passes, and so does an affine along an axis that is not cut. Along one that is cut, output
channel i is input channel start + i·step: upward the others get the identity. Downward what does
nothing goes on, too: only a layer can take it in.

1. Which axes are cut must be known: attributes below opset 10, inputs since; without ``axes`` they
   are the first ones.
2. On the axis of the channels, starts, ends, steps and the size of the input must be known.
   Negative starts and ends count from the end, then starts are clamped to [0, size] and ends to
   [0, size]; going backward to [0, size - 1] and [-1, size - 1], where numpy differs.
3. An axis that is cut twice is undefined: refused.
4. Downward only from before the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from folding.affine import ChannelAffine, identity
from folding.carriers.axes import axes_from_right, size
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import integers
from folding.slices import selected

_INPUTS = 10


@dataclass(frozen=True, slots=True)
class _Taken:
    """Which ones of so many channels a Slice takes."""

    channels: range
    whole: int


def _given(name: str, slot: int, passage: Passage) -> tuple[int, ...] | None:
    """A parameter of the operator: empty if it is absent, None if it is not known."""
    if passage.around.opset < _INPUTS:
        return integers(passage.node, name) or ()
    inputs = passage.node.input
    if len(inputs) <= slot or not inputs[slot]:
        return ()
    return passage.around.integers(inputs[slot])


def _taken(axis: int, passage: Passage) -> _Taken | Kept | None:
    """What is taken of an axis, None if it is not cut."""
    starts, ends = (_given(name, slot, passage) for slot, name in ((1, "starts"), (2, "ends")))
    axes, steps = _given("axes", 3, passage), _given("steps", 4, passage)
    if axes == () and starts is not None:
        axes = tuple(range(len(starts)))
    places = axes_from_right(axes, passage) if axes else None
    if places is None:
        return stay(Reason.MISSING_AXES, passage)
    if axis not in places:
        return None
    if places.count(axis) > 1:
        return stay(Reason.UNUSUAL_FORM, passage)
    whole = size(passage.node.input[0], axis, passage.around)
    if starts is None or ends is None or steps is None or whole is None:
        return stay(Reason.SIZES_UNKNOWN, passage)
    if 0 in steps or not len(starts) == len(ends) == len(places) == (len(steps) or len(places)):
        return stay(Reason.UNUSUAL_FORM, passage)  # No runtime takes it.
    place = places.index(axis)
    step = steps[place] if steps else 1
    return _Taken(selected(starts[place], ends[place], step, whole), whole)


def channels(axis: int, passage: Passage) -> range | None:
    """Which channels of an axis from the right are taken; None if it is all, or not known."""
    taken = _taken(axis, passage)
    return taken.channels if isinstance(taken, _Taken) else None


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if affine.axis is None:
        return affine
    taken = _taken(affine.axis, passage)
    if taken is None or isinstance(taken, Kept):
        return taken or affine
    index = np.full(taken.whole, -1)
    index[list(taken.channels)] = np.arange(len(taken.channels))
    return affine.of_channels(index, affine.axis)


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if passage.place:
        return stay(Reason.UNUSUAL_FORM, passage)
    taken = _taken(affine.axis, passage) if affine.axis is not None else None
    if isinstance(taken, Kept):
        return taken
    if taken is not None and affine.axis is not None:
        affine = affine.of_channels(np.array(taken.channels, np.intp), affine.axis)
    return identity() if affine.is_identity else affine


RULE = Carrier(("Slice",), up, down)
