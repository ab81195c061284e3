"""The search: from each affine up to a layer that takes it in.

    layer ─ carrier ─ affine ─ carrier ─ affine ─ y

It walks from an affine towards the graph's inputs, through carriers and over other affines, which
are taken along, until it meets an absorber; and folds only where nothing else can see the values
in between. Decisions are made in graph order, each on the graph that the earlier ones leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from onnx import NodeProto, TensorProto

from folding.absorb import Stop, Way, absorb, shift_of
from folding.absorbers import ABSORBERS, Weight
from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Passage
from folding.chains import Chain, chains
from folding.doubled import Doubled
from folding.draft import Draft
from folding.graph import Shape
from folding.plan import Decision, Folded, Kept, Kind, Reason, Warned
from folding.protos import integer, is_default_domain, title
from folding.ranges import range_warning
from folding.recognise import Recogniser, Step
from folding.tensors import constant_dims, is_constant, small_constant, weight_of

#: Reasons that another affine, composed with this one, may not share.
_MAY_CHANGE = frozenset({Reason.CAST_ROUNDS, Reason.OVERFLOW, Reason.UNDERFLOW, Reason.OTHER_AXIS})


@dataclass(frozen=True, slots=True)
class _Layer:
    """A node of a draft, as an absorber sees it."""

    draft: Draft
    index: int

    @property
    def node(self) -> NodeProto:
        return self.draft.node(self.index)

    @property
    def opset(self) -> int:
        return self.draft.opset

    def shape(self, name: str) -> Shape | None:
        return self.draft.shape(name)

    def is_constant(self, slot: int) -> bool:
        return slot < len(self.node.input) and is_constant(self.draft, self.node.input[slot])

    def weight(self, slot: int) -> Weight | Kept:
        return weight_of(self.draft, self.node.input[slot], self.draft.title(self.index))

    def bias(self, slot: int) -> Doubled | Kept | None:
        if slot >= len(self.node.input) or not self.node.input[slot]:
            return None
        return small_constant(self.draft, self.node.input[slot], self.draft.title(self.index))


class Search:
    """The search in one scope. ``refused`` has the affines whose numbers are known not to fit."""

    def __init__(self, draft: Draft, refused: dict[str, Kept]) -> None:
        self.draft, self.refused = draft, refused
        self.steps = Recogniser(draft.scope, draft.constants)
        self.outcomes: dict[Chain, Folded | Kept] = {}
        self.chain_of: dict[int, Chain] = {}
        self.warnings: list[Warned] = []
        #: Scalars that a layer could take in, but not for nothing.
        self.costly: set[Chain] = set()

    def decide(self) -> list[Decision]:
        """Decide about every affine, in graph order, and fold what can be folded in the draft."""
        found = chains(self.steps)
        self.chain_of = {node: chain for chain in found for node in chain.nodes}
        waiting, count = found, len(found) + 1
        while 0 < len(waiting) < count:
            # One fold may unlock another: a tensor is then read by one layer only.
            count = len(waiting)
            for chain in waiting:
                if not isinstance(self.outcomes.get(chain), Folded):
                    self.outcomes[chain] = self._outcome(chain)
            waiting = [c for c in waiting if isinstance(self.outcomes[c], Kept) and not c.refusal]
        return [
            Decision(self._name(chain), chain.kind, self._titles(chain), self.outcomes[chain])
            for chain in found
            if chain.kind is not Kind.SCALAR or isinstance(self.outcomes[chain], Folded)
        ]

    def _name(self, chain: Chain) -> str:
        return self.draft.scope.nodes[chain.nodes[-1]].output[0]

    def _titles(self, chain: Chain) -> tuple[str, ...]:
        return tuple(title(self.draft.scope.nodes[i]) for i in chain.nodes)

    def _outcome(self, chain: Chain) -> Folded | Kept:
        name = self._name(chain)
        if name in self.refused:
            return self.refused[name]
        closed = self.draft.scope.closed
        if closed is not None:
            return Kept(closed, name)
        way = chain.refusal or self._way(chain)
        if isinstance(way, Kept):
            hopeless = chain.kind is Kind.LIVE_NORM and way.reason is Reason.NO_RULE
            return Kept(Reason.LIVE_STATISTICS, way.at, way.operator) if hopeless else way
        layer = self.draft.node(way.layer)
        if chain.kind is Kind.SCALAR and not self._is_free(way):
            self.costly.add(chain)
            return Kept(Reason.NO_RULE, self.draft.title(way.layer), layer.op_type)
        if not self._has_room(way):
            return Kept(Reason.OLD_IR, self.draft.title(way.layer), layer.op_type)
        outcome = Folded((self.draft.title(way.layer),), layer.op_type)
        for stop in way.path:
            if stop.node in self.chain_of:
                self.outcomes[self.chain_of[stop.node]] = outcome
        absorb(self.draft, way, name)
        self._warn_of_ranges(chain)
        return outcome

    def _has_room(self, way: Way) -> bool:
        """Whether the nodes do not increase where each new constant is a node, below IR 4.

        A constant of the right shape that the fold sets free has room for one.
        """
        draft, node = self.draft, self.draft.node(way.layer)
        if not draft.keeps_inputs:
            return True
        gone = [draft.node(stop.node) for stop in way.path if stop.is_affine]
        freed = [
            constant_dims(draft, name)
            for affine in gone
            for name in affine.input
            if name in draft.scope.initializers and len(draft.readers(name)) == 1
        ]
        wanted = [value.shape for value in way.absorbed.constants.values()]
        shift = way.absorbed.shift
        if shift is not None:
            wanted.append((shift.size, *[1] * (-1 - way.absorbed.shift_axis)))
        new = sum(dims not in freed for dims in wanted) + (shift is not None)
        weight = node.input[way.absorbed.slot]
        own = weight in draft.scope.initializers and draft.readers(weight) == [way.layer]
        return new + (not own) <= len(gone)

    def _warn_of_ranges(self, chain: Chain) -> None:
        for index in chain.nodes:
            node = self.draft.scope.nodes[index]
            is_half = self.draft.scope.type(node.input[0]) == TensorProto.FLOAT16
            if is_half and node.op_type == "BatchNormalization":
                warning = range_warning(node, self.draft.constants)
                self.warnings += [warning] if warning else []

    def _is_free(self, way: Way) -> bool:
        """Whether a layer takes in a scalar without a new node or tensor."""
        node = self.draft.node(way.layer)
        slots = [way.absorbed.slot, *way.absorbed.constants]
        present = all(slot < len(node.input) and node.input[slot] for slot in slots)
        names = [node.input[slot] for slot in slots] if present else []
        unshared = all(self.draft.readers(name) == [way.layer] for name in names)
        return present and unshared and way.absorbed.shift is None

    def _way(self, chain: Chain) -> Way | Kept:
        """Walk up from an affine until something takes it in or is in the way."""
        draft = self.draft
        affine = self.steps.compose(chain.nodes)
        narrows_to = self._narrows_to(self._name(chain))
        path = [Stop(i, self._data_slot(i) or 0, is_affine=True) for i in reversed(chain.nodes)]
        while not isinstance(affine, Kept):
            value = draft.node(path[-1].node).input[path[-1].slot]
            at = draft.producer(value)
            obstacle = self._guard(value, at)
            if at is None or obstacle is not None:
                return obstacle or Kept(Reason.OUTER_VALUE, value)
            node = draft.node(at)
            if (slot := self._data_slot(at)) is not None:
                affine = self._over(at, affine)
                path.append(Stop(at, slot, is_affine=True))
            elif not is_default_domain(node):
                return Kept(Reason.CUSTOM_OPERATOR, title(node), node.op_type)
            elif node.op_type in ABSORBERS:
                absorbed = ABSORBERS[node.op_type].at_output(_Layer(draft, at), affine)
                if isinstance(absorbed, Kept):
                    return self._as_in_source(absorbed, at)
                return Way(at, absorbed, tuple(reversed(path)))
            elif node.op_type in CARRIERS and value == node.output[0]:
                affine = CARRIERS[node.op_type].up(affine, Passage(node, draft, narrows_to))
                if isinstance(affine, Kept):
                    return self._as_in_source(affine, at)
                path.append(Stop(at, 0, is_affine=False))
            else:
                no_rule = Kept(Reason.NO_RULE, title(node), node.op_type)
                return self.steps.refusals.get(at, no_rule)
        return affine

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

    def _over(self, index: int, affine: ChannelAffine) -> ChannelAffine | Kept:
        """An affine together with another one that stands before it."""
        draft = self.draft
        node = draft.node(index)
        if index in draft.shifts:
            inner: ChannelAffine | Kept = shift_of(draft, index)
        else:
            taken = self.chain_of.get(index)
            earlier = self.outcomes.get(taken) if taken else None
            if taken is not None and isinstance(earlier, Kept) and taken not in self.costly:
                if taken.kind is Kind.SCALAR:
                    return earlier  # It is listed nowhere.
                if earlier.reason not in _MAY_CHANGE:
                    return Kept(Reason.BEHIND_KEPT, self._name(taken))
            inner = self.steps.compose((index,))
        if isinstance(inner, Kept):
            return inner
        if not affine.agrees_with(inner):
            return Kept(Reason.OTHER_AXIS, title(node), node.op_type)
        return affine.after(inner)

    def _guard(self, value: str, producer: int | None) -> Kept | None:
        """What is in the way of changing a value: everything else that can see it."""
        draft, scope = self.draft, self.draft.scope
        if value in scope.inputs:
            return Kept(Reason.GRAPH_INPUT, value)
        if producer is None:
            return Kept(Reason.OUTER_VALUE, value)
        if value in scope.outputs:
            return Kept(Reason.GRAPH_OUTPUT, value)
        if value in scope.captured:
            return Kept(Reason.CAPTURED, value)
        several = len(list(islice(draft.value_readers(value), 2))) > 1
        return Kept(Reason.FORKED, value) if several else None

    def _narrows_to(self, value: str) -> int:
        """The element type that every reader of a value converts it to, 0 if there is none."""
        readers = [self.draft.node(i) for i in self.draft.value_readers(value)]
        casts = [n.op_type == "Cast" and is_default_domain(n) for n in readers]
        kinds = {integer(n, "to", 0) if c else 0 for n, c in zip(readers, casts, strict=True)}
        return kinds.pop() if len(kinds) == 1 and not self.draft.is_seen(value) else 0
