"""The search: from each affine up to a layer that takes it in.

    layer ─ carrier ─ affine ─ carrier ─ affine ─ y

It walks from an affine towards the graph's inputs, through carriers and over other affines, which
are taken along, until it meets an absorber; and folds only where nothing else can see the values
in between. Decisions are made in graph order, each on the graph that the earlier ones leave; one
that a later fold may have made wrong is made again, in the next round.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import TensorProto

from folding.absorb import absorb
from folding.agenda import Agenda
from folding.chains import Chain, chains
from folding.draft import Draft
from folding.plan import Decision, Folded, Kept, Kind, Reason, Warned
from folding.protos import title
from folding.ranges import range_warning
from folding.recognise import Recogniser, Step
from folding.tensors import constant_dims
from folding.walk import Walker
from folding.way import Reached, Way

#: Reasons that another affine, composed with this one, may not share.
_MAY_CHANGE = frozenset({Reason.CAST_ROUNDS, Reason.OVERFLOW, Reason.UNDERFLOW, Reason.OTHER_AXIS})


class Search:
    """The search in one scope. ``refused`` has the affines whose numbers are known not to fit."""

    def __init__(self, draft: Draft, refused: dict[str, Kept]) -> None:
        self.draft, self.refused = draft, refused
        steps = Recogniser(draft.scope, draft.constants)
        self.chains = chains(steps)
        self.places = {chain: place for place, chain in enumerate(self.chains)}
        self.chain_of = {node: chain for chain in self.chains for node in chain.nodes}
        self.walker = Walker(draft, steps, self.chain_of, self._objection)
        self.agenda = Agenda(len(self.chains))
        self.outcomes: dict[Chain, Folded | Kept] = {}
        self.warnings: list[Warned] = []
        #: Scalars that a layer could take in, but not for nothing.
        self.costly: set[Chain] = set()
        #: Who went over an affine that stays or stopped at it, and who waits until a value has but
        #: one reader.
        self.behind: dict[Chain, set[int]] = {}
        self.crowds: dict[str, set[int]] = {}

    def decide(self) -> list[Decision]:
        """Decide about every affine, in graph order, and fold what can be folded in the draft."""
        for place in self.agenda:
            chain = self.chains[place]
            if not isinstance(self.outcomes.get(chain), Folded):
                self._decide(chain)
        return [
            Decision(self._name(chain), chain.kind, self._titles(chain), self.outcomes[chain])
            for chain in self.chains
            if chain.kind is not Kind.SCALAR or isinstance(self.outcomes[chain], Folded)
        ]

    def _decide(self, chain: Chain) -> None:
        before = self.outcomes.get(chain), chain in self.costly
        fixed = self._fixed(chain)
        outcome = self.outcomes[chain] = fixed or self._searched(chain)
        if before != (outcome, chain in self.costly):
            self._disturb(chain)
        if fixed is None and isinstance(outcome, Kept) and self._objection(chain) is None:
            self.walker.open_way(chain)

    def _name(self, chain: Chain) -> str:
        return self.draft.scope.makes[chain.nodes[-1]][0]

    def _titles(self, chain: Chain) -> tuple[str, ...]:
        return tuple(title(self.draft.scope.nodes[i]) for i in chain.nodes)

    def _fixed(self, chain: Chain) -> Kept | None:
        """Why an affine stays, whatever becomes of the others."""
        name, closed = self._name(chain), self.draft.scope.closed
        if name in self.refused:
            return self.refused[name]
        return chain.refusal if closed is None else Kept(closed, name)

    def _searched(self, chain: Chain) -> Folded | Kept:
        reached = self.walker.up(chain)
        if isinstance(reached, Kept):
            hopeless = chain.kind is Kind.LIVE_NORM and reached.reason is Reason.NO_RULE
            reason = Reason.LIVE_STATISTICS if hopeless else reached.reason
            outcome = Kept(reason, reached.at, reached.operator)
        else:
            at, operator = self.draft.title(reached.layer), self.draft.node(reached.layer).op_type
            if chain.kind is Kind.SCALAR and not self._is_free(reached):
                self.costly.add(chain)
                outcome = Kept(Reason.NO_RULE, at, operator)
            elif not self._has_room(reached):
                outcome = Kept(Reason.OLD_IR, at, operator)
            else:
                folded = Folded((at,), operator)
                self._fold(chain, reached.way(), folded)
                return folded
        self._watch(chain)
        return outcome

    def _fold(self, chain: Chain, way: Way, outcome: Folded) -> None:
        for stop in way.path:
            taken = self.chain_of.get(stop.node)
            if taken is not None and self.outcomes.get(taken) is not outcome:
                self.outcomes[taken] = outcome
                self._disturb(taken)
        self.draft.axes[self._name(chain)] = self._axis(chain)
        self.walker.pave(absorb(self.draft, way, self._name(chain)))
        self._warn_of_ranges(chain)
        for name in self.draft.released:
            if name in self.crowds and self.draft.readers(name).count <= 1:
                self._again(self.crowds.pop(name))
        self.draft.released.clear()

    def _axis(self, chain: Chain) -> int | None:
        steps = (self.walker.steps.steps[index] for index in chain.nodes)
        return next((s.axis for s in steps if isinstance(s, Step) and s.axis is not None), None)

    def _watch(self, chain: Chain) -> None:
        """Remember what must change before there is another outcome."""
        place = self.places[chain]
        for met in self.walker.met:
            self.behind.setdefault(met, set()).add(place)
        for name in self.walker.crowded:
            self.crowds.setdefault(name, set()).add(place)

    def _disturb(self, chain: Chain) -> None:
        """Decide again about all that went over an affine, or stopped at it."""
        changed = [chain]
        while changed:
            places = self.behind.pop(changed.pop(), ())
            self._again(places)
            went_over = (self.chains[place] for place in places)
            changed += [c for c in went_over if self.walker.stretches.pop(c, None)]

    def _again(self, places: Iterable[int]) -> None:
        for place in places:
            self.agenda.add(place)

    def _objection(self, chain: Chain) -> Kept | None:
        """Why an affine that stays may not be taken along, if so."""
        outcome = self.outcomes.get(chain)
        if not isinstance(outcome, Kept) or chain in self.costly:
            return None
        if chain.kind is Kind.SCALAR:
            return outcome  # It is listed nowhere.
        is_open = outcome.reason in _MAY_CHANGE
        return None if is_open else Kept(Reason.BEHIND_KEPT, self._name(chain))

    def _has_room(self, reached: Reached) -> bool:
        """Whether the nodes do not increase where each new constant is a node, below IR 4.

        A constant of the right shape that the fold sets free has room for one.
        """
        draft, node = self.draft, self.draft.node(reached.layer)
        if not draft.keeps_inputs:
            return True
        gone = [draft.node(stop.node) for stop in reached.way().path if stop.is_affine]
        stored = draft.scope.initializers
        given = [name for affine in gone for name in affine.input if name in stored]
        freed = [constant_dims(draft, name) for name in given if draft.is_read_once(name)]
        wanted = [value.shape for value in reached.absorbed.constants.values()]
        shift = reached.absorbed.shift
        if shift is not None:
            wanted.append((shift.size, *[1] * (-1 - reached.absorbed.shift_axis)))
        new = sum(dims not in freed for dims in wanted) + (shift is not None)
        weight = node.input[next(iter(reached.absorbed.factors))]
        own = weight in stored and draft.is_alone(reached.layer, weight)
        self.walker.crowded += [*given, weight]
        return new + (not own) <= len(gone)

    def _warn_of_ranges(self, chain: Chain) -> None:
        scope = self.draft.scope
        for index in chain.nodes:
            is_batch_norm = scope.operators[index] == "BatchNormalization"
            if is_batch_norm and scope.type(scope.reads[index][0]) == TensorProto.FLOAT16:
                warning = range_warning(scope.nodes[index], self.draft.constants)
                self.warnings += [warning] if warning else []

    def _is_free(self, reached: Reached) -> bool:
        """Whether a layer takes in a scalar without a new node or tensor."""
        node = self.draft.node(reached.layer)
        slots = [*reached.absorbed.factors, *reached.absorbed.constants]
        if any(slot >= len(node.input) or not node.input[slot] for slot in slots):
            return False
        names = [node.input[slot] for slot in slots]
        self.walker.crowded += names
        unshared = all(self.draft.is_alone(reached.layer, name) for name in names)
        return unshared and reached.absorbed.shift is None
