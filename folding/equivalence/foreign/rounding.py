"""What is rounded on the way to a constant that a graph computes, and whether T can be trusted.

T is evaluated without rounding. A runtime rounds each step to the type of its result. Each of k
steps adds at most u times the size of what is added up there, and passes on what came before, so
that all together are within k * u * A of T (Higham, Accuracy and Stability of Numerical Algorithms,
2nd ed., lemma 3.1 and section 3.3). u is that of the coarsest type on the way, and k how many of
them are in one term: those to both operands of a product, the more of both of a sum.

A step on exact numbers is one of IEEE 754: it rounds to the nearest number, or not at all. So what
one step makes of stored numbers is told, bit by bit (a second rounding, of a type that computes in
a wider one, goes the same way: Figueroa, When is double rounding innocuous?, 1995).

T says nothing where a step may overflow, may lose digits below the least normal number, or converts
what is small beside the terms that it is left of.

What a fold or a rule computes from several constants has the ways to all of them, one behind the
other where they are multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from folding.doubled import Doubled, Doubles
from folding.equivalence.foreign.numbers import Constant, is_big_product
from folding.equivalence.foreign.steps import (
    Place,
    Spellings,
    Step,
    behind,
    node_of,
    place,
    reads,
)
from folding.floats import FLOATS, FloatType
from folding.recipes import Direct
from folding.stored import Stored

#: Operators that round, and how often at most: a power is that of a library, and a conversion of
#: numbers that are off may go to either side.
_ROUNDINGS = {
    **dict.fromkeys(("Add", "Div", "Mul", "Reciprocal", "Sqrt", "Sub"), 1),
    **dict.fromkeys(("Cast", "Pow"), 2),
}
_CALCULATING = _ROUNDINGS.keys() - {"Cast"}
#: What they give is exact where it is below the least normal number.
_SUMS = frozenset({"Add", "Sub"})
#: Where what both operands are off adds up, relative to their sizes.
_MULTIPLYING = frozenset({"Div", "Mul"})
#: As good as any larger number of steps.
_MANY = 1 << 20


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

    def behind(self, other: Way, *, is_added: bool) -> Way:
        """The way to a constant to which another one is added, or multiplied with it."""
        return Way(
            max(self.roundoff, other.roundoff),
            max(self.steps, other.steps) if is_added else min(self.steps + other.steps, _MANY),
            self.is_certain and other.is_certain,
        )


_EXACT = Way()


@dataclass(slots=True)
class Ways:
    """What is rounded on the way to the constants of two models; each step is looked at once."""

    _spellings: Spellings = field(default_factory=Spellings)
    _known: dict[Place, Way] = field(default_factory=dict)

    def to(self, constant: Constant, beside: Constant | None = None) -> Way:
        """The way to a constant, but for what the one ``beside`` it is computed from as well."""
        ways = ((is_added, step, self._to_step(step)) for is_added, step in constant.parts)
        rounding = [found for found in ways if found[2].steps]
        given = beside.parts if beside is not None and rounding else ()
        shared = {self._spellings.of(step) for _, step in given}
        whole = _EXACT
        for is_added, step, way in rounding:
            if not shared or self._spellings.of(step) not in shared:
                whole = whole.behind(way, is_added=is_added)
        return whole

    def are_told_same(self, ours: Constant, theirs: Constant) -> bool | None:
        """Whether a runtime has the same numbers for both; None if it is not told which it has."""
        # Those first that may not be told, so that no large one is read in vain.
        both = sorted((ours, theirs), key=lambda constant: isinstance(constant.source, Stored))
        one = self._told(both[0])
        other = None if one is None else self._told(both[1])
        if one is None or other is None:
            return None
        if not one.all() and any(map(_is_calculated, both)):
            return False  # Of which sign a zero is that is calculated, is not evaluated.
        have_signs = np.array_equal(np.signbit(one), np.signbit(other))
        return have_signs and np.array_equal(one, other)

    def _told(self, constant: Constant) -> Doubles | None:
        """The very numbers that a runtime has: stored ones, and what one rounding makes of them."""
        if isinstance(constant.source, Stored):
            return constant.array().astype(np.float64)
        way, value = self.to(constant), constant.doubled()
        if value is None or way.steps > 1 or not way.is_certain or not is_own(constant):
            return None
        return _rounded_once(value, FLOATS[constant.elem_type])

    def are_alike(self, ours: Constant, theirs: Constant) -> bool:
        """Whether a runtime computes both in the same steps."""
        spelled = [[self._spellings.of(step) for _, step in c.parts] for c in (ours, theirs)]
        return spelled[0] == spelled[1] and is_own(ours) and is_own(theirs)

    def _to_step(self, step: Step) -> Way:
        for one in behind(step, self._known):
            self._known[place(one)] = _way(one, self._known)
        return self._known.get(place(step), _EXACT)


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
    return not Ways().to(constant).steps


def _way(step: Step, known: dict[Place, Way]) -> Way:
    """The way to a step, those to its inputs being known."""
    before, node = _EXACT, node_of(step)
    multiplies = node is not None and node.op_type in _MULTIPLYING
    for read in reads(step):
        before = before.behind(known.get(place(read), _EXACT), is_added=not multiplies)
    if node is not None and node.op_type == "Pow":
        before = before.behind(before, is_added=False)  # A square; no other power takes more.
    home, name = step
    if node is None or not _may_round(step) or (node.op_type == "Cast" and not before.steps):
        return before  # T rounds where exact numbers are converted.
    if not before.steps and _is_exact(step):
        return before
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


def _is_calculated(constant: Constant) -> bool:
    """Whether a constant is more than numbers that were moved or converted."""
    steps = (one for _, step in constant.parts for one in behind(step))
    nodes = (node_of(step) for step in steps)
    return any(node is not None and node.op_type in _CALCULATING for node in nodes)


def _rounded_once(value: Doubled, kind: FloatType) -> Doubles:
    """The nearest numbers of a type, as float64."""
    high = value.high
    if kind.dtype == high.dtype:
        return high
    # As near as float64 comes without standing where a second rounding goes elsewhere.
    beside = np.nextafter(high, np.copysign(np.inf, value.low))
    return kind.round(np.where(value.low == 0, high, beside)).astype(np.float64)


def _is_exact(step: Step) -> bool:
    """Whether a step on exact numbers gives such as need no rounding."""
    home, name = step
    value, kind = home.value(name), FLOATS.get(home.scope.type(name))
    if not isinstance(value, Doubled) or kind is None or not _is_certain(step):
        return False
    kept = kind.round(value.high).astype(np.float64) == value.high
    return bool((kept & (value.low == 0)).all())


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
