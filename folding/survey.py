"""What graphs and functions hold: how much, how deep, and which calls.

Everything is visited once and without recursion, before anything is known of a model.
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

from folding.errors import BadModel, NestingTooDeep
from folding.protos import title

#: No library computes with more dimensions, and shape inference pays for each of each value.
MOST_DIMENSIONS = 32

#: What a call and a function have in common: domain, name and overload.
Key = tuple[str, str, str]


def by_key(functions: Iterable[FunctionProto]) -> dict[Key, FunctionProto]:
    """The functions of a model by what their calls say."""
    return {(_domain(f.domain), f.name, f.overload): f for f in functions}


def key_of(node: NodeProto) -> Key:
    """What a node says if it calls a function."""
    return _domain(node.domain), node.op_type, node.overload


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


@dataclass(slots=True)
class Survey:
    """What the main graph or a function holds, bodies included.

    ``weight`` counts its nodes and ``size`` the bytes of those of a function; ``references`` are
    its attributes that each call fills in, and ``filling`` is how many bytes one of its own calls
    fills in at most. A call has its callee, the level it stands at, and its title.
    """

    what: str
    weight: int = 0
    size: int = 0
    references: int = 0
    filling: int = 0
    depth: int = 1
    calls: list[tuple[Key, int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Visits everything once."""

    name: str
    nesting: int
    functions: AbstractSet[Key]

    def of_model(self, proto: ModelProto) -> Survey:
        """The main graph and those for training."""
        survey = Survey("the main graph")
        graphs = [proto.graph]
        for training in proto.training_info:
            graphs += [training.initialization, training.algorithm]
        for graph in graphs:
            self._graph(graph)
            self._walk(survey, graph.node)
        return survey

    def of_function(self, function: FunctionProto) -> Survey:
        survey = Survey(f"function {function.name!r}")
        for value in function.value_info:
            self._value(value)
        defaults = NodeProto(op_type=str(function.name), attribute=function.attribute_proto)
        survey.filling = defaults.ByteSize()
        self._walk(survey, [defaults, *function.node])
        survey.size = sum(node.ByteSize() for node in function.node)
        return survey

    def _walk(self, survey: Survey, start: Iterable[NodeProto]) -> None:
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
                    if a.type not in _PLAIN or a.HasField("g") or len(a.graphs):
                        waiting += [(graph.node, level + 1) for graph in self._held(a)]
            if level > self.nesting:
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
        for _ in range(self.nesting):
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
            f"{what} of {self.name!r} is nested deeper than {self.nesting} levels"
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
