"""Where the lines of a walk go on: behind a turn, and where several come together.

    layer ─ Split ─┬─ carrier ─┐
                   └─ carrier ─┴─ Concat ─ affine

Of a node with several outputs each may have a line to it. So such a node is the end of them all,
and one line goes on from there, with what all have brought.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from folding.affine import ChannelAffine
from folding.draft import Draft
from folding.way import Edge, Line, Taken

Begin = tuple[Edge, ChannelAffine]


@dataclass(slots=True)
class Ahead:
    """Where lines are still to begin, and with which affine.

    ``meetings`` are those before nodes with several outputs, to which other lines may come.
    """

    draft: Draft
    begins: list[Begin] = field(default_factory=list)
    meetings: dict[Edge, ChannelAffine] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.begins or self.meetings)

    def copy(self) -> Ahead:
        return Ahead(self.draft, [*self.begins], {**self.meetings})

    def pop(self) -> Begin:
        """The next one; before a node where lines meet, those from all that comes after it."""
        if self.begins:
            return self.begins.pop()
        edge = max(self.meetings, key=lambda edge: edge.node)
        return edge, self.meetings.pop(edge)

    def add(self, line: Line) -> None:
        """Go on behind a line that ends at a turn."""
        for edge, affine in self._behind(line):
            if not has_several_outputs(self.draft, edge.node):
                self.begins.append((edge, affine))
            elif edge in self.meetings:
                self.meetings[edge] = affine.after(self.meetings[edge])
            else:
                self.meetings[edge] = affine

    def _behind(self, line: Line) -> Iterable[Begin]:
        """Where the lines behind a turn begin, the last first; slots of one value are one."""
        if isinstance(line.end, Taken):
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


def others(line: Line) -> list[Line]:
    """The same line with the other ways that its end offers, the best last."""
    end = line.end
    if isinstance(end, Taken):
        return []
    ends = (replace(end, moved=way, others=()) for way in reversed(end.others))
    return [replace(line, end=other) for other in ends]
