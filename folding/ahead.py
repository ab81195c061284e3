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
        return Kept(Reason.FORKED, next(iter(self.forks)))

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


def may_meet(draft: Draft, value: str, before: int) -> bool:
    """Whether all that reads a value may be on ways that meet again before some node."""
    readers = draft.readers(value)
    return readers.count <= _MOST_READERS and all(
        (index < before or index in draft.after)
        and draft.node(index).op_type in _ON_A_WAY
        and is_default_domain(draft.node(index))
        for index in readers
    )


def others(line: Line) -> list[Line]:
    """The same line with the other ways that its end offers, the best last."""
    end = line.end
    if not isinstance(end, Turn):
        return []
    ends = (replace(end, moved=way, others=()) for way in reversed(end.others))
    return [replace(line, end=other) for other in ends]
