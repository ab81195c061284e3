"""A read-only index of a skeleton: who makes a value, who reads it, what shape it has.

Each graph is a ``Scope``: the main one, the bodies of If, Loop and Scan nodes, and model-local
functions. A body sees the values of the graphs around it; for those around it, what a body reads is
``captured``: visible to code that a fold in the outer graph cannot follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

from folding.modelfile import Model
from folding.plan import Reason
from folding.protos import is_default_domain, opset, subgraphs, tensors
from folding.skeleton import LEAST

Shape = tuple[int | None, ...]

_OVERRIDABLE_SINCE_IR = 4
_KEEP_SHAPE = frozenset({"BatchNormalization", "Cast", "Dropout", "Identity"})


@dataclass(slots=True)
class Scope:
    """One graph and its names.

    ``readers`` maps a value to the indices of the nodes that read it, one entry for each input
    slot. ``opset`` is the version of ONNX's own operators. ``overridable`` holds the initializers
    that a caller may replace at run time. ``closed`` is why nothing in it can be folded, if so.
    """

    nodes: Sequence[NodeProto]
    inputs: frozenset[str]
    outputs: frozenset[str]
    initializers: dict[str, TensorProto]
    parent: Scope | None
    opset: int
    closed: Reason | None = None
    overridable: frozenset[str] = frozenset()
    producers: dict[str, int] = field(default_factory=dict)
    readers: dict[str, list[int]] = field(default_factory=dict)
    captured: set[str] = field(default_factory=set)
    shapes: dict[str, Shape] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, node in enumerate(self.nodes):
            for name in node.output:
                if name:
                    self.producers[name] = index
            for name in node.input:
                if name:
                    self.readers.setdefault(name, []).append(index)

    def shape(self, name: str) -> Shape | None:
        """The dimensions of a value, None for each unknown one; None if not even their number."""
        if name in self.initializers:
            return tuple(self.initializers[name].dims)
        if name in self.shapes or self.parent is None or name in self.producers:
            return self.shapes.get(name)
        return self.parent.shape(name)

    def type(self, name: str) -> int:
        """The element type of a value, 0 if unknown."""
        if name in self.initializers:
            return self.initializers[name].data_type
        if name in self.types or self.parent is None or name in self.producers:
            return self.types.get(name, 0)
        return self.parent.type(name)


@dataclass(frozen=True, slots=True)
class Settled:
    """What constants were found to be that ONNX's own shape inference does not evaluate.

    ``shapes`` has the element type and the dimensions.
    """

    shapes: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    values: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def index(model: Model, settled: Settled | None = None) -> tuple[list[Scope], str | None]:
    """The scopes of a model, outer before inner, and why shapes are unknown if they are."""
    proto = model.proto
    try:
        inferred, problem = _inferred(model, settled or Settled()), None
    except (shape_inference.InferenceError, ValueError) as error:
        inferred, problem = proto, " ".join(str(error).split())
    version = opset(proto.opset_import)
    scopes = list(_scopes(proto.graph, inferred.graph, None, (version, proto.ir_version)))
    scopes += [_of_function(function) for function in proto.functions]
    return scopes, problem


def _of_function(function: FunctionProto) -> Scope:
    return Scope(
        function.node,
        frozenset(function.input),
        frozenset(function.output),
        {},
        None,
        opset(function.opset_import),
        closed=Reason.IN_FUNCTION,
    )


def _scopes(
    graph: GraphProto, inferred: GraphProto, parent: Scope | None, versions: tuple[int, int]
) -> Iterator[Scope]:
    version, ir_version = versions
    overriding = ir_version >= _OVERRIDABLE_SINCE_IR
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    inputs = frozenset(value.name for value in graph.input)
    scope = Scope(
        graph.node,
        inputs,
        frozenset(value.name for value in graph.output),
        initializers,
        parent,
        version,
        overridable=inputs & initializers.keys() if overriding else frozenset(),
    )
    for values in (inferred.value_info, inferred.input, inferred.output):
        for value in values:
            _note(scope, value)
    _guess_shapes(scope)
    if parent is not None and _hides(scope):
        scope.closed = Reason.HIDDEN_NAME
    yield scope
    for node, twin in zip(graph.node, inferred.node, strict=True):
        if len(node.attribute):
            for body, twin_body in zip(subgraphs(node), subgraphs(twin), strict=True):
                for inner in _scopes(body, twin_body, scope, versions):
                    _capture(scope, inner)
                    yield inner


def _hides(scope: Scope) -> bool:
    """Whether a body has a name that a graph around it has too, which runtimes read differently."""
    own = scope.producers.keys() | scope.inputs | scope.initializers.keys()
    outer = scope.parent
    while outer is not None:
        if own & (outer.producers.keys() | outer.inputs | outer.initializers.keys()):
            return True
        outer = outer.parent
    return False


def _capture(outer: Scope, inner: Scope) -> None:
    reads = inner.readers.keys() | inner.outputs
    own = inner.producers.keys() | inner.inputs | inner.initializers.keys()
    outer.captured |= (reads | inner.captured) - own


def _note(scope: Scope, value: ValueInfoProto) -> None:
    tensor = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type":
        return
    scope.types[value.name] = tensor.elem_type
    if tensor.HasField("shape"):
        scope.shapes[value.name] = tuple(
            dim.dim_value if dim.WhichOneof("value") == "dim_value" else None
            for dim in tensor.shape.dim
        )


def _guess_shapes(scope: Scope) -> None:
    """What follows without inference: of a convolution's weight, and of what keeps a shape."""
    for node in scope.nodes:
        if not len(node.output) or not len(node.input) or not is_default_domain(node):
            continue
        if scope.shapes.get(node.output[0]) is not None:
            continue
        if node.op_type == "Conv" and len(node.input) > 1:
            weight = scope.initializers.get(node.input[1])
            if weight is not None and len(weight.dims) > 2:  # noqa: PLR2004
                spatial = [None] * (len(weight.dims) - 2)
                scope.shapes[node.output[0]] = (None, weight.dims[0], *spatial)
        elif node.op_type in _KEEP_SHAPE and (shape := scope.shape(node.input[0])) is not None:
            scope.shapes[node.output[0]] = shape


