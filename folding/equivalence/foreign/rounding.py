"""What is rounded on the way to a constant that a graph computes, and whether T can be trusted.

T is evaluated without rounding. A runtime rounds each step to the type of its result: so u must be
that of the coarsest type on the way, and T says nothing where a step may overflow, may lose digits
below the least normal number, or converts what is small beside the terms that it is left of.

Which steps lead to a constant of the file is told by its name. What a fold or a rule computed from
several has none: any step of the scope may be part of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from folding.constants import Constants, Stored
from folding.doubled import Doubled
from folding.equivalence.foreign.numbers import Constant
from folding.floats import FLOATS
from folding.recipes import Direct

_ROUNDING = frozenset({"Add", "Cast", "Div", "Mul", "Pow", "Reciprocal", "Sqrt", "Sub"})

#: What they give is exact where it is below the least normal number.
_SUMS = frozenset({"Add", "Sub"})

#: A computed constant by name, and the scope that computes it.
_Step = tuple[Constants, str]


@dataclass(frozen=True, slots=True)
class Way:
    """The steps to a constant: their largest u, and whether T is what they give but for that.

    ``is_own`` says that all of them are known to lead to it.
    """

    roundoff: float
    is_certain: bool
    is_own: bool


def way_to(constant: Constant) -> Way:
    """What is rounded on the way to a constant."""
    if isinstance(constant.source, Stored):
        return Way(0.0, is_certain=True, is_own=True)
    own = is_own(constant)
    found = _behind(constant) if own else _all(constant.constants)
    steps = [step for step in found if _rounds(*step)]
    if all(_is_cast(*step) for step in steps):
        return Way(0.0, is_certain=True, is_own=own)  # T rounds where numbers are converted.
    roundoff = max((_roundoff(*step) for step in steps), default=0.0)
    return Way(roundoff, all(_is_certain(*step) for step in steps), own)


def is_own(constant: Constant) -> bool:
    """Whether a constant is what the expression of its name gives, perhaps in other dimensions."""
    source = constant.source
    if not isinstance(source, Direct) or constant.name not in constant.constants:
        return False
    seen, made = source.value, constant.constants.value(constant.name)
    return isinstance(made, Doubled) and all(
        np.array_equal(a.reshape(-1), b.reshape(-1), equal_nan=True)
        for a, b in ((seen.high, made.high), (seen.low, made.low))
    )


def _rounds(home: Constants, name: str) -> bool:
    """Whether a step rounds, and T does not."""
    node = home.node(name)
    if node is None or node.op_type not in _ROUNDING or not isinstance(home.value(name), Doubled):
        return False
    return node.op_type != "Cast" or home.stored(node.input[0]) is None


def _is_cast(home: Constants, name: str) -> bool:
    node = home.node(name)
    return node is not None and node.op_type == "Cast"


def _roundoff(home: Constants, name: str) -> float:
    kind = FLOATS.get(home.scope.type(name))
    return 0.0 if kind is None else kind.roundoff


def _is_certain(home: Constants, name: str) -> bool:
    """Whether rounding leaves each number finite and normal. Sums may come near to half."""
    node, value, kind = home.node(name), home.value(name), FLOATS.get(home.scope.type(name))
    if node is None or not isinstance(value, Doubled) or kind is None:
        return False
    before = home.value(node.input[0]) if node.op_type == "Cast" else None
    with np.errstate(all="ignore"):
        if isinstance(before, Doubled) and (before.magnitude > 2 * np.abs(before.high)).any():
            return False
        size = np.abs(value.high)
        is_small = (size > 0) & (size < 2 * kind.tiny) & (node.op_type not in _SUMS)
        return not (is_small | ~(value.magnitude <= kind.largest / 2)).any()


def _behind(constant: Constant) -> Iterator[_Step]:
    """The computed constants that one is computed from, itself among them."""
    todo, seen = [(constant.constants, constant.name)], set[tuple[int, str]]()
    while todo:
        home, name = todo.pop()
        while not home.scope.has(name) and home.outer is not None:
            home = home.outer
        node = home.node(name)
        if node is not None and (id(home), name) not in seen:
            seen.add((id(home), name))
            yield home, name
            todo += [(home, read) for read in node.input if read]


def _all(constants: Constants | None) -> Iterator[_Step]:
    """The computed constants of a scope and those around it."""
    while constants is not None:
        for makes in constants.scope.makes:
            yield from ((constants, name) for name in makes if name)
        constants = constants.outer
