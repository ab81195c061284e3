"""Small questions to ONNX's protobuf messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import prod

from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    TensorProto,
    ValueInfoProto,
    defs,
)

#: Bits of one element, by type.
BITS: dict[int, int] = {
    TensorProto.FLOAT: 32,
    TensorProto.UINT8: 8,
    TensorProto.INT8: 8,
    TensorProto.UINT16: 16,
    TensorProto.INT16: 16,
    TensorProto.INT32: 32,
    TensorProto.INT64: 64,
    TensorProto.BOOL: 8,
    TensorProto.FLOAT16: 16,
    TensorProto.DOUBLE: 64,
    TensorProto.UINT32: 32,
    TensorProto.UINT64: 64,
    TensorProto.COMPLEX64: 64,
    TensorProto.COMPLEX128: 128,
    TensorProto.BFLOAT16: 16,
    TensorProto.FLOAT8E4M3FN: 8,
    TensorProto.FLOAT8E4M3FNUZ: 8,
    TensorProto.FLOAT8E5M2: 8,
    TensorProto.FLOAT8E5M2FNUZ: 8,
    TensorProto.FLOAT8E8M0: 8,
    TensorProto.UINT4: 4,
    TensorProto.INT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.UINT2: 2,
    TensorProto.INT2: 2,
}

#: Since when an initializer need not be an input too; one that is has become a caller's default.
INITIALIZERS_ALONE_SINCE_IR = 4
#: Operators that see no values, only their shape.
SHAPE_READERS = frozenset({"Shape", "Size"})
#: The input slots in which an operator sees no values, only their shape or their type.
MEASURED = {"Shape": (0,), "Size": (0,), "CastLike": (1,)}
#: Operators that draw other numbers in each run.
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"}
    | {"RandomUniform", "RandomUniformLike"}
)
#: Those that may: a Dropout does in training alone.
DRAWING = RANDOM | {"Dropout"}
_BODIES = frozenset({AttributeProto.GRAPH, AttributeProto.GRAPHS})
_TENSORS = frozenset({AttributeProto.TENSOR, AttributeProto.TENSORS, AttributeProto.SPARSE_TENSOR})


def element_bytes(tensor: TensorProto) -> int:
    """How many bytes the elements of a tensor take; -1 where its type has no fixed size."""
    bits = BITS.get(tensor.data_type)
    return -1 if bits is None else (prod(tensor.dims) * bits + 7) // 8


def entries_of(tensor: TensorProto) -> dict[str, str]:
    """What an external tensor says of where its bytes are."""
    return {entry.key: entry.value for entry in tensor.external_data}


def attribute(node: NodeProto, name: str) -> AttributeProto | None:
    """The attribute of that name, if the node has it."""
    return next((a for a in node.attribute if a.name == name), None)


def integer(node: NodeProto, name: str, default: int) -> int:
    """An integer attribute."""
    found = attribute(node, name)
    return default if found is None else found.i


def number(node: NodeProto, name: str, default: float) -> float:
    """A float attribute; both it and ``default`` are float32 in ONNX."""
    found = attribute(node, name)
    return default if found is None else found.f


def integers(node: NodeProto, name: str) -> tuple[int, ...] | None:
    """An attribute of several integers, None if the node does not have it."""
    found = attribute(node, name)
    return None if found is None else tuple(found.ints)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The bodies of an If, Loop, Scan or any other node that has some."""
    for a in node.attribute:
        yield from _bodies_of(a)


def _bodies_of(a: AttributeProto) -> Iterable[GraphProto]:
    if a.type == AttributeProto.GRAPH:
        return (a.g,)
    return a.graphs if a.type == AttributeProto.GRAPHS else ()


def is_default_domain(node: NodeProto) -> bool:
    """Whether a node is one of ONNX's own operators."""
    return node.domain in ("", "ai.onnx")


def reads_shape(node: NodeProto) -> bool:
    """Whether a node sees no values, only their shape."""
    return node.op_type in SHAPE_READERS and is_default_domain(node)


