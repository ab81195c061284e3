"""Where the lines of a walk go on: behind a turn, and where several come together.

    layer ─ Split ─┬─ carrier ─┐
                   └─ carrier ─┴─ Concat ─ affine

Of a node with several outputs each may have a line to it. So such a node is the end of them all,
and one line goes on from there, with what all have brought.

    layer ─┬─ carrier ─┐
           └───────────┴─ Sub ─ affine

A value that several nodes read is the end of the lines from all of them, and one line goes on if
they ask the same of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from folding.affine import ChannelAffine
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
    """

    draft: Draft
    begins: list[Begin | Kept] = field(default_factory=list)
    meetings: dict[Edge, ChannelAffine] = field(default_factory=dict)
    forks: dict[str, tuple[Fork, int]] = field(default_factory=dict)
    passed: int = 0

    def __bool__(self) -> bool:
        return bool(self.begins or self.meetings or self.forks)

    def copy(self) -> Ahead:
        return Ahead(self.draft, [*self.begins], {**self.meetings}, {**self.forks}, self.passed)

    def pop(self) -> Begin | Kept:
        """The next one; before a node where lines meet, those from all that comes after it.

        Kept if there is none that leads on.
        """
        if self.begins:
            return self.begins.pop()
        if self.meetings:
            edge = max(self.meetings, key=lambda edge: edge.node)
            return edge, self.meetings.pop(edge)
        value, (_, missing) = next(iter(self.forks.items()))
        return Kept(Reason.FORKED if missing else Reason.TOO_MANY_WAYS, value)

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

    def _gather(self, fork: Fork) -> None:
        """One line less is missing at a fork."""
        known = fork, self.draft.readers(fork.value).count
        first, missing = self.forks.pop(fork.value, known)
        missing -= len(fork.edge.slots)
        if not first.affine.equals(fork.affine):
            self.begins.append(Kept(Reason.BRANCHES_DIFFER, fork.value))
        elif missing or self.passed == _MOST_FORKS:
            self.forks[fork.value] = first, missing
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


def where_parting(draft: Draft, value: str, before: int) -> Kept | None:
    """Why what reads a value cannot all be on ways that meet again before some node, if so."""
    readers = draft.readers(value)
    are_on_ways = all(
        (index < before or index in draft.after)
        and draft.node(index).op_type in _ON_A_WAY
        and is_default_domain(draft.node(index))
        for index in islice(readers, _MOST_READERS + 1)
    )
    if not are_on_ways:
        return Kept(Reason.FORKED, value)
    return Kept(Reason.TOO_MANY_WAYS, value) if readers.count > _MOST_READERS else None


@dataclass(slots=True)
class Saved:
    """Other ways that were offered: the place of the line, what was ahead then, and the other line.

    That of operands that ask the same (``is_even``) is tried when the others of its node have
    failed, and only if some branches have met that asked different things.
    """

    others: list[tuple[int, Ahead, Line]] = field(default_factory=list)
    even: list[tuple[int, Ahead, Line]] = field(default_factory=list)
    have_met: bool = False

    def add(self, place: int, ahead: Ahead, line: Line) -> None:
        """The other ways that the end of a line offers, of which the first is tried first."""
        if isinstance(line.end, Turn):
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
