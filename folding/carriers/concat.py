"""Concat, which joins values along an axis.

    x0, x1, … ─ Concat(axis) ─ affine ─ y                     before
    x0 ─ affine0 ─┐
    x1 ─ affine1 ─┴ Concat(axis) ─ y                          after

    x0 ─ affine ─┐
    x1, … ───────┴ Concat(axis) ─ y                           before
    x0, x1, … ─ Concat(axis) ─ affine, identity, … ─ y        after

Upward, an affine along the joined axis is cut where the inputs meet; an input whose piece does
nothing gets none. An affine along another axis, and a scalar, stand before every input.

Downward, affines along the joined axis are joined too, with the identity for the other inputs, and
so are scalars: their channels are then those of the input they stood before.

1. Below opset 4 the axis has a default, and nothing passes.
2. The axis of the channels must be known, and the sizes on the joined axis where it is cut.
3. Upward, a constant input is scaled itself, and its numbers must be known.
4. Upward, a value joined to itself is one tensor: its pieces must agree.
5. Downward, an affine along another axis would also act on the other inputs: refused, unless it
   stands before all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from folding.affine import ChannelAffine, identity
from folding.carriers.axes import axis_from_right, size
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.carriers.operands import of_one_value
from folding.doubled import Doubled
from folding.plan import Kept, Reason
from folding.protos import integer

_AXIS_IS_GIVEN = 4


def _axis(passage: Passage) -> int | Kept:
    """The joined axis, from the right."""
    if passage.around.opset < _AXIS_IS_GIVEN:
        return stay(Reason.UNUSUAL_FORM, passage)
    axis = axis_from_right(integer(passage.node, "axis", 0), passage)
    return stay(Reason.MISSING_AXES, passage) if axis is None else axis


def _sizes(axis: int, passage: Passage) -> list[int] | None:
    found = [size(name, axis, passage.around) for name in passage.node.input]
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) else None


def up(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    axis = _axis(passage)
    if isinstance(axis, Kept):
        return axis
    if affine.axis != axis:
        return _placed([affine] * len(passage.node.input), passage)
    sizes = _sizes(axis, passage)
    if sizes is None:
        return stay(Reason.SIZES_UNKNOWN, passage)
    parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    return _placed([affine.of_channels(part, axis) for part in parts], passage)


def _placed(pieces: Sequence[ChannelAffine], passage: Passage) -> Moved | Kept:
    """The answer that has a piece at each input, or in it if it is constant."""
    affines: dict[int, ChannelAffine] = {}
    constants: dict[int, Doubled] = {}
    first: dict[str, ChannelAffine] = {}
    for slot, (name, piece) in enumerate(zip(passage.node.input, pieces, strict=True)):
        is_constant = passage.around.is_constant(name)
        if not is_constant and not first.setdefault(name, piece).equals(piece):
            return stay(Reason.BRANCHES_DIFFER, passage)
        if piece.is_identity:
            continue
        if not is_constant:
            affines[slot] = piece
        elif (number := passage.around.numbers(name)) is not None:
            constants[slot] = _scaled(number, piece)
        else:
            return stay(Reason.UNUSUAL_FORM, passage)
    if not affines and not constants:  # What changes nothing: only a layer can take it in.
        return Moved({slot: pieces[slot] for slot in _first_slots(passage)})
    return Moved(affines, constants)


def _first_slots(passage: Passage) -> list[int]:
    """Where the first value is read that is not constant."""
    names = passage.node.input
    first = next(name for name in names if not passage.around.is_constant(name))
    return [slot for slot, name in enumerate(names) if name == first]


def _scaled(number: Doubled, affine: ChannelAffine) -> Doubled:
    tail = [1] * (-1 - (affine.axis or -1))
    return affine.scale.reshape(-1, *tail) * number + affine.shift.reshape(-1, *tail)


def join(affines: Mapping[int, ChannelAffine], passage: Passage) -> ChannelAffine | Kept:
    axis = _axis(passage)
    if isinstance(axis, Kept):
        return axis
    one, *more = affines.values()
    is_whole = len(affines) == len(passage.node.input)
    if is_whole and one.axis != axis and all(one.equals(other) for other in more):
        return one
    parts = {slot: part if part.axis == axis else part.narrowed() for slot, part in affines.items()}
    if any(part.axis not in (axis, None) for part in parts.values()):
        reason = Reason.BRANCHES_DIFFER if is_whole else Reason.OTHER_BRANCH
        return stay(reason, passage)
    sizes = _sizes(axis, passage)
    if sizes is None:
        return stay(Reason.SIZES_UNKNOWN, passage)
    return _joined([parts.get(slot, identity()).spread(n) for slot, n in enumerate(sizes)], axis)


def _joined(parts: Sequence[ChannelAffine], axis: int) -> ChannelAffine:
    scale = Doubled.joined([part.scale for part in parts])
    shift = Doubled.joined([part.shift for part in parts])
    return ChannelAffine(scale, shift, axis)


RULE = Carrier(("Concat",), up, of_one_value(join), join)
