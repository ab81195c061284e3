"""The search: from each affine up to the layers that take it in, else down.

    layer ─ carrier ─ affine ─ carrier ─ affine ─ y
    x ─ affine ─ carrier ─ layer

It walks from an affine towards the graph's inputs, through carriers and over other affines, which
are taken along, until it meets absorbers; and folds only where nothing else can see the values in
between. Else it tries the way towards the outputs, and at last the scale alone. Decisions are made
in graph order, each on the graph that the earlier ones leave; one that a later fold may have made
wrong is made again, in the next round.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from folding.absorb import absorb, affines_gone
from folding.absorbers import ABSORBERS
from folding.affine import ChannelAffine
from folding.apart import aside
from folding.biases import behind_new_biases, with_biases
from folding.chains import Chain, chains
from folding.current import affine_at, composed
from folding.descent import Descended, Descent
from folding.draft import Draft
from folding.idle import overlook
from folding.live import statistics_of
from folding.lower import lower
from folding.merging import hosts
from folding.plan import Folded, Kept, Kind, Reason, Warned
from folding.prices import Prices
from folding.ranges import range_warnings
from folding.recognise import Recogniser
from folding.unread import unread
from folding.waits import MAY_CHANGE, Waits
from folding.walk import Walker
from folding.way import Reached, Stop

F = TypeVar("F", Reached, Descended)


class Search:
    """The search in one scope. ``refused`` has the affines whose numbers are known not to fit."""

    def __init__(self, draft: Draft, refused: dict[str, Kept]) -> None:
        self.draft, self.refused = draft, refused
        self.steps = Recogniser(draft.scope, draft.constants)
        overlook(draft, self.steps)
        self.chains = chains(self.steps)
        self.unread = unread(draft.scope)
        self.chain_of = {node: chain for chain in self.chains for node in chain.nodes}
        self.walker = Walker(draft, self.steps, self.chain_of, self._objection)
        self.descent = Descent(draft, self._below)
        self.prices = Prices(draft, self.steps, self.walker)
        self.waits = Waits(self.chains, self.walker.stretches)
        self.outcomes: dict[Chain, Folded | Kept] = {}
        self.warnings: list[Warned] = []
        #: Scalars that a layer could take in, but not for nothing.
        self.costly: set[Chain] = set()
        self.met_below: dict[Chain, None] = {}  #: The affines that the last descent met.
        #: Those that met others, and may go into them; and numbers that took in channels.
        self.mergers, self.grown = set[Chain](), set[Chain]()

    def decide(self) -> None:
        """Decide about every affine, in graph order, and fold what can be folded in the draft."""
        is_open = True
        while is_open:
            for chain in map(self.chains.__getitem__, self.waits.agenda):
                if not isinstance(self.outcomes.get(chain), Folded):
                    self._decide(chain)
            is_open = self._merge()

    def _decide(self, chain: Chain) -> None:
        before = self.outcomes.get(chain), chain in self.costly
        fixed = self.fixed(chain)
        outcome = self.outcomes[chain] = fixed or self._searched(chain)
        if before != (outcome, chain in self.costly):
            self.waits.disturb(chain, is_gone=isinstance(outcome, Folded))
        if fixed is None and isinstance(outcome, Kept) and self._objection(chain) is None:
            self.walker.open_way(chain)

    def _merge(self) -> bool:
        """Let affines that met others which stay go into those (see ``merging``)."""
        waiting, merged = sorted(self.mergers, key=lambda chain: chain.nodes[-1]), False
        self.mergers.clear()
        self.walker.merges = True
        for chain in waiting:
            if isinstance(self.outcomes[chain], Folded) or self.fixed(chain) is not None:
                continue
            self.walker.forget()
            whole = composed(self.draft, self.steps, self.walker.nodes(chain))
            up = whole if isinstance(whole, Kept) else self.walker.up(chain, whole)
            up = self._fitting(chain, up)
            if isinstance(up, Reached):
                self._fold(chain, up)
                self._renew(up)
                merged = True
            else:
                self.waits.watch(chain, self.walker.met, (), self.walker.crowded)
        self.walker.merges = False
        return merged

    def _renew(self, reached: Reached) -> None:
        """Decide again about those that others went into."""
        for host in hosts(reached, self.chain_of):
            whole = composed(self.draft, self.steps, self.walker.nodes(host))
            if host.is_scalar and not (isinstance(whole, Kept) or whole.axis is None):
                self.grown.add(host)
                self.costly.discard(host)
            self.waits.has_new_numbers(host)

    def name(self, chain: Chain) -> str:
        """What an affine is called: as the last value that it made in the source."""
        return self.draft.scope.makes[chain.nodes[-1]][0]

    def is_scalar(self, chain: Chain) -> bool:
        """Whether an affine is a mere number, and has taken in no channels."""
        return chain.is_scalar and chain not in self.grown

    def fixed(self, chain: Chain) -> Kept | None:
        """Why an affine stays, whatever becomes of the others."""
        name, closed = self.name(chain), self.draft.scope.closed
        known = self.refused.get(name) or (chain.refusal if closed is None else Kept(closed, name))
        return known or (Kept(Reason.UNREAD, name) if chain.nodes[-1] in self.unread else None)

    def _searched(self, chain: Chain) -> Folded | Kept:
        self.walker.forget()
        self.met_below = {}
        whole = composed(self.draft, self.steps, self.walker.nodes(chain))
        if isinstance(whole, Kept):
            return whole
        up = self._fitting(chain, self.walker.up(chain, whole, follows=True))
        if isinstance(up, Reached):
            return self._fold(chain, up)
        down = self._fitting(chain, self._down(chain, whole))
        if isinstance(down, Descended):
            return self._fold(chain, down)
        if chain.kind is Kind.LIVE_NORM and up.operator not in ABSORBERS:
            up = statistics_of(self.draft, self.walker.stops(chain)[-1])
        kept = replace(up, below=replace(down, below=None))
        folded = self._split(chain, whole, kept) or self._with_biases(chain, whole, kept)
        if folded is None:
            walker = self.walker
            self.waits.watch(chain, walker.met, self.met_below, walker.crowded)
            if walker.met:
                self.mergers.add(chain)
        return folded or kept

    def _split(self, chain: Chain, whole: ChannelAffine, kept: Kept) -> Folded | None:
        """Fold the scale alone if that saves a node; the shift stays as an Add."""
        is_one = len(self.walker.nodes(chain)) == 1
        if self.is_scalar(chain) or is_one or whole.is_shift or whole.is_scale:
            return None
        scale, shift = whole.parts()
        up = self.walker.up(chain, scale)
        found: Reached | Descended | Kept = self._fitting(chain, up, shift)
        if isinstance(found, Kept) and (before := whole.shift_first()) is not None:
            found = self._fitting(chain, self._down(chain, scale), before)
        return None if isinstance(found, Kept) else self._fold(chain, found, kept)

    def _with_biases(self, chain: Chain, affine: ChannelAffine, kept: Kept) -> Folded | None:
        """Fold the affine together with the biases that earlier folds have left before it."""
        found = None if self.is_scalar(chain) else with_biases(self.walker, chain, affine)
        if found is None:
            return None
        self.walker.biases[chain], whole = found
        down = self._fitting(chain, self._down(chain, whole))
        if isinstance(down, Descended):
            return self._fold(chain, down)
        folded = self._split(chain, whole, kept)
        if folded is None:
            del self.walker.biases[chain]
        return folded

    def _down(self, chain: Chain, affine: ChannelAffine) -> Descended | Kept:
        return self.descent.down(self.draft.node(self.walker.last(chain)).output[0], affine)

    def _below(self, index: int) -> tuple[int, ChannelAffine] | Kept | None:
        """An affine node on the way down, or why it may not be taken along."""
        chain = None if index in self.draft.shifts else self.chain_of.get(index)
        if chain is not None and chain.refusal is None:
            self.met_below[chain] = None
            if (objection := self._objection(chain)) is not None:
                return objection
        return affine_at(self.draft, self.steps, index)

    def _fitting(
        self, chain: Chain, found: F | Kept, rest: ChannelAffine | None = None
    ) -> F | Kept:
        """What was found, where ``rest`` stays, unless the price is too high."""
        if isinstance(found, Kept):
            return found
        found = replace(found, rest=rest)
        is_scalar = self.is_scalar(chain)
        if (refusal := self.prices.refusal(chain, found, is_scalar=is_scalar)) is None:
            return found
        if is_scalar:
            self.costly.add(chain)
        self.waits.was_too_dear(chain, found.takers)
        return refusal

    def _fold(self, chain: Chain, found: Reached | Descended, rest: Kept | None = None) -> Folded:
        draft = self.draft
        name, out = self.name(chain), draft.node(self.walker.last(chain)).output[0]
        self.warnings += range_warnings(chain.nodes, draft.scope, draft.constants)
        if isinstance(found, Reached):
            draft.ends[name] = {out: self.steps.axis(chain.nodes)} | aside(draft, found)
            return self.take_in(found, out, (draft.number, name), rest)
        outcome, known = self._taken(found, found.gone, rest), len(draft.shifts)
        draft.ends[name] = lower(draft, self.steps, self.walker.stops(chain)[::-1], found)
        self.waits.has_changed(draft, behind_new_biases(draft, known, self.chain_of))
        return outcome

    def take_in(
        self, found: Reached, out: str, owner: tuple[int, str], rest: Kept | None = None
    ) -> Folded:
        """Fold what came up from a value, the output of the affine ``owner`` of some graph."""
        draft, outcome = self.draft, self._taken(found, affines_gone(found), rest)
        known = len(draft.shifts)
        self.walker.roads.pave(absorb(draft, found, out))
        for entry in found.entered:
            for way in entry.ways:
                way.branch.take_in(entry.place, way.found, owner)
        self.waits.has_changed(draft, behind_new_biases(draft, known, self.chain_of))
        return outcome

    def _taken(self, found: Reached | Descended, gone: list[Stop], rest: Kept | None) -> Folded:
        """What becomes of the affines that a fold takes away."""
        titles = tuple(dict.fromkeys(map(self.draft.title, found.takers)))
        outcome = Folded(titles, self.draft.node(found.takers[0]).op_type, rest)
        for stop in gone:
            taken = self.chain_of.get(stop.node)
            if taken is not None and self.outcomes.get(taken) is not outcome:
                self.outcomes[taken] = outcome
                self.waits.disturb(taken, is_gone=True)
        self.waits.has_taken_in(found.takers)
        return outcome

    def _objection(self, chain: Chain) -> Kept | None:
        """Why an affine that stays may not be taken along, or merged into, if so."""
        if self.walker.merges:
            return self.refused.get(self.name(chain))
        outcome = self.outcomes.get(chain)
        if not isinstance(outcome, Kept) or chain in self.costly:
            return None
        if chain.kind is Kind.SCALAR and self.is_scalar(chain):
            return outcome  # It is listed nowhere.
        is_open = outcome.reason in MAY_CHANGE
        return None if is_open else Kept(Reason.BEHIND_KEPT, self.name(chain))
