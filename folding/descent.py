"""The way down: from an affine to all that reads it, each of which must take it in.

    x ─ affine ─ y ─┬─ carrier ─ layer         before
                    └─ layer
    x ─┬─ carrier ─ layer'                     after
       └─ layer'

The value behind the affine disappears, so that everybody who sees it has to take part; the one
before it stays as it is, whoever else reads it.

    x ─ affine ─┬─ carrier ─┬─ Add ─ layer
                └───────────┘

Where ways part and meet again, the node that joins them is asked once, when all have come to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from folding.absorbers import Absorbed
from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Moved, Passage, carried_down, ways
from folding.dead_ends import DeadEnds, Way
from folding.draft import Draft
from folding.layers import at_input
from folding.plan import Kept, Reason
from folding.protos import is_default_domain
from folding.shuffles import Shuffle, below_shuffle
from folding.way import Stop, Taken, Turn, takes_in

#: What a node that joins values asks of all affines before it: the axes, and whether they only add
#: or turn the order of numbers around.
_Kinds = frozenset[tuple[int | None, bool, bool]]
#: Reasons that go for all affines of the same kinds.
_FOR_ALL = frozenset({Reason.NEGATIVE_SCALE, Reason.OTHER_BRANCH})


@dataclass(frozen=True, slots=True)
class Reader:
    """A node on the way down, and what becomes of it.

    ``slots`` has the values on the way by the slots that read them. It is an affine that is taken
    along, a carrier, or a layer.
    """

    node: int
    slots: Mapping[int, str]
    becomes: Stop | Turn | Taken


@dataclass(frozen=True, slots=True, eq=False)
class Descended:
    """All readers on the way down, those of a value behind what makes it.

    ``rest`` is the shift that stays where the affine was.
    """

    readers: tuple[Reader, ...]
    rest: ChannelAffine | None = None

    @property
    def takers(self) -> list[int]:
        """The nodes that take the affine in: layers, and carriers that do it alone."""
        ends = (r.becomes for r in self.readers if not isinstance(r.becomes, Stop))
        return [end.node for end in ends if takes_in(end)]

    @property
    def layers(self) -> list[Taken]:
        return [r.becomes for r in self.readers if isinstance(r.becomes, Taken)]

    @property
    def gone(self) -> list[Stop]:
        """The affine nodes that are taken along."""
        return [r.becomes for r in self.readers if isinstance(r.becomes, Stop)]


class Descent:
    """Walks down in one draft.

    ``over`` gives the affine of a node, the slot that it acts on and itself, if it is one that may
    be taken along; Kept if it may not.
    """

    def __init__(
        self, draft: Draft, over: Callable[[int], tuple[int, ChannelAffine] | Kept | None]
    ) -> None:
        self.draft, self._over = draft, over
        self._dead_ends = DeadEnds()
        #: Nodes that let none pass because of another input, each with how many came and of which
        #: kinds. They may have as many inputs as the model has nodes, each behind an affine that
        #: asks; so they are asked but once for each kind.
        self._refused: dict[tuple[int, int, _Kinds], Kept] = {}

    def down(self, value: str, start: ChannelAffine) -> Descended | Kept:
        """Walk down from a value that an affine makes until layers take it in on every way."""
        walk, name = _Walk(value, start), value
        refusal: Kept | None = None
        while refusal is None and (walk.waiting or walk.meetings):
            if walk.waiting:
                name, affine = walk.waiting.pop()
                refusal = self._dead_ends.known(name, affine) or self._at(name, affine, walk)
            else:
                index, arrived = walk.next_meeting()
                name = next(iter(arrived))
                refusal = self._joining(index, arrived, walk)
        if refusal is not None:
            self._dead_ends.remember(refusal, name, walk.way)
            return refusal
        found = Descended(tuple(walk.readers))
        return found if found.takers else Kept(Reason.UNREAD, name)

    def _at(self, value: str, affine: ChannelAffine, walk: _Walk) -> Kept | None:
        """Let all that reads a value take part, or find out who does not."""
        if value in self.draft.outputs:
            return Kept(Reason.GRAPH_OUTPUT, value)
        if value in self.draft.scope.captured:
            return Kept(Reason.CAPTURED, value)
        for index in self.draft.readers(value):
            node = self.draft.node(index)
            if not is_default_domain(node):
                return self._kept(Reason.CUSTOM_OPERATOR, index)
            carrier = CARRIERS.get(node.op_type)
            if carrier is not None and carrier.join is not None:
                walk.gather(index, value, affine)
                continue
            if index in walk.seen:
                return self._kept(Reason.UNUSUAL_FORM, index)
            walk.seen.add(index)
            refusal = self._visit(index, {value: affine}, walk)
            if refusal is not None:
                return refusal
        return None

    def _joining(self, index: int, arrived: dict[str, ChannelAffine], walk: _Walk) -> Kept | None:
        """Let a node take part that may read several values on the way."""
        parts = arrived.values()
        kinds = frozenset((p.narrowed().axis, p.is_shift, p.keeps_order) for p in parts)
        key = index, len(arrived), kinds
        refusal = self._refused.get(key) or self._visit(index, arrived, walk)
        if refusal is not None and refusal.reason in _FOR_ALL:
            self._refused[key] = refusal
        return refusal

    def _visit(self, index: int, arrived: dict[str, ChannelAffine], walk: _Walk) -> Kept | None:
        """Let a node take part, before which stand some affines, or find out why it does not."""
        names = enumerate(self.draft.node(index).input)
        slots = {slot: name for slot, name in names if name in arrived}
        found = self._taken(index, {slot: arrived[name] for slot, name in slots.items()})
        above = next(iter(arrived))
        if isinstance(found, Kept):
            shuffle = below_shuffle(self.draft, index, arrived[above])
            if shuffle is not None:
                self._shuffle(shuffle, above, walk)
            return found if shuffle is None else None
        becomes, behind = found
        walk.readers.append(Reader(index, slots, becomes))
        for name, moved in behind:
            walk.come_to(name, moved, above)
            if self.draft.node(index).op_type == "Split" and arrived[above].axis is not None:
                walk.way.cut.add(name)
        return None

    def _shuffle(self, shuffle: Shuffle, above: str, walk: _Walk) -> None:
        """Let all nodes of a shuffle take part; what is between them only gets new names."""
        name, moved = above, Moved({0: shuffle.affine})
        for index in shuffle.nodes:
            walk.readers.append(Reader(index, {0: name}, Turn(index, 0, moved)))
            name = self.draft.node(index).output[0]
        walk.come_to(name, shuffle.affine, above)

    def _taken(
        self, index: int, affines: dict[int, ChannelAffine]
    ) -> tuple[Stop | Turn | Taken, list[tuple[str, ChannelAffine]]] | Kept:
        """What becomes of a node with affines before some slots, and what stands behind it then."""
        node, step = self.draft.node(index), self._over(index)
        place, affine = next(iter(affines.items()))
        if isinstance(step, Kept):
            return step
        if step is not None:
            slot, inner = step
            if not inner.agrees_with(affine):
                return self._kept(Reason.OTHER_AXIS, index)
            return Stop(index, slot, is_affine=True), [(node.output[0], inner.after(affine))]
        absorbed = at_input(self.draft, index, affine, place) if len(affines) == 1 else None
        if isinstance(absorbed, Absorbed):
            return Taken(index, absorbed), []
        answer = carried_down(affines, Passage(node, self.draft, place=place))
        if answer is None:
            return absorbed or self._kept(Reason.NO_RULE, index)
        if isinstance(answer, Kept):
            return absorbed or answer
        (moved,) = ways(answer)  # There are no others down.
        return Turn(index, place, moved), [*self._behind(index, moved)]

    def _behind(self, index: int, moved: Moved) -> Iterator[tuple[str, ChannelAffine]]:
        outputs = self.draft.node(index).output
        for place, affine in sorted(moved.affines.items()):
            if place < len(outputs) and outputs[place]:
                yield outputs[place], affine

    def _kept(self, reason: Reason, index: int) -> Kept:
        return Kept(reason, self.draft.title(index), self.draft.node(index).op_type)


@dataclass(slots=True)
class _Walk:
    """How far a descent has come.

    ``meetings`` are nodes that may join several values, each with those that came to it so far.
    """

    value: str
    start: ChannelAffine
    readers: list[Reader] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    way: Way = field(default_factory=Way)
    waiting: list[tuple[str, ChannelAffine]] = field(default_factory=list)
    meetings: dict[int, dict[str, ChannelAffine]] = field(default_factory=dict)
    _order: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting.append((self.value, self.start))
        self.way.affines[self.value] = self.start

    def come_to(self, value: str, affine: ChannelAffine, above: str) -> None:
        """Wait for the readers of a value to be asked."""
        self.way.affines[value], self.way.above[value] = affine, above
        self.waiting.append((value, affine))

    def gather(self, index: int, value: str, affine: ChannelAffine) -> None:
        """Let a node wait for what else may come to it."""
        if index not in self.meetings:
            self.meetings[index] = {}
            heappush(self._order, index)
        self.meetings[index][value] = affine

    def next_meeting(self) -> tuple[int, dict[str, ChannelAffine]]:
        """The first of the nodes that wait: nothing that is left leads to it."""
        index = heappop(self._order)
        return index, self.meetings.pop(index)
