"""Carriers, asked one by one, or many at once where earlier folds have left them in a row."""

from __future__ import annotations

from dataclasses import replace

from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Carrier, Moved, Passage, asked, ways
from folding.carriers.rooted import taken_in
from folding.draft import Draft
from folding.layers import DraftLayer
from folding.plan import Folded, Kept, Reason
from folding.protos import integer, is_default_domain, title
from folding.traces import Move, alike, key_of, move_of, traced
from folding.way import Road, Stop, Stretch


def as_in_source(draft: Draft, kept: Kept, index: int) -> Kept:
    """A refusal with the culprit's name in the source: an earlier fold may have renamed it."""
    is_node = kept.at == title(draft.node(index))
    return replace(kept, at=draft.title(index)) if is_node else kept


def told(draft: Draft, outcome: Folded | Kept) -> Folded | Kept:
    """What became of an affine, with the names that values have in the source."""
    if isinstance(outcome, Kept):
        return told_of(draft, outcome)
    return replace(outcome, rest=told_of(draft, outcome.rest)) if outcome.rest else outcome


def told_of(draft: Draft, kept: Kept) -> Kept:
    """Why an affine stays, with the names that values have in the source."""
    below = told_of(draft, kept.below) if kept.below else None
    return replace(kept, at=draft.source_name(kept.at), below=below)


def narrowed_to(draft: Draft, value: str) -> int:
    """The element type that every reader of a value converts it to, 0 if there is none."""
    kind = 0
    for index in () if draft.is_seen(value) else draft.readers(value):
        node = draft.node(index)
        is_cast = node.op_type == "Cast" and is_default_domain(node)
        target = integer(node, "to", 0) if is_cast else 0
        if not target or kind not in (0, target):
            return 0
        kind = target
    return kind


class Roads:
    """The carriers of one draft.

    ``crowded`` collects the values whose readers are in the way.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.crowded: list[str] = []
        self._roads: dict[int, Road] = {}

    def ending_at(self, index: int) -> Road | None:
        """The road whose last carrier a node is."""
        return self._roads.get(index)

    def carrier(self, index: int) -> Carrier:
        return CARRIERS[self.draft.node(index).op_type]

    def pave(self, carriers: list[Stop]) -> None:
        """Make one road of what a fold left behind a layer, nearest to the layer first."""
        rules = [self.carrier(stop.node) for stop in carriers]
        if len(carriers) > 1 and all(rule.keeps_numbers for rule in rules):
            first, last = carriers[0], carriers[-1]
            stop = Stop(last.node, first.slot, is_affine=False, top=first.entry)
            pieces = (s if s.top is None else self._roads[s.node] for s in reversed(carriers))
            self._roads[last.node] = Road(stop, tuple(pieces))

    def over(
        self, index: int, place: int, affine: ChannelAffine, narrows_to: int
    ) -> tuple[Moved, ...] | Kept:
        """The ways over one carrier, from behind one of its outputs."""
        node = self.draft.node(index)
        passage = Passage(node, self.draft, narrows_to, place)
        answer = asked(self.carrier(index).up, affine, passage)
        found = answer if isinstance(answer, Kept) else taken_in(ways(answer), passage)
        if not isinstance(found, Kept):
            return found
        answer = found
        if answer.reason is Reason.OUTPUT_USED:
            self.crowded += node.output
        return as_in_source(self.draft, answer, index)

    def along(
        self, way: Road | Stretch, affine: ChannelAffine, narrows_to: int
    ) -> ChannelAffine | Kept:
        """An affine before all carriers of a road, or of a stretch, instead of behind."""
        move = self._move(way, affine, narrows_to)
        if isinstance(move, Kept) and (same := alike(affine)):
            move = self._move(way, affine, narrows_to, same)
        return move if isinstance(move, Kept) else move.of(affine)

    def _move(
        self,
        way: Road | Stretch,
        affine: ChannelAffine,
        narrows_to: int,
        same: tuple[int, ...] = (),
    ) -> Move | Kept:
        key = key_of(affine, narrows_to, same)
        if key not in way.moves:
            trace = traced(affine, same)
            moved = self._through(way, trace, narrows_to)
            way.moves[key] = moved if isinstance(moved, Kept) else move_of(moved, trace)
        return way.moves[key]

    def beyond(
        self, stretch: Stretch, affine: ChannelAffine, narrows_to: int
    ) -> ChannelAffine | None:
        """An affine right behind a stretch at its end, together with all that it met.

        None if it is not known to come as far.
        """
        if not stretch.is_open_to(affine, narrows_to):
            return None
        moved = self.along(stretch, affine, narrows_to)
        if isinstance(moved, Kept) or not moved.agrees_with(stretch.end):
            return None
        return moved.after(stretch.end)

    def _through(
        self, way: Road | Stretch, affine: ChannelAffine, narrows_to: int
    ) -> ChannelAffine | Kept:
        ahead: list[Stop | Road | Stretch] = [way]
        while ahead:
            piece = ahead.pop()
            if isinstance(piece, Stop):
                if piece.is_affine:
                    continue
                found = self.over(piece.node, piece.place, affine, narrows_to)
                if isinstance(found, Kept):
                    return found
                affine = found[0].affines[piece.slot]
            elif (move := _known(piece, affine, narrows_to)) is None:
                ahead += reversed(piece.pieces)
            elif isinstance(move, Kept):
                return move
            else:
                affine = move.of(affine)
        return affine


def _known(way: Road | Stretch, affine: ChannelAffine, narrows_to: int) -> Move | Kept | None:
    """How an affine passes a road or a stretch, if that was found out before."""
    move = way.moves.get(key_of(affine, narrows_to))
    if isinstance(move, Move):
        return move
    same = alike(affine)
    return way.moves.get(key_of(affine, narrows_to, same)) if same else move


def may_carry(draft: Draft, index: int, refusal: Kept | None) -> bool:
    """Whether a node may let an affine pass that it does not take in, for a reason if it could."""
    node = draft.node(index)
    if node.op_type == "Einsum":
        return len(node.input) == 1
    return node.op_type in CARRIERS and not (refusal and DraftLayer(draft, index).is_constant(0))


def guard(draft: Draft, value: str, readers: int) -> Kept | None:
    """What is in the way of changing a value: everything else that can see it."""
    if value in draft.scope.inputs:
        return Kept(Reason.GRAPH_INPUT, value)
    if draft.producer(value) is None:
        return Kept(Reason.OUTER_VALUE, value)
    if value in draft.outputs:
        return Kept(Reason.GRAPH_OUTPUT, value)
    if value in draft.scope.captured:
        return Kept(Reason.CAPTURED, value)
    more = draft.readers(value).count > readers
    return Kept(Reason.FORKED, value) if more else None
