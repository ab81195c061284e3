"""What a model may not do to the libraries that read it: asked first, and in linear time.

26 functions that call each other twice are 2 KB of file, and 134 million nodes to a checker, a
shape inference or a runtime that inlines them; graphs within graphs overflow their stacks. Here
every message is visited once, without recursion, and calls are counted instead of inlined:

    nodes(f) = own nodes + the sum of nodes(g) over its calls of g

What a model may do to shape inference by its numbers alone is the business of ``inference``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TypeProto,
    ValueInfoProto,
)

from folding.errors import (
    BadModel,
    ExpansionTooLarge,
    NestingTooDeep,
    RecursiveFunction,
)
from folding.protos import title

#: No library computes with more dimensions, and shape inference pays for each of each value.
MOST_DIMENSIONS = 32
#: So many bytes of a node in a function cost as much as another node: each call copies them.
_BYTES_PER_NODE = 1024

#: What a call and a function have in common: domain, name and overload.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a model may go.

    Attributes:
        nesting: graphs and called functions within each other, the main graph included; and types
            within each other.
        expanded_nodes: nodes that the calls of functions stand for in all. A model without
            functions may have any number of nodes.
    """

    nesting: int = 32
    expanded_nodes: int = 100_000


#: The usual ones.
LIMITS = Limits()


def check(proto: ModelProto, name: str, limits: Limits) -> None:
    """Refuse what would hang or crash a library, whatever else is wrong with the model.

    Raises:
        NestingTooDeep: graphs, calls of functions or types contain each other too often.
        RecursiveFunction: a function calls itself, directly or through others.
        ExpansionTooLarge: the calls of functions stand for too many nodes.
        BadModel: a function is there twice, or something has too many dimensions.
    """
    functions = by_key(proto.functions)
    if len(functions) < len(proto.functions):
        raise BadModel(f"{name!r} defines a function twice")
    surveyor = _Surveyor(name, limits, functions.keys())
    main = surveyor.of_model(proto)
    surveys = {key: surveyor.of_function(function) for key, function in functions.items()}
    if surveys:
        _check_calls(main, surveys, name, limits)


def by_key(functions: Iterable[FunctionProto]) -> dict[Key, FunctionProto]:
    """The functions of a model by what their calls say."""
    return {(_domain(f.domain), f.name, f.overload): f for f in functions}


def key_of(node: NodeProto) -> Key:
    """What a node says if it calls a function."""
    return _domain(node.domain), node.op_type, node.overload


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


