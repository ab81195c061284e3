"""Add, Sub, Sum and Mean of branches.

    a ───────┐                                   a ─ s·a + t ─┐
    b ─ Add ─┴─ affine ─ y      before           b ─ s·b ─────┴─ Add ─ y        after

Each operand has a weight: 1, -1 on the right of a Sub, 1/n in a Mean of n. Upward s goes to all
operands, and t to one of them, divided by the weight it has in all its slots together: halved in
Add(x, x), negative on the right of a Sub. If that leads nowhere, since the operands go back to one
value that would have to be two things, t goes to all alike, divided by the sum of the weights.
Downward t is multiplied by that weight, and where it comes from several operands, it is their sum.

1. Upward, an operand without the channels takes an affine only if it is the same for all of them,
   and t goes to one that has them; how many it has must be known. A constant operand takes in what
   it is given, and may grow; t goes there if there is one, at no cost. Of many operands only the
   first few are tried for t, and if they do not take it, that is the reason.
2. A value whose slots cancel out, as in Sub(x, x), takes nothing.
3. Downward, s must be 1, unless an affine stands before every operand that is no constant. They
   must have the same s; the constants are divided by it: then no scale may be zero.
4. Alike it goes only to operands that all have the channels and are no constants; the weights may
   not cancel out, as in Sub(a, b).
5. Below opset 7 an attribute of Add and Sub says how they broadcast: refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.carriers.operands import (
    broadcasts_by_attribute,
    constants_first,
    handed,
    inverse,
    left_out,
    of_one_value,
    scale_of,
    twins,
    ways,
)
from folding.doubled import Doubled
from folding.plan import Kept, Reason

#: Each way of n operands has n parts: all ways of a wide Sum would be the square of its operands.
_MOST_WAYS = 8


def _weights(passage: Passage) -> list[Fraction]:
    """What each input slot is multiplied by."""
    operator, count = passage.node.op_type, len(passage.node.input)
    if operator == "Sub":
        return [Fraction(1), Fraction(-1)]
    return [Fraction(1, count if operator == "Mean" else 1)] * count


def _totals(passage: Passage) -> dict[str, Fraction]:
    """What each value is multiplied by in all its slots together."""
    total: defaultdict[str, Fraction] = defaultdict(Fraction)
    for name, weight in zip(passage.node.input, _weights(passage), strict=True):
        total[name] += weight
    return total


def _times(affine: ChannelAffine, ratio: Fraction) -> ChannelAffine:
    """The same scale, and a multiple of the shift."""
    over, under = Doubled.exact(float(ratio.numerator)), Doubled.exact(float(ratio.denominator))
    return replace(affine, shift=affine.shift * over / under)


def up(affine: ChannelAffine, passage: Passage) -> tuple[Moved, ...] | Kept:
    if broadcasts_by_attribute(passage):
        return stay(Reason.OLD_OPSET, passage)
    names, total = passage.node.input, _totals(passage)
    if not all(total.values()):
        return stay(Reason.UNUSUAL_FORM, passage)
    scaled = dict.fromkeys(range(len(names)), scale_of(affine))
    choices, is_of_more = [scaled], False
    if not affine.is_scale:
        first = {name: slot for slot, name in reversed(list(enumerate(names)))}
        takers = constants_first(sorted(first.values()), passage)
        is_of_more = len(takers) > _MOST_WAYS
        choices = [
            scaled | dict.fromkeys(twins(passage, slot), _times(affine, 1 / total[names[slot]]))
            for slot in takers[:_MOST_WAYS]
        ]
    found = ways(choices, passage)
    if isinstance(found, Reason):
        return stay(found, passage)
    offered = (*found, *_even(affine, scaled, passage))
    return tuple(replace(way, is_of_more=True) for way in offered) if is_of_more else offered


def _even(
    affine: ChannelAffine, scaled: Mapping[int, ChannelAffine], passage: Passage
) -> tuple[Moved, ...]:
    """The way on which the shift goes to all operands alike, of several that are computed."""
    names, whole = passage.node.input, sum(_weights(passage), Fraction())
    is_one = len(set(names)) == 1 or any(map(passage.around.is_constant, names))
    if affine.is_scale or is_one or not whole:
        return ()
    part = handed(dict.fromkeys(scaled, _times(affine, 1 / whole)), passage)
    return () if isinstance(part, Reason) else (replace(part, is_even=True),)


def _sum(weighted: Sequence[tuple[ChannelAffine, Fraction]]) -> ChannelAffine | None:
    """The scale that all have, and what their shifts come to; None if they do not fit together."""
    scale = scale_of(weighted[0][0]).narrowed()
    whole = scale
    for affine, weight in weighted:
        shift = _times(affine.parts()[1], weight).narrowed()
        if not scale_of(affine).equals(scale) or not shift.agrees_with(whole):
            return None
        whole = shift.after(whole)
    return whole.narrowed()


def join(affines: Mapping[int, ChannelAffine], passage: Passage) -> Moved | Kept:
    if broadcasts_by_attribute(passage):
        return stay(Reason.OLD_OPSET, passage)
    total = _totals(passage)
    names = {passage.node.input[slot]: affine for slot, affine in affines.items()}
    if not all(total[name] for name in names):
        return stay(Reason.UNUSUAL_FORM, passage)
    others, are_constants = left_out(affines, passage)
    is_shift = all(affine.is_shift for affine in affines.values())
    if not are_constants and not is_shift:
        return stay(Reason.OTHER_BRANCH, passage)
    behind = _sum([(affine.narrowed(), total[name]) for name, affine in names.items()])
    if behind is None:
        return stay(Reason.BRANCHES_DIFFER, passage)
    if is_shift or not others:
        return Moved({0: behind})
    back = inverse(scale_of(behind))
    if back is None:
        return stay(Reason.UNUSUAL_FORM, passage)
    moved = handed(dict.fromkeys(others, back), passage)
    return (
        stay(moved, passage) if isinstance(moved, Reason) else Moved({0: behind}, moved.constants)
    )


RULE = Carrier(("Add", "Sub", "Sum", "Mean"), up, of_one_value(join), join)
