"""From a node to the value that it is, whichever of several ways it was written in."""

from __future__ import annotations

from folding.equivalence.foreign import affines, layers, moving, shapes
from folding.equivalence.foreign.shapes import Rule
from folding.equivalence.foreign.terms import Call, Term, Value

#: In this order; the first that gives a value decides.
_TABLES = (affines.RULES, layers.RULES, shapes.RULES, moving.RULES, moving.POINTWISE)


def make(call: Call) -> Value:
    """The value of a node with one output."""
    for table in () if call.domain else _TABLES:
        rule = table.get(call.operator)
        value = _tried(rule, call) if rule is not None else None
        if value is not None:
            return value
    return Term(call, 0)


def _tried(rule: Rule, call: Call) -> Value | None:
    """What a rule makes of a node; nothing if its inputs do not fit, which runtimes refuse too."""
    try:
        return rule(call, make)
    except (ValueError, IndexError):
        return None
