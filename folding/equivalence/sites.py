"""Sites: where the reference was folded, and what stands there in the candidate.

A site is what lies between some activations and the output of an affine that was folded. Both
models have it: the reference with the layer, its carriers and the affine, the candidate with what
the fold left of them. All that is needed to run either on the same activations is in it.

    reference   inputs ─ layer ─ carrier ─ affine ─ output
    candidate   inputs ─ layer' ─ carrier ─ output
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from onnx import GraphProto

from folding.draft import Draft
from folding.protos import subgraphs, title

#: A piece of a candidate with more nodes is no site: the match of its names was a coincidence.
_MOST_NODES = 1000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some nodes of a main graph, in order, that compute one value from others."""

    inputs: tuple[str, ...]
    output: str
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """One folded place. ``axis`` is where its channels are, from the right.

    ``name`` is the value that is as it was again behind it, and ``affine`` the last that was folded
    there. ``layers`` are the nodes of the reference that took it in, as users know them. ``alike``
    says of values in between, in the candidate, which of the reference has the same shape.
    """

    name: str
    affine: str
    layers: tuple[str, ...]
    axis: int | None
    before: Piece
    after: Piece
    alike: Mapping[str, str] = field(default_factory=dict)


def find_sites(
    draft: Draft,
    candidate: GraphProto,
    values: Mapping[str, str] | None = None,
    *,
    by_name: bool = True,
) -> tuple[list[Site], list[str]]:
    """The sites of the main graph, and the affines of which the candidate has none.

    Args:
        draft: the plan for the reference's main graph.
        candidate: the main graph of the other model.
        values: which of its values is which of the reference, where they have other names.
        by_name: whether all others are those of the same name; else nothing is known of them.
    """
    there = _Index.of(candidate)
    called = _Names(values or {}, None if by_name else draft.scope.inputs)
    found, missing = [], []
    places = {
        name: (affine, axis) for affine, ends in draft.ends.items() for name, axis in ends.items()
    }
    for name, place in places.items():
        if name not in draft.scope.producers or not _is_finished(draft, name):
            continue  # Another affine was folded there too, whose site it belongs to.
        site = _site(draft, name, place, there, called)
        if site is None:
            missing.append(name)
        else:
            found.append(site)
    return found, missing


def _site(
    draft: Draft,
    name: str,
    place: tuple[str, int | None],
    candidate: _Index,
    called: _Names,
) -> Site | None:
    before, layers = _before(draft, name)
    inputs, output = [*map(called.of, before.inputs)], called.of(name)
    given = tuple(value for value in inputs if value is not None)
    if output is None or len(given) < len(inputs):
        return None
    nodes = _behind(candidate, output, given)
    if nodes is None:
        return None
    made = (value for index in nodes for value in candidate.graph.node[index].output)
    alike = {value: was for value in made if (was := draft.original(value)) != value}
    return Site(name, place[0], layers, place[1], before, Piece(given, output, nodes), alike)


@dataclass(frozen=True, slots=True)
class _Names:
    """What values are called in the candidate: ``values``, and the same in ``same``, or all."""

    values: Mapping[str, str]
    same: frozenset[str] | None

    def of(self, name: str) -> str | None:
        """The name, None if it is not known."""
        if name in self.values:
            return self.values[name]
        return name if self.same is None or name in self.same else None


def _before(draft: Draft, name: str) -> tuple[Piece, tuple[str, ...]]:
    """The piece of the reference, and its layers."""
    scope = draft.scope
    inputs: dict[str, None] = {}
    nodes = {scope.producers[name]}
    waiting = [*nodes]
    while waiting:
        for given in scope.reads[waiting.pop()]:
            if not given or given in draft.constants or given in inputs:
                continue
            producer = scope.producers.get(given)
            if producer is None or producer not in draft.nodes or _is_finished(draft, given):
                inputs[given] = None
            elif producer not in nodes:
                nodes.add(producer)
                waiting.append(producer)
    layers = (i for i in sorted(nodes) if any(n in draft.changed for n in _reads(draft, i)))
    piece = Piece(tuple(inputs), name, tuple(sorted(nodes)))
    return piece, tuple(title(scope.nodes[index]) for index in layers)


def _is_finished(draft: Draft, name: str) -> bool:
    """Whether a value is still there: none has another content under the name that it had."""
    return name not in draft.vanished and name not in draft.renamed


def _reads(draft: Draft, index: int) -> Iterable[str]:
    node = draft.nodes.get(index)
    return node.input if node is not None else ()


@dataclass(frozen=True, slots=True)
class _Index:
    """A graph, who makes each value, and what is stored in it."""

    graph: GraphProto
    producers: Mapping[str, int]
    stored: frozenset[str]

    @classmethod
    def of(cls, graph: GraphProto) -> _Index:
        producers = {name: index for index, node in enumerate(graph.node) for name in node.output}
        stored = {tensor.name for tensor in graph.initializer}
        sparse = {tensor.values.name for tensor in graph.sparse_initializer}
        return cls(graph, producers, frozenset(stored | sparse))


def _behind(there: _Index, output: str, inputs: tuple[str, ...]) -> tuple[int, ...] | None:
    """The nodes of a graph between some values and another one; None if that needs others too."""
    known = {*inputs, ""}
    if output not in there.producers or output in known:
        return None
    nodes = {there.producers[output]}
    waiting = [*nodes]
    while waiting:
        node = there.graph.node[waiting.pop()]
        if any(True for _ in subgraphs(node)):
            return None  # What its bodies read from outside cannot be told here.
        for given in node.input:
            if given in known:
                continue
            producer = there.producers.get(given)
            if producer is None:
                if given not in there.stored:
                    return None
            elif producer not in nodes:
                nodes.add(producer)
                waiting.append(producer)
        if len(nodes) > _MOST_NODES:
            return None
    return tuple(sorted(nodes))
