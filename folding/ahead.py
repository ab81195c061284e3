"""Where the lines of a walk go on: behind a turn, and where several come together.

    layer ─ Split ─┬─ carrier ─┐
                   └─ carrier ─┴─ Concat ─ affine

Of a node with several outputs each may have a line to it. So such a node is the end of them all,
and one line goes on from there, with what all have brought.

    layer ─┬─ carrier ─┐
           └───────────┴─ Sub ─ affine

A value that several nodes read is the end of the lines from all of them, and one line goes on if
they ask the same of it, or each of other channels. Those who take other channels than all lines
(see ``apart``) need not be on one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from folding.affine import ChannelAffine
from folding.apart import is_apart, own_part
from folding.carriers import CARRIERS
from folding.draft import Draft
from folding.plan import Kept, Reason
from folding.protos import is_default_domain
from folding.way import Edge, Fork, Line, Turn

Begin = tuple[Edge | Fork, ChannelAffine]

#: A value with more readers than that is not taken for one whose readers meet again.
_MOST_READERS = 32
#: So many forks are passed on one way: a long row of them is walked by each affine behind it.
_MOST_FORKS = 64
#: What a line may go over: carriers, and affines, which are of these operators.
_ON_A_WAY = CARRIERS.keys() | {"BatchNormalization", "Neg"}


@dataclass(slots=True)
class Ahead:
    """Where lines are still to begin, and with which affine.

    ``meetings`` are those before nodes with several outputs, to which other lines may come, and
    ``forks`` the values that other lines must come to, each with how many slots still miss.
    ``open`` are those where no line is missed, since all that came take channels of their own.
    """

    draft: Draft
    begins: list[Begin | Kept] = field(default_factory=list)
    meetings: dict[Edge, ChannelAffine] = field(default_factory=dict)
    forks: dict[str, tuple[Fork, int]] = field(default_factory=dict)
    open: frozenset[str] = frozenset()
    passed: int = 0

    def __bool__(self) -> bool:
        return bool(self.begins or self.meetings or self.forks)

    def copy(self) -> Ahead:
        begins, meetings, forks = [*self.begins], {**self.meetings}, {**self.forks}
        return replace(self, begins=begins, meetings=meetings, forks=forks)

    def pop(self) -> Begin | Kept:
        """The next one; before a node where lines meet, those from all that comes after it.

        Kept if there is none that leads on.
        """
        if self.begins:
            return self.begins.pop()
        edge = max(self.meetings, key=lambda edge: edge.node, default=None)
        ready = () if self.passed == _MOST_FORKS else self.open & self.forks.keys()
        value = max(ready, key=self._place, default="")
        if value and (edge is None or self._place(value) > (edge.node, 0)):
            fork, _ = self.forks.pop(value)
            self.passed += 1
            return fork, fork.affine
        if edge is not None:
            return edge, self.meetings.pop(edge)
        value, (_, missing) = next(iter(self.forks.items()))
        is_missed = missing and value not in self.open
        return Kept(Reason.FORKED if is_missed else Reason.TOO_MANY_WAYS, value)

    def add(self, line: Line) -> None:
        """Go on behind a line that ends at a turn, or at a fork as the last one."""
        if isinstance(line.end, Fork):
            self._gather(line.end)
        for edge, affine in self._behind(line):
            if not has_several_outputs(self.draft, edge.node):
                self.begins.append((edge, affine))
            elif edge in self.meetings:
                self.meetings[edge] = affine.after(self.meetings[edge])
            else:
                self.meetings[edge] = affine

    def _place(self, value: str) -> tuple[int, int]:
        """Where a value is made, in graph order: a new node stands behind an old one."""
        index = self.draft.producer(value) or 0
        return self.draft.after.get(index, index), index

    def _gather(self, fork: Fork) -> None:
        """One line less is missing at a fork."""
        value, affine = fork.value, fork.affine
        first, missing = self.forks.pop(value, (fork, self.draft.readers(value).count))
        missing -= len(fork.edge.slots)
        is_alone = is_apart(self.draft, value, fork.edge.node, affine.axis)
        is_open = is_alone and (first is fork or value in self.open)
        self.open = self.open | {value} if is_open else self.open - {value}
        if is_open and first is not fork and first.affine.agrees_with(affine):
            first = replace(first, affine=first.affine.after(affine))
        elif not first.affine.equals(affine):
            self.begins.append(Kept(Reason.BRANCHES_DIFFER, value))
            return
        if missing or self.passed == _MOST_FORKS:
            self.forks[value] = first, missing
        else:
            self.begins.append((first, first.affine))
            self.passed += 1

    def _behind(self, line: Line) -> Iterable[tuple[Edge, ChannelAffine]]:
        """Where the lines behind a turn begin, the last first; slots of one value are one."""
        if not isinstance(line.end, Turn):
            return ()
        node, affines = self.draft.node(line.end.node), line.end.moved.affines
        slots: dict[str, list[int]] = {}
        for slot in sorted(affines):
            slots.setdefault(node.input[slot], []).append(slot)
        begins = [(Edge(line.end.node, tuple(s)), affines[s[0]]) for s in slots.values()]
        return begins[::-1]


def has_several_outputs(draft: Draft, index: int) -> bool:
    """Whether a node makes more than one value that is read."""
    outputs = draft.node(index).output
    return len(outputs) > 1 and sum(map(draft.is_read, outputs)) > 1


def parting(draft: Draft, fork: Fork, before: int | None) -> Fork | Kept:
    """What a line asks of a value that others read too; Kept if that cannot be.

    They may all be on ways that meet again before some node, which is None if there is none.
    """
    value, readers = fork.value, draft.readers(fork.value)
    are_on_ways = before is not None and all(
        (index < before or index in draft.after)
        and draft.node(index).op_type in _ON_A_WAY
        and is_default_domain(draft.node(index))
        for index in islice(readers, _MOST_READERS + 1)
    )
    if not are_on_ways:
        return own_part(draft, fork) or Kept(Reason.FORKED, value)
    return Kept(Reason.TOO_MANY_WAYS, value) if readers.count > _MOST_READERS else fork


@dataclass(slots=True)
class Saved:
    """Other ways that were offered: the place of the line, what was ahead then, and the other line.

    That of operands that ask the same (``is_even``) is tried when the others of its node have
    failed, and only if some branches have met that asked different things. ``limited`` is the first
    node with more ways than it offers.
    """

    others: list[tuple[int, Ahead, Line]] = field(default_factory=list)
    even: list[tuple[int, Ahead, Line]] = field(default_factory=list)
    have_met: bool = False
    limited: int | None = None

    def add(self, place: int, ahead: Ahead, line: Line) -> None:
        """The other ways that the end of a line offers, of which the first is tried first."""
        if isinstance(line.end, Turn):
            if line.end.moved.is_of_more and self.limited is None:
                self.limited = line.end.node
            for way in reversed(line.end.others):
                end = replace(line.end, moved=way, others=())
                saved = self.even if way.is_even else self.others
                saved.append((place, ahead.copy(), replace(line, end=end)))

    def pop(self, trouble: Kept) -> tuple[int, Ahead, Line] | None:
        """The next one to try, None if there is none that may help."""
        self.have_met = self.have_met or trouble.reason is Reason.BRANCHES_DIFFER
        reached = self.others[-1][0] if self.others else -1
        is_even = self.have_met and self.even and self.even[-1][0] > reached
        if not is_even and not self.others:
            return None
        found = (self.even if is_even else self.others).pop()
        self.even = [saved for saved in self.even if saved[0] <= found[0]]
        return found
