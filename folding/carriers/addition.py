"""Add, Sub, Sum and Mean of branches.

    a ───────┐                                   a ─ s·a + t ─┐
    b ─ Add ─┴─ affine ─ y      before           b ─ s·b ─────┴─ Add ─ y        after

Each operand has a weight: 1, -1 on the right of a Sub, 1/n in a Mean of n. Upward s goes to all
operands, and t to one of them, divided by the weight it has in all its slots together: halved in
Add(x, x), negative on the right of a Sub. Downward t is multiplied by that weight.

1. Upward, an operand without the channels takes an affine only if it is the same for all of them,
   and t goes to one that has them; how many it has must be known. A constant operand takes in what
   it is given, and may grow; t goes there if there is one, at no cost. Of many operands only the
   first few are tried for t.
2. A value whose slots cancel out, as in Sub(x, x), takes nothing.
3. Downward, s must be 1, unless all operands are the same value, or the others are constants, which
   are divided by s: then no scale may be zero.
4. Below opset 7 an attribute of Add and Sub says how they broadcast: refused.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.carriers.operands import (
    broadcasts_by_attribute,
    constants_first,
    handed,
    inverse,
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


def _times(affine: ChannelAffine, ratio: Fraction) -> ChannelAffine:
    """The same scale, and a multiple of the shift."""
    over, under = Doubled.exact(float(ratio.numerator)), Doubled.exact(float(ratio.denominator))
    return replace(affine, shift=affine.shift * over / under)


def up(affine: ChannelAffine, passage: Passage) -> tuple[Moved, ...] | Kept:
    if broadcasts_by_attribute(passage):
        return stay(Reason.OLD_OPSET, passage)
    names = passage.node.input
    total: defaultdict[str, Fraction] = defaultdict(Fraction)
    for name, weight in zip(names, _weights(passage), strict=True):
        total[name] += weight
    if not all(total.values()):
        return stay(Reason.UNUSUAL_FORM, passage)
    scaled = dict.fromkeys(range(len(names)), scale_of(affine))
    choices = [scaled]
    if not affine.is_scale:
        first = {name: slot for slot, name in reversed(list(enumerate(names)))}
        takers = constants_first(sorted(first.values()), passage)[:_MOST_WAYS]
        choices = [
            scaled | dict.fromkeys(twins(passage, slot), _times(affine, 1 / total[names[slot]]))
            for slot in takers
        ]
    found = ways(choices, passage)
    return stay(found, passage) if isinstance(found, Reason) else found


def down(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    if broadcasts_by_attribute(passage):
        return stay(Reason.OLD_OPSET, passage)
    names, weights = passage.node.input, _weights(passage)
    shared = twins(passage, passage.place)
    weight = sum((weights[slot] for slot in shared), Fraction(0))
    if not weight:
        return stay(Reason.UNUSUAL_FORM, passage)
    behind = {0: _times(affine, weight).narrowed()}
    others = [slot for slot in range(len(names)) if slot not in shared]
    if affine.is_shift or not others:
        return Moved(behind)
    if not all(passage.around.is_constant(names[slot]) for slot in others):
        return stay(Reason.OTHER_BRANCH, passage)
    back = inverse(scale_of(affine))
    if back is None:
        return stay(Reason.UNUSUAL_FORM, passage)
    moved = handed(dict.fromkeys(others, back), passage)
    return stay(moved, passage) if isinstance(moved, Reason) else Moved(behind, moved.constants)


RULE = Carrier(("Add", "Sub", "Sum", "Mean"), up, down)
