"""What an operand of an operator with several inputs may take, and what becomes of a constant one.

Operands are broadcast to the shape of the result. One that lacks the affine's channels, or has a
single one for all of them, cannot take one number for each: it would grow, and with it all that is
computed before it. A constant one is free to grow, since the result has the channels anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import TensorProto

from folding.affine import ChannelAffine, identity
from folding.carriers.base import Answer, Join, Moved, Passage, Rule
from folding.doubled import Doubled
from folding.plan import Reason

_BROADCASTS_SINCE = 7
_ARITHMETIC = frozenset({"Add", "Div", "Mul", "Sub"})


def broadcasts_by_attribute(passage: Passage) -> bool:
    """Whether an attribute says how the operands are broadcast, as it did once."""
    return passage.around.opset < _BROADCASTS_SINCE and passage.node.op_type in _ARITHMETIC


def twins(passage: Passage, slot: int) -> tuple[int, ...]:
    """All slots that read the same value as this one."""
    inputs = passage.node.input
    return tuple(other for other, name in enumerate(inputs) if name == inputs[slot])


def of_one_value(join: Join) -> Rule:
    """What is asked of one value alone: its affine stands before all slots that read it."""

    def down(affine: ChannelAffine, passage: Passage) -> Answer:
        return join(dict.fromkeys(twins(passage, passage.place), affine), passage)

    return down


def left_out(affines: Mapping[int, ChannelAffine], passage: Passage) -> tuple[list[int], bool]:
    """The slots before which no affine stands, and whether they all read constants."""
    slots = [slot for slot in range(len(passage.node.input)) if slot not in affines]
    names = (passage.node.input[slot] for slot in slots)
    return slots, all(passage.around.is_constant(name) for name in names)


def alike(
    affines: Mapping[int, ChannelAffine], others: Sequence[int], passage: Passage
) -> Moved | Reason:
    """The same affine before all slots but some, behind the node; those must read constants."""
    one, *more = affines.values()
    if not all(passage.around.is_constant(passage.node.input[slot]) for slot in others):
        return Reason.OTHER_BRANCH
    if not all(one.equals(other) for other in more):
        return Reason.BRANCHES_DIFFER
    behind = {0: one.narrowed()}
    if not others:
        return Moved(behind)
    back = inverse(one)
    if back is None:
        return Reason.UNUSUAL_FORM
    moved = handed(dict.fromkeys(others, back), passage)
    return moved if isinstance(moved, Reason) else Moved(behind, moved.constants)


def scale_of(affine: ChannelAffine) -> ChannelAffine:
    """The affine without its shift."""
    return affine.parts()[0]


def inverse(affine: ChannelAffine) -> ChannelAffine | None:
    """What takes an affine back; None where a scale is zero."""
    if not affine.scale.high.all():
        return None
    scale = Doubled.exact(1.0) / affine.scale
    return ChannelAffine(scale, -(scale * affine.shift), affine.axis)


def applied(affine: ChannelAffine, value: Doubled) -> Doubled:
    """``scale * value + shift`` along the affine's axis, of no more dimensions than that needs."""
    behind = 0 if affine.axis is None else -1 - affine.axis
    scale, shift = (
        part.reshape(part.size, *[1] * behind) if part.shape else part
        for part in (affine.scale, affine.shift)
    )
    return value.scaled(scale) + shift


def handed(parts: Mapping[int, ChannelAffine], passage: Passage) -> Moved | Reason:
    """An affine for each of some input slots: constants take theirs in, the others have room.

    A constant that stays the number it is does not grow: the 0 of a Max(x, 0).
    """
    affines: dict[int, ChannelAffine] = {}
    constants: dict[int, Doubled] = {}
    for slot, wide in parts.items():
        part, name = wide.narrowed(), passage.node.input[slot]
        if part.is_identity:
            continue
        if passage.around.is_constant(name):
            value = passage.around.numbers(name)
            if value is None:
                return Reason.TOO_COMPLEX
            taken = applied(part, value)
            if not taken.is_finite():
                return Reason.NOT_FINITE
            if _differ(taken, value):
                constants[slot] = taken
            continue
        obstacle = _obstacle(part, name, passage)
        if obstacle is not None:
            return obstacle
        affines[slot] = part
    return Moved(affines, constants)


def _differ(one: Doubled, other: Doubled) -> bool:
    return bool((one.high != other.high).any() or (one.low != other.low).any())


def _obstacle(affine: ChannelAffine, name: str, passage: Passage) -> Reason | None:
    """Why a value cannot take an affine as it is; None if it can."""
    if affine.axis is None:
        return None
    shape = passage.around.shape(name)
    if shape is None:
        return Reason.SIZES_UNKNOWN
    if len(shape) < -affine.axis:
        return Reason.OPERAND_GROWS
    size = shape[affine.axis]
    if size is None:
        return Reason.SIZES_UNKNOWN
    return None if size == affine.channels else Reason.OPERAND_GROWS


def ways(
    choices: Sequence[Mapping[int, ChannelAffine]], passage: Passage
) -> tuple[Moved, ...] | Reason:
    """Those of some choices that have no obstacle; else what is in the way of the first.

    What changes nothing goes to an operand, too: only a layer can take it in.
    """
    around, names = passage.around, enumerate(passage.node.input)
    computed = (
        slot
        for slot, name in names
        if not around.is_constant(name) and around.type(name) != TensorProto.BOOL
    )
    slot = next(computed, None)
    is_identity = all(part.is_identity for choice in choices for part in choice.values())
    if is_identity and slot is not None:
        return (Moved(dict.fromkeys(twins(passage, slot), identity())),)
    found = [handed(choice, passage) for choice in choices]
    pairs = zip(found, choices, strict=True)
    moved = tuple(_taken(way, choice, passage) for way, choice in pairs if isinstance(way, Moved))
    return moved or next(reason for reason in found if isinstance(reason, Reason))


def _taken(way: Moved, choice: Mapping[int, ChannelAffine], passage: Passage) -> Moved:
    """A constant that takes in all there is counts as changed, even if 0 * s is what it was."""
    if way.affines or way.constants:
        return way
    numbers = ((slot, passage.around.numbers(passage.node.input[slot])) for slot in choice)
    return Moved({}, {slot: value for slot, value in numbers if value is not None})


def constants_first(slots: Sequence[int], passage: Passage) -> list[int]:
    """Of some slots the first constant one alone, which asks nothing of what comes before.

    All of them if no constant is among them.
    """
    node, around = passage.node, passage.around
    constant = [slot for slot in slots if around.numbers(node.input[slot]) is not None]
    return constant[:1] or list(slots)
