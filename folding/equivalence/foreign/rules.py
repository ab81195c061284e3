"""From a node to the value that it is, whichever of several ways it was written in."""

from __future__ import annotations

from folding.equivalence.foreign import activations, affines, layers, moving, shapes
from folding.equivalence.foreign.shapes import Rule
from folding.equivalence.foreign.terms import Call, Term, Value

#: In this order; the first that gives a value decides.
_TABLES = (
    affines.RULES,
    activations.RULES,
    layers.RULES,
    shapes.RULES,
    moving.RULES,
    moving.POINTWISE,
)
_BROADCASTS_SINCE = 7


def make(call: Call) -> Value:
    """The value of a node with one output."""
    for table in () if call.domain or _broadcasts_by_attribute(call) else _TABLES:
        rule = table.get(call.operator)
        value = _tried(rule, call) if rule is not None else None
        if value is not None:
            return value
    return Term(call, 0)


def _broadcasts_by_attribute(call: Call) -> bool:
    """Whether an operator below opset 7 lays its inputs over each other as no rule knows."""
    is_old = call.is_own("PRelu") and call.version < _BROADCASTS_SINCE
    return is_old or bool(call.attributes.get("broadcast"))


def _tried(rule: Rule, call: Call) -> Value | None:
    """What a rule makes of a node; nothing if its inputs do not fit, which runtimes refuse too."""
    try:
        return rule(call, make)
    except (ValueError, IndexError, ZeroDivisionError):
        return None
