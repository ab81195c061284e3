"""The walk from an affine up to the layers that take it in, or to what is in the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from folding.absorbers import Absorbed
from folding.affine import ChannelAffine
from folding.ahead import Ahead, Saved, has_several_outputs, parting
from folding.branches import Branch, entered
from folding.carriers import CARRIERS
from folding.chains import Chain
from folding.current import affine_of, composed, data_slot
from folding.draft import Draft
from folding.layers import at_output
from folding.merging import acts_along, into_batch_norm
from folding.plan import Kept, Reason
from folding.protos import is_default_domain, title
from folding.recognise import Recogniser, Step
from folding.roads import Roads, as_in_source, guard, may_carry, narrowed_to
from folding.shuffles import over_shuffle
from folding.way import Edge, Entered, Fork, Line, Passed, Reached, Road, Stop, Stretch, Taken, Turn

#: What stands before an affine: a piece of the way, the end of a line, or what is in the way.
Found = Passed | Taken | Turn | Entered | Kept

#: So many times another way is tried where an operator offers some.
_MOST_TRIES = 64


class Walker:
    """Walks in one draft.

    ``chain_of`` says which affine a node belongs to, and ``objection`` why one that stays may not
    be taken along. Of the last walk, ``met`` has the affines it went over or stopped at, and
    ``crowded`` the values whose readers were in the way but may become fewer. ``stretches`` are the
    walks that others may follow. ``merges`` is whether those that stay are changed, not passed.
    ``biases`` are Adds of earlier folds before an affine, ``left`` the nodes of one that lost some,
    ``branches`` those of each If.
    """

    def __init__(
        self,
        draft: Draft,
        steps: Recogniser,
        chain_of: dict[int, Chain],
        objection: Callable[[Chain], Kept | None],
    ) -> None:
        self.draft, self.steps, self.chain_of, self.objection = draft, steps, chain_of, objection
        self.met: dict[Chain, None] = {}
        self.crowded: list[str] = []
        self.stretches: dict[Chain, Stretch] = {}
        self.biases, self.left = dict[Chain, tuple[int, ...]](), dict[Chain, tuple[int, ...]]()
        self.branches: dict[int, tuple[Branch, ...]] = {}
        self.roads = Roads(draft)
        self._last: Stretch | None = None
        self._bends = self.merges = False

    def forget(self) -> None:
        """Begin with another affine."""
        self.met, self.crowded, self._last = {}, [], None
        self.roads.crowded = self.crowded

    def nodes(self, chain: Chain) -> tuple[int, ...]:
        """The nodes of an affine, the first one first."""
        return (*self.biases.get(chain, ()), *self.left.get(chain, chain.nodes))

    def last(self, chain: Chain) -> int:
        """The last node of an affine."""
        return self.left.get(chain, chain.nodes)[-1]

    def stops(self, chain: Chain) -> list[Stop]:
        """The nodes of an affine, the last one first."""
        return [*map(self.stop, reversed(self.nodes(chain)))]

    def stop(self, index: int) -> Stop:
        """An affine node on a way."""
        return Stop(index, data_slot(self.draft, self.steps, index) or 0, is_affine=True)

    def up(self, chain: Chain, start: ChannelAffine, *, follows: bool = False) -> Reached | Kept:
        """Walk up from an affine until layers take it in or something is in the way.

        ``start`` is the affine, or the part of it that is to go up; ``follows`` is whether others
        may follow this walk. Many ways are not to blame where the scale alone finds none.
        """
        narrows_to = narrowed_to(self.draft, self.draft.node(self.last(chain)).output[0])
        before = self._last
        stops = self.stops(chain)
        first = self._line(None, start, narrows_to, stops[-1].node, stops)
        if not follows:
            self._last = before
        if isinstance(first, Kept):
            return first
        found = self._branches(first, narrows_to, stops[-1].node)
        if isinstance(found, Kept) and found.reason is Reason.TOO_MANY_WAYS and not start.is_scale:
            found = alone if isinstance(alone := self.up(chain, start.parts()[0]), Kept) else found
        return found

    def open_way(self, chain: Chain) -> None:
        """Let those behind an affine that stays follow its last walk."""
        if self._last is not None:
            self.stretches[chain] = self._last

    def _branches(self, first: Line, narrows_to: int, origin: int) -> Reached | Kept:
        """Follow all lines, which come from the node ``origin``.

        Where an operator offers several ways, it is the first one that leads on.
        """
        lines, ahead = [first], Ahead(self.draft)
        ahead.add(first)
        saved = Saved()
        saved.add(0, Ahead(self.draft), first)
        trouble: Kept | None = None
        tries = 0
        while ahead:
            begin = ahead.pop()
            line = begin if isinstance(begin, Kept) else self._line(*begin, narrows_to, origin)
            if isinstance(line, Line):
                saved.add(len(lines), ahead, line)
                lines.append(line)
                ahead.add(line)
                continue
            trouble, tries = trouble or line, tries + 1
            other = saved.pop(line)
            if other is None:
                return trouble if saved.limited is None else self._many_ways(saved.limited)
            place, ahead, lead = other
            if tries > _MOST_TRIES and isinstance(lead.end, Turn):
                return self._many_ways(lead.end.node)
            lines = [*lines[:place], lead]
            ahead.add(lead)
        twice = (found := Reached(tuple(lines))).twice
        return found if twice is None else self._many_ways(twice)

    def _many_ways(self, index: int) -> Kept:
        return Kept(Reason.TOO_MANY_WAYS, self.draft.title(index), self.draft.node(index).op_type)

    def _line(
        self,
        begin: Edge | Fork | None,
        start: ChannelAffine,
        narrows_to: int,
        origin: int,
        stops: Sequence[Stop] = (),
    ) -> Line | Kept:
        pieces: list[Stop | Road | Stretch] = [*stops]
        affine, is_root = start, begin is None
        edge = begin.edge if isinstance(begin, Fork) else begin
        last = stops[-1] if edge is None else Stop(edge.node, edge.slots[0], is_affine=False)
        readers = 1 if edge is None else len(edge.slots)
        if isinstance(begin, Fork):
            readers = self.draft.readers(begin.value).count
        self._bends = False
        while isinstance(found := self._step(last, affine, narrows_to, readers), Passed):
            affine, last, readers = found.affine, found.last, 1
            pieces.append(found.piece)
        whole = tuple(pieces)
        if is_root and not self._bends:
            self._last = Stretch(start, affine, narrows_to, whole, last)
        value = self.draft.node(last.entry).input[last.slot]
        if found == Kept(Reason.FORKED, value):
            at = edge if edge and not pieces else Edge(last.entry, (last.slot,))
            end = parting(self.draft, Fork(value, affine, at), None if is_root else origin)
            return end if isinstance(end, Kept) else Line(begin, whole, end)
        return found if isinstance(found, Kept) else Line(begin, whole, found)

    def _step(self, last: Stop, affine: ChannelAffine, narrows_to: int, readers: int) -> Found:
        """Go over the node that makes what the last one reads, or find out why not."""
        draft = self.draft
        value = draft.node(last.entry).input[last.slot]
        at, obstacle = draft.producer(value), guard(draft, value, readers)
        if at is None or obstacle is not None:
            return obstacle or Kept(Reason.OUTER_VALUE, value)
        node = draft.node(at)
        if (slot := data_slot(draft, self.steps, at)) is not None:
            return self._over(Stop(at, slot, is_affine=True), affine, narrows_to)
        if not is_default_domain(node):
            return Kept(Reason.CUSTOM_OPERATOR, title(node), node.op_type)
        if at in self.branches:
            return entered(at, [*node.output].index(value), affine, self.branches[at])
        refusal: Kept | None = None
        absorbed = at_output(draft, at, affine) if value == node.output[0] else None
        if isinstance(absorbed, Absorbed):
            return Taken(at, absorbed)
        if absorbed is not None:
            refusal = as_in_source(draft, absorbed, at)
        if may_carry(draft, at, refusal):
            return self._past(at, [*node.output].index(value), affine, narrows_to)
        no_rule = Kept(Reason.NO_RULE, title(node), node.op_type)
        return refusal or self.steps.refusals.get(at, no_rule)

    def _over(self, stop: Stop, affine: ChannelAffine, narrows_to: int) -> Found:
        """An affine together with another one that stands before it."""
        draft, index = self.draft, stop.node
        taken = None if index in draft.shifts else self.chain_of.get(index)
        if taken is not None:
            self.met[taken] = None
            objection = self.objection(taken)
            if objection is not None:
                return objection
            if self.merges:
                return self._into(index, taken, affine, narrows_to)
            stretch = self.stretches.get(taken) if index == self.last(taken) else None
            if stretch is not None:
                moved = self.roads.beyond(stretch, affine, narrows_to)
                if moved is not None:
                    return Passed(moved, stretch, stretch.last)
        inner = affine_of(draft, self.steps, index)
        if isinstance(inner, Kept):
            return inner
        if not affine.agrees_with(inner):
            return Kept(Reason.OTHER_AXIS, draft.title(index), draft.node(index).op_type)
        return Passed(affine.after(inner), stop, stop)

    def _into(self, index: int, taken: Chain, affine: ChannelAffine, narrows_to: int) -> Found:
        """An affine at a node of one that stays, and is changed."""
        operator, step = self.draft.node(index).op_type, self.steps.steps[index]
        if operator == "BatchNormalization":
            absorbed = into_batch_norm(self.draft, index, affine)
            return absorbed if isinstance(absorbed, Kept) else Taken(index, absorbed)
        if operator in CARRIERS and isinstance(step, Step) and acts_along(self.draft, step, affine):
            whole = composed(self.draft, self.steps, self.nodes(taken))
            if not isinstance(whole, Kept) and affine.agrees_with(whole):
                return self._past(index, 0, affine, narrows_to)
        return Kept(Reason.OTHER_AXIS, self.draft.title(index), operator)

    def _past(
        self, index: int, place: int, affine: ChannelAffine, narrows_to: int
    ) -> Passed | Turn | Kept:
        """An affine before a carrier, or before all those of a road, instead of behind."""
        if (road := self.roads.ending_at(index)) is not None:
            moved = self.roads.along(road, affine, narrows_to)
            if not isinstance(moved, Kept):
                return Passed(moved, road, road.stop)
            if moved.reason is not Reason.MIXES_CHANNELS:  # As a shuffle in it does.
                return moved
        ways = self.roads.over(index, place, affine, narrows_to)
        if isinstance(ways, Kept):
            passed = over_shuffle(self.draft, index, affine, narrows_to)
            self._bends = self._bends or passed is not None
            return passed or ways
        carrier = self.roads.carrier(index)
        self._bends = self._bends or not carrier.keeps_numbers
        first, *more = ways
        is_end = first.constants or len(first.affines) != 1
        if more or is_end or has_several_outputs(self.draft, index):
            return Turn(index, place, first, tuple(more))
        ((slot, moved),) = first.affines.items()
        stop = Stop(index, slot, is_affine=False, place=place)
        return Passed(moved, stop, stop)