@dataclass(slots=True)
class _Survey:
    """What the main graph or a function holds, bodies included.

    ``weight`` counts its nodes, ``references`` its attributes that each call fills in, and
    ``filling`` is how many bytes one of its own calls fills in at most. A call has its callee, the
    level it stands at, and its title.
    """

    what: str
    weight: int = 0
    references: int = 0
    filling: int = 0
    depth: int = 1
    calls: list[tuple[Key, int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Surveyor:
    """Visits everything once."""

    name: str
    limits: Limits
    functions: AbstractSet[Key]

    def of_model(self, proto: ModelProto) -> _Survey:
        """The main graph and those for training."""
        survey = _Survey("the main graph")
        graphs = [proto.graph]
        for training in proto.training_info:
            graphs += [training.initialization, training.algorithm]
        for graph in graphs:
            self._graph(graph)
            self._walk(survey, graph.node)
        return survey

    def of_function(self, function: FunctionProto) -> _Survey:
        survey = _Survey(f"function {function.name!r}")
        for value in function.value_info:
            self._value(value)
        defaults = NodeProto(op_type=str(function.name), attribute=function.attribute_proto)
        survey.filling = defaults.ByteSize()
        self._walk(survey, [defaults, *function.node])
        survey.weight += sum(node.ByteSize() for node in function.node) // _BYTES_PER_NODE
        return survey

    def _walk(self, survey: _Survey, start: Iterable[NodeProto]) -> None:
        waiting = [(start, 1)]
        while waiting:
            nodes, level = waiting.pop()
            for node in nodes:
                survey.weight += 1
                if self.functions and (key := key_of(node)) in self.functions:
                    survey.calls.append((key, level, title(node)))
                    survey.filling = max(survey.filling, node.ByteSize())
                for a in node.attribute:
                    survey.references += bool(self.functions and a.ref_attr_name)
                    # What is there counts, whatever type the attribute says it has.
                    if a.type not in _PLAIN or a.HasField("g"):
                        waiting += [(graph.node, level + 1) for graph in self._held(a)]
            if level > self.limits.nesting:
                raise self._too_deep(survey.what)
            survey.depth = max(survey.depth, level)

    def _held(self, a: AttributeProto) -> Iterator[GraphProto]:
        for tensor in (a.t, *a.tensors):
            self._dimensions(tensor.name or a.name, len(tensor.dims))
        for sparse in (a.sparse_tensor, *a.sparse_tensors):
            self._dimensions(sparse.values.name or a.name, len(sparse.dims))
        for held in (a.tp, *a.type_protos):
            self._type(held, a.name)
        for graph in (*((a.g,) if a.HasField("g") else ()), *a.graphs):
            self._graph(graph)
            yield graph

    def _graph(self, graph: GraphProto) -> None:
        """What a graph says of its values, and its tensors."""
        for values in (graph.input, graph.output, graph.value_info):
            for value in values:
                self._value(value)
        for tensor in graph.initializer:
            self._dimensions(tensor.name, len(tensor.dims))
        for sparse in graph.sparse_initializer:
            self._dimensions(sparse.values.name, len(sparse.dims))

    def _value(self, value: ValueInfoProto) -> None:
        self._type(value.type, value.name)

    def _type(self, held: TypeProto, what: str) -> None:
        for _ in range(self.limits.nesting):
            match held.WhichOneof("value"):
                case "sequence_type":
                    held = held.sequence_type.elem_type
                case "optional_type":
                    held = held.optional_type.elem_type
                case "map_type":
                    held = held.map_type.value_type
                case "tensor_type":
                    return self._dimensions(what, len(held.tensor_type.shape.dim))
                case "sparse_tensor_type":
                    return self._dimensions(what, len(held.sparse_tensor_type.shape.dim))
                case _:
                    return None
        raise self._too_deep(f"the type of {what!r}")

    def _dimensions(self, what: str, count: int) -> None:
        if count > MOST_DIMENSIONS:
            raise BadModel(
                f"{what!r} of {self.name!r} has {count} dimensions, the most are {MOST_DIMENSIONS}"
            )

    def _too_deep(self, what: str) -> NestingTooDeep:
        return NestingTooDeep(
            f"{what} of {self.name!r} is nested deeper than {self.limits.nesting} levels"
        )


#: The types of attributes that hold neither graphs, types nor tensors.
_PLAIN = frozenset(
    {
        AttributeProto.FLOAT,
        AttributeProto.INT,
        AttributeProto.STRING,
        AttributeProto.FLOATS,
        AttributeProto.INTS,
        AttributeProto.STRINGS,
    }
)


def _check_calls(main: _Survey, surveys: dict[Key, _Survey], name: str, limits: Limits) -> None:
    """Add up what calls stand for, callees before their callers."""
    filling = max(survey.filling for survey in (main, *surveys.values()))
    for survey in (*_callees_first(surveys, name), main):
        own = 0 if survey is main else survey.weight
        survey.weight, depth = own, survey.depth
        for key, level, node in survey.calls:
            callee = surveys[key]
            survey.weight += callee.weight
            survey.references += callee.references
            depth = max(depth, level + callee.depth)
            if depth > limits.nesting:
                raise NestingTooDeep(
                    f"{survey.what} of {name!r} nests calls of functions and bodies deeper than "
                    f"{limits.nesting} levels, at node {node!r}"
                )
        survey.depth = depth
        if survey.weight + survey.references * filling // _BYTES_PER_NODE > limits.expanded_nodes:
            raise ExpansionTooLarge(
                f"{survey.what} of {name!r} calls functions that stand for more than "
                f"{limits.expanded_nodes:,} nodes"
            )


def _callees_first(surveys: dict[Key, _Survey], name: str) -> Iterator[_Survey]:
    """The functions in an order in which none calls a later one."""
    done: set[Key] = set()
    for start, survey in surveys.items():
        path = {start: iter(survey.calls)}
        while path:
            key = next(reversed(path))
            callee = next((call[0] for call in path[key] if call[0] not in done), None)
            if callee in path:
                raise RecursiveFunction(
                    f"{surveys[callee].what} of {name!r} calls itself, by way of {key[1]!r}"
                )
            if callee is not None:
                path[callee] = iter(surveys[callee].calls)
                continue
            del path[key]
            if key not in done:
                done.add(key)
                yield surveys[key]