def _inferred(model: Model, settled: Settled) -> ModelProto:
    """The model with the shapes of ONNX's own inference, from a copy without anybody's claims.

    What a file says of its inner values is often missing and sometimes false; only the types of
    its inputs, which the runtime enforces, are believed.
    """
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    _forget(copy.graph)
    for tensor in tensors(copy):
        content = model.content(tensor)
        if content is not None and content.size < LEAST:
            data = content.read(0, content.size)
            del tensor.external_data[:]
            tensor.data_location = TensorProto.DEFAULT
            tensor.raw_data = data
    _settle(copy.graph, settled)
    return shape_inference.infer_shapes(copy, data_prop=True)


def _settle(graph: GraphProto, settled: Settled) -> None:
    """Tell inference what constants are: a Constant in place of the node that computes one."""
    for node in graph.node:
        name = node.output[0] if len(node.output) == 1 else ""
        if name in settled.values:
            value = numpy_helper.from_array(settled.values[name], name)
            node.CopyFrom(helper.make_node("Constant", [], [name], value=value))
    for name, (elem_type, shape) in settled.shapes.items():
        graph.value_info.append(helper.make_tensor_value_info(name, elem_type, shape))


def _forget(graph: GraphProto) -> None:
    del graph.value_info[:]
    for value in graph.output:
        value.ClearField("type")
    for node in graph.node:
        for body in subgraphs(node):
            for value in body.input:
                if value.type.WhichOneof("value") == "tensor_type":
                    value.type.tensor_type.ClearField("shape")
            _forget(body)
