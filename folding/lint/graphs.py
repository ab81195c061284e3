"""What the lints look at: each graph that is run, with what the planner found out about it.

Constants are recognised and what nothing reads is left out, or the lints would lie.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from folding.chains import Chain
from folding.constants import Constants
from folding.doubled import Doubled
from folding.draft import Draft
from folding.graph import Scope
from folding.modelfile import Model
from folding.plan import Folded, Kept, Kind, Reason
from folding.planner import Planned, Seen, untouched
from folding.protos import subgraphs, title
from folding.recognise import Recogniser, Step
from folding.unread import unread


@dataclass(frozen=True, slots=True)
class Graph:
    """A scope, what is constant in it, which nodes are affine, and ``dead`` ones.

    ``outer`` is the graph around it.
    """

    scope: Scope
    constants: Constants
    seen: Seen
    dead: frozenset[int]
    outer: Graph | None

    def title(self, index: int) -> str:
        """What to call a node."""
        return title(self.scope.nodes[index])

    def name(self, chain: Chain) -> str:
        """What a normalisation is called in reports."""
        return self.scope.makes[chain.nodes[-1]][0]

    def live(self) -> Iterator[int]:
        """The nodes that are run, in order."""
        return (index for index in range(len(self.scope.nodes)) if index not in self.dead)

    def steps(self, chain: Chain) -> list[Step]:
        """The steps of a run that is an affine."""
        found = self.seen.steps.steps
        return [step for node in chain.nodes if isinstance(step := found[node], Step)]

    def outcome(self, chain: Chain) -> Folded | Kept | None:
        """What the planner decided."""
        return self.seen.outcomes.get(chain)

    def obstacle(self, chain: Chain, reasons: Collection[Reason]) -> Kept | None:
        """What keeps a run, or its shift, from a layer, if it is for one of some reasons."""
        outcome = self.outcome(chain)
        kept = outcome.rest if isinstance(outcome, Folded) else outcome
        while kept is not None and kept.reason not in reasons:
            kept = kept.below
        return kept

    def norms(self) -> list[Chain]:
        """The affines that are a batch normalisation, written as one node or as several."""
        return [c for c in self.seen.chains if c.nodes[-1] not in self.dead and self.is_norm(c)]

    def norms_of_one_channel(self) -> list[Chain]:
        """The runs of mere numbers that scale and shift all channels of a value: its only one."""
        scalars = (c for c in self.seen.chains if c.kind is Kind.SCALAR and c.refusal is None)
        return [c for c in scalars if c.nodes[-1] not in self.dead and self._is_of_one(c)]

    def _is_of_one(self, chain: Chain) -> bool:
        steps = self.steps(chain)
        shape = self.scope.shape(steps[0].data) or ()
        has_one = len(shape) > 1 and 1 in (shape[1], shape[-1])
        return has_one and {step.is_shift for step in steps} == {True, False}

    def is_norm(self, chain: Chain) -> bool:
        """Whether a run is a batch normalisation, not only a bias and a scale."""
        if chain.refusal is not None or chain.kind is Kind.LIVE_NORM:
            return False
        if chain.kind is Kind.BATCH_NORM:
            return True
        steps = self.steps(chain)
        scales = [place for place, step in enumerate(steps) if step.scales_channels]
        if not scales:
            return False
        shifts = [place for place, s in enumerate(steps) if s.is_shift and s.axis is not None]
        after = any(place > scales[0] for place in shifts)
        means = (self.scope.operators[steps[place].node] == "Sub" for place in shifts)
        return after or any(means)

    def numbers(self, name: str) -> Doubled | None:
        """A small float constant."""
        return self.constants.doubled(name) if name in self.constants else None


def graphs(planned: Planned) -> list[Graph]:
    """The graphs that are run, outer before inner; functions are taken for run."""
    rest = iter(zip(planned.drafts, planned.seen, strict=True))
    found: list[Graph] = []
    for draft, seen in rest:
        graph = _graph(draft.scope, draft.constants, seen, None)
        found.append(graph)
        _enter(graph, rest, found, is_dead=False)
    return found


def sketched(model: Model) -> list[Graph]:
    """The graphs of a model without a plan: what nodes are is known, but not how they join."""
    drafts = untouched(model)
    seen = [Seen(Recogniser(draft.scope, draft.constants), (), {}) for draft in drafts]
    return graphs(Planned([], drafts, [], seen))


def _enter(
    graph: Graph, rest: Iterator[tuple[Draft, Seen]], found: list[Graph], *, is_dead: bool
) -> None:
    """The bodies in a graph, which follow it in the same order."""
    for place in graph.scope.nesting:
        for _ in subgraphs(graph.scope.nodes[place]):
            draft, seen = next(rest)
            dead = is_dead or place in graph.dead
            inner = _graph(draft.scope, draft.constants, seen, graph)
            if not dead:
                found.append(inner)
            _enter(inner, rest, found, is_dead=dead)


def _graph(scope: Scope, constants: Constants, seen: Seen, outer: Graph | None) -> Graph:
    return Graph(scope, constants, seen, frozenset(unread(scope)), outer)


def count_of(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    """How many channels a mask has of how many."""
    count, most = int(mask.sum()), mask.size
    if count == most:
        return "every channel"
    return f"{count} of {most} channels"
