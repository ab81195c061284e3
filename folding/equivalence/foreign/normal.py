"""The normal form of a model: what its folds leave, as values, all seen through that can be.

Both sides are folded as far as they can be before they are compared, so a candidate of which some
affines were folded meets a reference of which all are. The folded numbers are not rounded: they
stay recipes, to be computed when they are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from onnx import GraphProto, NodeProto

from folding.draft import Draft
from folding.equivalence.foreign.attributes import attributes_of, version_of
from folding.equivalence.foreign.fused import written_out
from folding.equivalence.foreign.numbers import Constant, find, is_big_product
from folding.equivalence.foreign.origins import Origins
from folding.equivalence.foreign.rules import make
from folding.equivalence.foreign.splitting import settled
from folding.equivalence.foreign.states import without_zeros
from folding.equivalence.foreign.terms import (
    FORMAL,
    INPUT,
    Body,
    Call,
    Outcome,
    Term,
    Value,
    shape_of,
    symbol,
)
from folding.modelfile import Model
from folding.planner import plan_model
from folding.protos import graphs, opset
from folding.repeated import Repeated

#: The bodies of a node: the name of the attribute and the number of the graph.
_Bodies = Sequence[tuple[str, int]]


class NotFollowed(Exception):
    """What a normal form cannot be made of; becomes a NotEstablished. Never escapes."""

    def __init__(self, why: str, at: str) -> None:
        super().__init__(why)
        self.why, self.at = why, at


@dataclass(slots=True)
class Names:
    """The values of one graph by name."""

    draft: Draft
    parent: Names | None
    known: dict[str, Value] = field(default_factory=dict)
    origins: Origins = field(init=False)

    def __post_init__(self) -> None:
        self.origins = Origins(self.draft)

    def value(self, name: str) -> Value:
        found = self.known.get(name) or self.constant(name)
        if found is None and self.parent is not None and name not in self.draft.scope.producers:
            found = self.parent.value(name)
        if found is None:
            raise NotFollowed(f"the value {name!r} is neither computed nor a dense constant", name)
        return found

    def constant(self, name: str) -> Constant | None:
        """The constant of that name, with what a fold makes of it."""
        changed, constants = self.draft.changed.get(name), self.draft.constants
        found: Constant | None = None
        if changed is not None:
            origin = changed.origin or name
            recipe, parts = changed.recipe, self.origins.of(changed)
            source = recipe.array if isinstance(recipe, Repeated) else recipe
            scales = self.origins.scales(changed)
            found = Constant(origin, changed.elem_type, constants, source, None, parts, scales)
        elif name in constants:
            found = find(name, constants, self.draft.type(name))
        if found is not None:
            self.known[name] = found
        return found


@dataclass(frozen=True, slots=True)
class Normal:
    """A model's outputs by name, the inputs that they are made from, and what else it names.

    ``aliases`` are the values of its main graph that are the same as one with another name.
    """

    outputs: dict[str, Value]
    inputs: dict[str, Term]
    aliases: dict[str, str]


def normal_form(model: Model) -> Normal:
    """Raises NotFollowed where a name is used that stands for nothing known."""
    model = written_out(model)
    # Each step of an affine that stays is looked at: what is lost on the way must be found.
    drafts = plan_model(model, {}, shortens=False).drafts
    return _Reading(model, drafts).normal()


class _Reading:
    """Goes through the graphs of a model once, each node after those that it reads."""

    def __init__(self, model: Model, drafts: list[Draft]) -> None:
        self.graphs = list(zip(drafts, graphs(model.proto), strict=False))
        imports = {o.domain: o.version for o in model.proto.opset_import}
        self.imports = {**imports, "": opset(model.proto.opset_import)}
        self.within: dict[int, list[int]] = {}
        for number, (draft, _) in enumerate(self.graphs):
            self.within.setdefault(id(draft.scope.parent), []).append(number)

    def normal(self) -> Normal:
        draft, graph = self.graphs[0]
        names = Names(draft, None)
        stored = draft.scope.initializers.keys() - draft.scope.overridable
        inputs = {
            value.name: symbol(INPUT, value.name, _outcome(draft, value.name))
            for value in graph.input
            if value.name not in stored
        }
        names.known.update(inputs)
        self._read(names)
        outputs = {value.name: names.value(value.name) for value in graph.output}
        terms = ((name, v.name) for name, v in names.known.items() if isinstance(v, Term))
        aliases = {name: same for name, same in terms if same not in ("", name)}
        return Normal(outputs, inputs, aliases)

    def _read(self, names: Names) -> None:
        draft = names.draft
        if draft.scope.closed is not None:
            raise NotFollowed(f"in a body, {draft.scope.closed}", "")
        bodies = iter(self.within.get(id(draft.scope), ()))
        nesting = {place: list(_take(bodies, draft, place)) for place in draft.scope.nesting}
        for index, node in _nodes(draft):
            self._node(names, node, draft.title(index), nesting.get(index, ()))

    def _node(self, names: Names, node: NodeProto, title: str, within: _Bodies) -> None:
        draft = names.draft
        made = [name for name in node.output if draft.is_read(name)] or [node.output[0]]
        is_constant = all(name in draft.constants for name in made) and not is_big_product(
            draft.constants, node
        )
        if is_constant and all(names.constant(name) is not None for name in made):
            return
        self._name(names, node, made, self._call(names, node, title, within))

    def _call(self, names: Names, node: NodeProto, title: str, within: _Bodies) -> Call:
        draft = names.draft
        inputs = [names.value(name) if name else None for name in node.input]
        while inputs and inputs[-1] is None:
            inputs.pop()
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = self.imports.get(domain, 0)
        shapes = [shape_of(value) for value in inputs]
        bodies = tuple(self._body(said, number, names) for said, number in sorted(within))
        return Call(
            node.op_type,
            tuple(inputs),
            attributes_of(node, draft.constants.model, domain, version, shapes),
            tuple(_outcome(draft, name) for name in node.output),
            title,
            domain,
            version_of(node.op_type, domain, version),
            bodies,
            node.overload,
        )

    def _name(self, names: Names, node: NodeProto, made: list[str], call: Call) -> None:
        call, taken = settled(without_zeros(call)), _taken(call)
        if taken is not None:
            names.known.update(zip(node.output, taken.results, strict=True))
        elif made == [node.output[0]] and not call.bodies:
            single = replace(call, outputs=call.outputs[:1])
            names.known[made[0]] = make(single)
        else:
            terms = (Term(call, index) for index in range(len(node.output)))
            names.known.update(zip(node.output, terms, strict=True))

    def _body(self, said: str, number: int, outer: Names) -> Body:
        draft, graph = self.graphs[number]
        names = Names(draft, outer)
        formals = tuple(
            symbol(FORMAL, str(place), _outcome(draft, name))
            for place, name in enumerate(_formals(graph))
        )
        names.known.update(zip(_formals(graph), formals, strict=True))
        self._read(names)
        return Body(said, formals, tuple(names.value(value.name) for value in graph.output))


def _taken(call: Call) -> Body | None:
    """The branch of an If that is taken in every run."""
    condition = call.input(0)
    if not call.is_own("If") or not isinstance(condition, Constant):
        return None
    chosen = condition.integers()
    if chosen is None or len(chosen) != 1:
        return None
    name = "then_branch" if chosen[0] else "else_branch"
    taken = next((body for body in call.bodies if body.attribute == name), None)
    return taken if taken is not None and len(taken.results) == len(call.outputs) else None


def _formals(graph: GraphProto) -> list[str]:
    return [value.name for value in graph.input]


def _take(bodies: Iterator[int], draft: Draft, place: int) -> Iterator[tuple[str, int]]:
    """The bodies of a node, each with the attribute that it is."""
    for a in draft.scope.nodes[place].attribute:
        for _ in (a.g,) if a.type == a.GRAPH else a.graphs if a.type == a.GRAPHS else ():
            yield a.name, next(bodies)


def _outcome(draft: Draft, name: str) -> Outcome:
    """What is known of a value. A fold's own names are in no file."""
    scope = draft.scope
    known = name in scope.producers or name in scope.inputs
    is_main = scope.parent is None
    return Outcome(name if known and is_main else "", draft.shape(name), draft.type(name))


def _nodes(draft: Draft) -> Iterator[tuple[int, NodeProto]]:
    """The nodes that the folds leave, each after those that it reads."""
    behind: dict[int, list[int]] = {}
    for new, place in draft.after.items():
        behind.setdefault(place, []).append(new)
    for index in range(len(draft.scope.nodes)):
        for place in (index, *behind.get(index, ())):
            node = draft.nodes[place] if place in draft.nodes else draft.scope.nodes[place]
            if node is not None:
                yield place, node
