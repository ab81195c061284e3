"""Inputs that may come in any order, brought into the order of those that they may match."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from folding.equivalence.foreign.terms import Value


@dataclass(slots=True)
class _Alike:
    """Values of one key that are still to be taken, by their names."""

    named: dict[str, deque[Value]] = field(default_factory=dict)
    count: Counter[int] = field(default_factory=Counter)

    def put(self, value: Value) -> None:
        self.named.setdefault(value.name, deque()).append(value)
        self.count[id(value)] += 1

    def take(self, name: str) -> tuple[Value, bool]:
        """The one of that name, else the first; and whether it is certainly the right one."""
        is_certain = len(self.count) == 1 or len(self.named.get(name, ())) == 1
        values = self.named[name if name in self.named else next(iter(self.named))]
        value = values.popleft()
        if not values:
            del self.named[value.name]
        self.count[id(value)] -= 1
        if not self.count[id(value)]:
            del self.count[id(value)]
        return value, is_certain


def arranged(
    ours: Sequence[Value | None], theirs: Sequence[Value | None]
) -> tuple[list[Value | None], bool]:
    """The other's inputs, one for each of ours, and whether nothing had to be guessed.

    They go by their keys; where keys are alike, by their names, else in order.
    """
    groups: dict[int, _Alike] = {}
    rest: deque[Value | None] = deque()
    for value in theirs:
        if value is not None:
            groups.setdefault(value.key, _Alike()).put(value)
        else:
            rest.append(value)
    found: list[Value | None] = [None] * len(ours)
    open_, is_certain = list[int](), True
    for slot, value in enumerate(ours):
        alike = None if value is None else groups.get(value.key)
        if value is None or alike is None or not alike.named:
            open_.append(slot)
            continue
        found[slot], is_sure = alike.take(value.name)
        is_certain = is_certain and is_sure
    for alike in groups.values():
        rest.extend(value for values in alike.named.values() for value in values)
    for slot in open_:
        found[slot] = rest.popleft()
    return found, is_certain
