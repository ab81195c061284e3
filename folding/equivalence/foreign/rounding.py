"""What is rounded on the way to a constant that a graph computes, and whether T can be trusted.

T is evaluated without rounding. A runtime rounds each step to the type of its result. Each of k
steps adds at most u times the size of what is added up there, and passes on what came before, so
that all together are within k * u * A of T (Higham, Accuracy and Stability of Numerical Algorithms,
2nd ed., lemma 3.1 and section 3.3). u is that of the coarsest type on the way, and k the length of
the longest one. T says nothing where a step may overflow, may lose digits below the least normal
number, or converts what is small beside the terms that it is left of.

Which steps lead to a constant of the file is told by its name. What a fold or a rule computed from
several has none: any step of the scope may be part of that, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from folding.constants import Constants, Stored
from folding.doubled import Doubled
from folding.equivalence.foreign.numbers import Constant, is_big_product
from folding.equivalence.foreign.steps import (
    Place,
    Spellings,
    Step,
    behind,
    everything,
    found,
    node_of,
    place,
    reads,
)
from folding.floats import FLOATS
from folding.recipes import Direct

#: Operators that round, and how often at most: a power is that of a library, and a conversion of
#: numbers that are off may go to either side.
_ROUNDINGS = {
    **dict.fromkeys(("Add", "Div", "Mul", "Reciprocal", "Sqrt", "Sub"), 1),
    **dict.fromkeys(("Cast", "Pow"), 2),
}
#: What they give is exact where it is below the least normal number.
_SUMS = frozenset({"Add", "Sub"})


@dataclass(frozen=True, slots=True)
class Way:
    """The steps to a constant: their largest u, how many follow each other, and whether T holds."""

    roundoff: float = 0.0
    steps: int = 0
    is_certain: bool = True

    @property
    def error(self) -> float:
        """How far off T the constant may be, in units of A."""
        return self.steps * self.roundoff

    def joined(self, other: Way) -> Way:
        """Both at once."""
        return Way(
            max(self.roundoff, other.roundoff),
            max(self.steps, other.steps),
            self.is_certain and other.is_certain,
        )


_EXACT = Way()


@dataclass(slots=True)
class Ways:
    """What is rounded on the way to the constants of two models; each step is looked at once."""

    _spellings: Spellings = field(default_factory=Spellings)
    _own: dict[Place, Way] = field(default_factory=dict)
    _others: dict[tuple[int, int], Way] = field(default_factory=dict)

    def to(self, constant: Constant, beside: Constants | None = None) -> Way:
        """The way to a constant.

        Without a name of its own, that may be any of its scope, but for what the scope ``beside``
        computes as well.
        """
        if isinstance(constant.source, Stored):
            return _EXACT
        if is_own(constant):
            return self._to_step(found(constant.constants, constant.name))
        pair = id(constant.constants), id(beside)
        if pair not in self._others:
            self._others[pair] = self._any(constant.constants, beside)
        return self._others[pair]

    def are_alike(self, ours: Constant, theirs: Constant) -> bool:
        """Whether a runtime computes both alike, be it right or wrong."""
        if not is_own(ours) or not is_own(theirs):
            return False
        steps = (found(constant.constants, constant.name) for constant in (ours, theirs))
        one, other = map(self._spellings.of, steps)
        return one == other

    def _to_step(self, step: Step) -> Way:
        for one in behind(step, self._own):
            self._own[place(one)] = _way(one, self._own)
        return self._own.get(place(step), _EXACT)

    def _any(self, constants: Constants, beside: Constants | None) -> Way:
        """The ways to all constants of a scope, as one."""
        shared = {self._spellings.of(step) for step in everything(beside) if _may_round(step)}
        ways: dict[Place, Way] = {}
        for step in everything(constants):
            way = _way(step, ways)
            is_shared = way.steps and _may_round(step) and self._spellings.of(step) in shared
            ways[place(step)] = _EXACT if is_shared else way
        whole = _EXACT
        for way in ways.values():
            whole = whole.joined(way)
        return whole


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


def is_exact(constant: Constant) -> bool:
    """Whether a runtime has the very numbers of a constant."""
    way = Ways().to(constant) if isinstance(constant.source, Stored) or is_own(constant) else None
    return way is not None and not way.steps


def _way(step: Step, known: dict[Place, Way]) -> Way:
    """The way to a step, those to its inputs being known."""
    before = _EXACT
    for read in reads(step):
        before = before.joined(known.get(place(read), _EXACT))
    home, name = step
    node = node_of(step)
    if node is None or not _may_round(step) or (node.op_type == "Cast" and not before.steps):
        return before  # T rounds where exact numbers are converted.
    kind = FLOATS.get(home.scope.type(name))
    roundoff = max(before.roundoff, kind.roundoff if kind is not None else 0.0)
    steps = before.steps + _ROUNDINGS[node.op_type]
    return Way(roundoff, steps, before.is_certain and _is_certain(step))


def _may_round(step: Step) -> bool:
    home, name = step
    node = node_of(step)
    if node is None or node.op_type not in _ROUNDINGS:
        return False
    return is_big_product(home, node) or isinstance(home.value(name), Doubled)


def _is_certain(step: Step) -> bool:
    """Whether rounding leaves each number finite and normal. Sums may come near to half."""
    home, name = step
    node, value, kind = node_of(step), home.value(name), FLOATS.get(home.scope.type(name))
    if node is None or not isinstance(value, Doubled) or kind is None:
        return value is None  # A product of a weight: told where it is made.
    before = home.value(node.input[0]) if node.op_type == "Cast" else None
    with np.errstate(all="ignore"):
        if isinstance(before, Doubled) and (before.magnitude > 2 * np.abs(before.high)).any():
            return False
        size = np.abs(value.high)
        is_small = (size > 0) & (size < 2 * kind.tiny) & (node.op_type not in _SUMS)
        return not (is_small | ~(value.magnitude <= kind.largest / 2)).any()
