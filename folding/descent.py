"""The way down: from an affine to all that reads it, each of which must take it in.

    x ─ affine ─ y ─┬─ carrier ─ layer         before
                    └─ layer
    x ─┬─ carrier ─ layer'                     after
       └─ layer'

The value behind the affine disappears, so that everybody who sees it has to take part; the one
before it stays as it is, whoever else reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from folding.absorbers import Absorbed
from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Moved, Passage, asked, ways
from folding.draft import Draft
from folding.layers import at_input
from folding.plan import Kept, Reason
from folding.protos import is_default_domain
from folding.way import Edge, Stop, Taken, Turn, takes_in

#: Reasons that hold for every affine and whatever else is folded.
_FOREVER = frozenset({Reason.GRAPH_OUTPUT, Reason.CAPTURED, Reason.CUSTOM_OPERATOR, Reason.NO_RULE})


@dataclass(frozen=True, slots=True)
class Reader:
    """Slots of a node that read one value on the way down, and what becomes of the node.

    It is an affine that is taken along, a carrier, or a layer.
    """

    value: str
    edge: Edge
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
        #: Values behind which something stops every affine.
        self._blocked: dict[str, Kept] = {}
        #: Nodes that let none pass because of another input. They may have as many as the model has
        #: nodes, each behind an affine that asks; so they are asked but once for each kind.
        self._refused: dict[tuple[int, int | None, bool], Kept] = {}

    def down(self, value: str, start: ChannelAffine) -> Descended | Kept:
        """Walk down from a value that an affine makes until layers take it in on every way."""
        walk = _Walk(value, start)
        while walk.waiting:
            name, affine = walk.waiting.pop()
            refusal = self._blocked.get(name) or self._at(name, affine, walk)
            if refusal is not None:
                self._remember(refusal, name, walk)
                return refusal
        found = Descended(tuple(walk.readers))
        return found if found.takers else Kept(Reason.UNREAD, value)

    def _at(self, value: str, affine: ChannelAffine, walk: _Walk) -> Kept | None:
        """Let all that reads a value take part, or find out who does not."""
        scope = self.draft.scope
        if value in scope.outputs:
            return Kept(Reason.GRAPH_OUTPUT, value)
        if value in scope.captured:
            return Kept(Reason.CAPTURED, value)
        axis, is_shift = affine.narrowed().axis, affine.is_shift
        for index in self.draft.readers(value):
            if (known := self._refused.get((index, axis, is_shift))) is not None:
                return known
            node = self.draft.node(index)
            edge = Edge(index, tuple(i for i, name in enumerate(node.input) if name == value))
            if index in walk.seen:
                return self._kept(Reason.OTHER_BRANCH, index)
            walk.seen.add(index)
            found = self._taken(edge, affine) if is_default_domain(node) else None
            if found is None:
                return self._kept(Reason.CUSTOM_OPERATOR, index)
            if isinstance(found, Kept):
                if found.reason is Reason.OTHER_BRANCH:
                    self._refused[index, axis, is_shift] = found
                return found
            becomes, behind = found
            walk.readers.append(Reader(value, edge, becomes))
            for name, moved in behind:
                walk.above[name] = value
                walk.waiting.append((name, moved))
        return None

    def _taken(
        self, edge: Edge, affine: ChannelAffine
    ) -> tuple[Stop | Turn | Taken, list[tuple[str, ChannelAffine]]] | Kept:
        """What becomes of a node, and what stands behind it then."""
        node, index = self.draft.node(edge.node), edge.node
        step = self._over(index)
        if isinstance(step, Kept):
            return step
        if step is not None:
            slot, inner = step
            if not inner.agrees_with(affine):
                return self._kept(Reason.OTHER_AXIS, index)
            return Stop(index, slot, is_affine=True), [(node.output[0], inner.after(affine))]
        refusal = self._kept(Reason.NO_RULE, index)
        is_once = len(edge.slots) == 1
        absorbed = at_input(self.draft, index, affine, edge.slots[0]) if is_once else None
        if isinstance(absorbed, Absorbed):
            return Taken(index, absorbed), []
        refusal = absorbed or refusal
        carrier = CARRIERS.get(node.op_type)
        if carrier is None or carrier.down is None:
            return refusal
        answer = asked(carrier.down, affine, Passage(node, self.draft, place=edge.slots[0]))
        if isinstance(answer, Kept):
            return answer
        (moved,) = ways(answer)  # There are no others down.
        return Turn(index, edge.slots[0], moved), [*self._behind(index, moved)]

    def _behind(self, index: int, moved: Moved) -> Iterator[tuple[str, ChannelAffine]]:
        outputs = self.draft.node(index).output
        for place, affine in sorted(moved.affines.items()):
            if place < len(outputs) and outputs[place]:
                yield outputs[place], affine

    def _kept(self, reason: Reason, index: int) -> Kept:
        return Kept(reason, self.draft.title(index), self.draft.node(index).op_type)

    def _remember(self, refusal: Kept, name: str, walk: _Walk) -> None:
        """What no affine gets past, stops all that would come here too."""
        if refusal.reason in _FOREVER:
            value: str | None = name
            while value is not None and value not in self._blocked:
                self._blocked[value] = refusal
                value = walk.above.get(value)


@dataclass(slots=True)
class _Walk:
    """How far a descent has come. ``above`` is the value that each value was come to from."""

    value: str
    start: ChannelAffine
    readers: list[Reader] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    above: dict[str, str] = field(default_factory=dict)
    waiting: list[tuple[str, ChannelAffine]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting.append((self.value, self.start))
