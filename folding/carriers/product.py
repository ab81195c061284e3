"""Mul and Div of branches.

    a ───────┐                                   a ─ s·a ─┐
    b ─ Mul ─┴─ s·… ─ y         before           b ───────┴─ Mul ─ y        after

Each operand has a power: 1, -1 for the divisor. Upward s goes to one operand, to that power;
downward all that come are multiplied, each to the power of its slot: s² behind Mul(x, x).

1. No shift passes.
2. Upward, s goes to an operand that is known to have its channels, to any if all scales are equal,
   or into a constant, which may grow, at no cost.
3. What goes to a divisor, or comes from one, is 1/s: no scale may be zero.
4. Upward the operands must be two values, and downward they must not cancel out as in Div(x, x);
   where scales come from both, they must be along one axis.
5. Below opset 7 an attribute says how they broadcast: refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from folding.affine import ChannelAffine, identity
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.carriers.operands import (
    broadcasts_by_attribute,
    constants_first,
    inverse,
    of_one_value,
    twins,
    ways,
)
from folding.plan import Kept, Reason


def _obstacle(affine: ChannelAffine, passage: Passage) -> Reason | None:
    """What is in the way in both directions."""
    if broadcasts_by_attribute(passage):
        return Reason.OLD_OPSET
    return None if affine.is_scale else Reason.SHIFT_BLOCKED


def up(affine: ChannelAffine, passage: Passage) -> tuple[Moved, ...] | Kept:
    obstacle = _obstacle(affine, passage)
    if obstacle is not None:
        return stay(obstacle, passage)
    if len(twins(passage, 0)) > 1:
        return stay(Reason.UNUSUAL_FORM, passage)
    other = inverse(affine) if passage.node.op_type == "Div" else affine
    parts = {0: affine} | ({} if other is None else {1: other})
    slots = constants_first(list(parts), passage)
    found = ways([{slot: parts[slot]} for slot in slots], passage)
    return stay(found, passage) if isinstance(found, Reason) else found


def join(affines: Mapping[int, ChannelAffine], passage: Passage) -> ChannelAffine | Kept:
    for affine in affines.values():
        obstacle = _obstacle(affine, passage)
        if obstacle is not None:
            return stay(obstacle, passage)
    is_div, is_twice = passage.node.op_type == "Div", len(twins(passage, 0)) > 1
    if is_twice and is_div:
        return stay(Reason.UNUSUAL_FORM, passage)
    whole = identity()
    for slot, affine in affines.items():
        part = inverse(affine) if is_div and slot == 1 else affine
        if part is None:
            return stay(Reason.UNUSUAL_FORM, passage)
        part = part.narrowed()
        if not part.agrees_with(whole):
            return stay(Reason.BRANCHES_DIFFER, passage)
        whole = part.after(whole)
    return whole.narrowed()


RULE = Carrier(("Mul", "Div"), up, of_one_value(join), join)