def measured_slots(node: NodeProto) -> tuple[int, ...]:
    """The input slots in which a node sees no values, only their shape or their type."""
    return MEASURED.get(node.op_type, ()) if is_default_domain(node) else ()


def title(node: NodeProto) -> str:
    """What to call a node: its name, or its first output, since names may be empty."""
    return node.name or next((o for o in node.output if o), node.op_type)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that may keep its data elsewhere: in graphs, nodes, bodies and functions."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)
    for training in model.training_info:
        yield from _of_graph(training.initialization)
        yield from _of_graph(training.algorithm)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        nests = False
        for a in node.attribute:
            kind = a.type
            if kind in _TENSORS and not a.ref_attr_name:  # Else the caller of the function has it.
                yield from _of_attribute(a)
            nests = nests or kind in _BODIES
        for body in subgraphs(node) if nests else ():
            yield from _of_graph(body)


def _of_attribute(a: AttributeProto) -> Iterator[TensorProto]:
    if a.type == AttributeProto.TENSOR:
        yield a.t
    elif a.type == AttributeProto.TENSORS:
        yield from a.tensors
    else:
        yield from (a.sparse_tensor.values, a.sparse_tensor.indices)


def children(graph: GraphProto) -> Iterator[tuple[int, GraphProto]]:
    """The bodies of a graph's nodes, without those within, each with the index of its node."""
    for index, node in enumerate(graph.node):
        for a in node.attribute:
            if a.type in _BODIES:
                yield from ((index, body) for body in _bodies_of(a))


def bodies(graph: GraphProto) -> Iterator[GraphProto]:
    """All bodies in a graph, each before those within."""
    for _, body in children(graph):
        yield body
        yield from bodies(body)


def graphs(model: ModelProto) -> list[GraphProto]:
    """The main graph and the bodies in it, each before those within."""
    return [model.graph, *bodies(model.graph)]


def callers_inputs(proto: ModelProto) -> list[ValueInfoProto]:
    """The inputs that a caller may give: below IR 4 those of initializers are none."""
    graph = proto.graph
    stored = {tensor.name for tensor in graph.initializer}
    fixed = stored - overridable(graph, proto.ir_version)
    return [value for value in graph.input if value.name not in fixed]


def overridable(graph: GraphProto, ir_version: int) -> frozenset[str]:
    """The initializers that are only the defaults of inputs: below IR 4 each was one of them."""
    if ir_version < INITIALIZERS_ALONE_SINCE_IR:
        return frozenset()
    given = {value.name for value in graph.input}
    return frozenset(tensor.name for tensor in graph.initializer if tensor.name in given)


def names(graph: GraphProto) -> Iterator[str]:
    """The names of a graph's values, without those in its bodies."""
    for values in (graph.input, graph.output, graph.initializer):
        yield from (value.name for value in values)
    for node in graph.node:
        yield from (*node.input, *node.output)


def named_tensors(model: ModelProto) -> dict[tuple[int, str], TensorProto]:
    """The initializers and Constants by the number of their graph and their name."""
    found: dict[tuple[int, str], TensorProto] = {}
    for number, graph in enumerate(graphs(model)):
        for node in graph.node:
            is_constant = node.op_type == "Constant" and is_default_domain(node)
            if is_constant and (value := attribute(node, "value")) is not None:
                found[number, node.output[0]] = value.t
        for tensor in graph.initializer:
            found[number, tensor.name] = tensor
    return found


def opset(imports: Iterable[OperatorSetIdProto]) -> int:
    """The version of ONNX's own operators that a model imports, 0 if none."""
    return next((o.version for o in imports if o.domain in ("", "ai.onnx")), 0)


@lru_cache(maxsize=4096)
def since(operator: str, opset: int) -> int | None:
    """Since which operator set an operator of ONNX's own is as it is in one; None if unknown."""
    if not 0 < opset <= defs.onnx_opset_version() or not defs.has(operator, opset):
        return None
    version: int = defs.get_schema(operator, opset).since_version
    return version
