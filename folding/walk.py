"""The walk from an affine up to a layer that takes it in, or to what is in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from folding.absorb import shift_of
from folding.absorbers import ABSORBERS, Absorbed
from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Passage
from folding.chains import Chain
from folding.draft import Draft
from folding.plan import Kept, Reason
from folding.protos import integer, is_default_domain, title
from folding.recognise import Recogniser, Step
from folding.tensors import DraftLayer
from folding.way import Passed, Reached, Road, Stop, Stretch


class Walker:
    """Walks in one draft.

    ``chain_of`` says which affine a node belongs to, and ``objection`` why one that stays may not
    be taken along. Of the last walk, ``met`` has the affines it went over or stopped at, and
    ``crowded`` the values whose readers were in the way but may become fewer. ``stretches`` are the
    walks that others may follow.
    """

    def __init__(
        self,
        draft: Draft,
        steps: Recogniser,
        chain_of: dict[int, Chain],
        objection: Callable[[Chain], Kept | None],
    ) -> None:
        self.draft, self.steps = draft, steps
        self.chain_of, self.objection = chain_of, objection
        self.met: dict[Chain, None] = {}
        self.crowded: list[str] = []
        self.stretches: dict[Chain, Stretch] = {}
        self._last: Stretch | None = None
        self._roads: dict[int, Road] = {}

    def up(self, chain: Chain) -> Reached | Kept:
        """Walk up from an affine until something takes it in or is in the way."""
        self.met, self.crowded, self._last = {}, [], None
        start = self.steps.compose(chain.nodes)
        if isinstance(start, Kept):
            return start
        narrows_to = self._narrows_to(self.draft.scope.makes[chain.nodes[-1]][0])
        stops = [Stop(i, self._data_slot(i) or 0, is_affine=True) for i in reversed(chain.nodes)]
        pieces: list[Stop | Stretch] = [*stops]
        affine, last = start, stops[-1]
        while isinstance(found := self._step(last, affine, narrows_to), Passed):
            affine, last = found.affine, found.last
            pieces.append(found.piece)
        whole = tuple(pieces)
        self._last = Stretch(start, affine, narrows_to, whole, last)
        return found if isinstance(found, Kept) else Reached(*found, whole)

    def open_way(self, chain: Chain) -> None:
        """Let those behind an affine that stays follow its last walk."""
        if self._last is not None:
            self.stretches[chain] = self._last

    def pave(self, carriers: list[Stop]) -> None:
        """Make one road of what a fold left behind a layer, nearest to the layer first."""
        if len(carriers) > 1:
            first, *others = carriers
            above = self._roads.get(first.node) if first.top is not None else None
            own = [stop.node for stop in reversed(others if above else carriers)]
            stop = Stop(carriers[-1].node, first.slot, is_affine=False, top=first.entry)
            self._roads[stop.node] = Road(stop, tuple(own), above)

    def _step(
        self, last: Stop, affine: ChannelAffine, narrows_to: int
    ) -> Passed | tuple[int, Absorbed] | Kept:
        """Go over the node that makes what the last one reads, or find out why not."""
        draft = self.draft
        value = draft.node(last.entry).input[last.slot]
        at = draft.producer(value)
        obstacle = self._guard(value, at)
        if at is None or obstacle is not None:
            return obstacle or Kept(Reason.OUTER_VALUE, value)
        node = draft.node(at)
        if (slot := self._data_slot(at)) is not None:
            return self._over(Stop(at, slot, is_affine=True), affine, narrows_to)
        if not is_default_domain(node):
            return Kept(Reason.CUSTOM_OPERATOR, title(node), node.op_type)
        if node.op_type in ABSORBERS:
            at_output = ABSORBERS[node.op_type].at_output
            assert at_output is not None
            absorbed = at_output(DraftLayer(draft, at), affine)
            return (
                self._as_in_source(absorbed, at) if isinstance(absorbed, Kept) else (at, absorbed)
            )
        if node.op_type in CARRIERS and value == node.output[0]:
            return self._past(at, affine, narrows_to)
        no_rule = Kept(Reason.NO_RULE, title(node), node.op_type)
        return self.steps.refusals.get(at, no_rule)

    def _as_in_source(self, kept: Kept, index: int) -> Kept:
        """A refusal with the culprit's name in the source: an earlier fold may have renamed it."""
        is_node = kept.at == title(self.draft.node(index))
        return replace(kept, at=self.draft.title(index)) if is_node else kept

    def _data_slot(self, index: int) -> int | None:
        """Which input an affine node acts on; None if the node is no affine."""
        if index in self.draft.shifts:
            return 1 - self.draft.shifts[index].slot
        step = self.steps.steps.get(index)
        return step.slot if isinstance(step, Step) else None

    def _over(self, stop: Stop, affine: ChannelAffine, narrows_to: int) -> Passed | Kept:
        """An affine together with another one that stands before it."""
        draft, index = self.draft, stop.node
        taken = None if index in draft.shifts else self.chain_of.get(index)
        if taken is not None:
            self.met[taken] = None
            objection = self.objection(taken)
            if objection is not None:
                return objection
            stretch = self.stretches.get(taken)
            is_whole = stretch is not None and index == taken.nodes[-1]
            if stretch is not None and is_whole and stretch.is_open_to(affine, narrows_to):
                return Passed(stretch.passed_by(affine), stretch, stretch.last)
        is_shift = index in draft.shifts
        inner = shift_of(draft, index) if is_shift else self.steps.compose((index,))
        if isinstance(inner, Kept):
            return inner
        if not affine.agrees_with(inner):
            return Kept(Reason.OTHER_AXIS, draft.title(index), draft.node(index).op_type)
        return Passed(affine.after(inner), stop, stop)

    def _past(self, index: int, affine: ChannelAffine, narrows_to: int) -> Passed | Kept:
        """An affine before a carrier, or before all those of a road, instead of behind."""
        road = self._roads.get(index)
        if road is None:
            moved = self._carried(index, affine, narrows_to)
            stop = Stop(index, 0, is_affine=False)
        else:
            moved = self._along(road, affine, narrows_to)
            stop = road.stop
        return moved if isinstance(moved, Kept) else Passed(moved, stop, stop)

    def _carried(self, index: int, affine: ChannelAffine, narrows_to: int) -> ChannelAffine | Kept:
        node = self.draft.node(index)
        moved = CARRIERS[node.op_type].up(affine, Passage(node, self.draft, narrows_to))
        if isinstance(moved, ChannelAffine):
            return moved
        assert isinstance(moved, Kept)
        if moved.reason is Reason.OUTPUT_USED:
            self.crowded += node.output[1:]
        return self._as_in_source(moved, index)

    def _along(self, road: Road, affine: ChannelAffine, narrows_to: int) -> ChannelAffine | Kept:
        key = affine.axis, narrows_to
        if key not in road.axes:
            moved = self._through(road, affine, narrows_to)
            road.axes[key] = moved if isinstance(moved, Kept) else moved.axis
        return road.leads(affine, narrows_to)

    def _through(self, road: Road, affine: ChannelAffine, narrows_to: int) -> ChannelAffine | Kept:
        part: Road | None = road
        while part is not None:
            for index in part.carriers:
                carried = self._carried(index, affine, narrows_to)
                if isinstance(carried, Kept):
                    return carried
                affine = carried
            part = part.above
            if part is not None and (affine.axis, narrows_to) in part.axes:
                return part.leads(affine, narrows_to)
        return affine

    def _guard(self, value: str, producer: int | None) -> Kept | None:
        """What is in the way of changing a value: everything else that can see it."""
        scope = self.draft.scope
        if value in scope.inputs:
            return Kept(Reason.GRAPH_INPUT, value)
        if producer is None:
            return Kept(Reason.OUTER_VALUE, value)
        if value in scope.outputs:
            return Kept(Reason.GRAPH_OUTPUT, value)
        if value in scope.captured:
            return Kept(Reason.CAPTURED, value)
        return Kept(Reason.FORKED, value) if self.draft.readers(value).count > 1 else None

    def _narrows_to(self, value: str) -> int:
        """The element type that every reader of a value converts it to, 0 if there is none."""
        kind = 0
        for index in () if self.draft.is_seen(value) else self.draft.readers(value):
            node = self.draft.node(index)
            is_cast = node.op_type == "Cast" and is_default_domain(node)
            target = integer(node, "to", 0) if is_cast else 0
            if not target or kind not in (0, target):
                return 0
            kind = target
        return kind
