"""Carriers of a constant: what they make has a size of the run, but numbers that are known.

    token ─ Expand(batch) ─ affine ─ y          before
    token' ─ Expand(batch) ─ y                  after

    table ─ Slice(length) ─ affine ─ y          before
    table' ─ Slice(length) ─ y                  after

Where a rule has the affine stand before its data, and that is a constant, the constant takes it in.

1. Its numbers are known, and stay finite.
2. It does not grow: what the affine acts along is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from folding.carriers.base import Moved, Passage, stay
from folding.carriers.operands import applied
from folding.plan import Kept, Reason


def taken_in(ways: Sequence[Moved], passage: Passage) -> tuple[Moved, ...] | Kept:
    """Those of some ways on which every constant takes in what would stand before it."""
    found = [_taken_in(way, passage) for way in ways]
    open_ways = tuple(way for way in found if isinstance(way, Moved))
    return open_ways or stay(next(way for way in found if isinstance(way, Reason)), passage)


def _taken_in(way: Moved, passage: Passage) -> Moved | Reason:
    node, around = passage.node, passage.around
    affines, constants = dict(way.affines), dict(way.constants)
    for slot, affine in way.affines.items():
        name = node.input[slot]
        if not around.is_constant(name):
            continue
        value = around.numbers(name)
        if value is None:
            return Reason.TOO_COMPLEX
        taken = applied(affine, value)
        if taken.shape != value.shape:
            return Reason.OPERAND_GROWS
        if not taken.is_finite():
            return Reason.NOT_FINITE
        constants[slot] = taken
        del affines[slot]
    return replace(way, affines=affines, constants=constants)
