"""The shapes that ONNX's own inference finds, on a copy of a skeleton without anybody's claims.

What a file says of its inner values is often missing and sometimes false; only the types of its
inputs, which the runtime enforces, are believed.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
from google.protobuf.message import DecodeError, EncodeError
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    checker,
    helper,
    numpy_helper,
    shape_inference,
)

from folding import caution
from folding.einsums import equation_of, may_be_longer
from folding.modelfile import Model
from folding.protos import children, element_bytes, graphs, is_default_domain, overridable, tensors
from folding.skeleton import LEAST
from folding.solving import solved

Shape = tuple[int | None, ...]
#: The names of sizes, empty for those without one. Sizes of one name are the same in every run.
Symbols = tuple[str, ...]

#: What inference raises at models that pass the checker: its own errors, and those of C++.
FAILURES = (
    shape_inference.InferenceError,
    checker.ValidationError,
    DecodeError,
    EncodeError,
    IndexError,
    MemoryError,
    OverflowError,
    RuntimeError,
    ValueError,
)


#: The name of a value that there is not, so that inference does not know it.
_UNKNOWN = "folding:unknown"


@dataclass(frozen=True, slots=True)
class Settled:
    """What constants were found to be that ONNX's own shape inference does not evaluate.

    ``shapes`` has the element type and the dimensions.
    """

    shapes: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    values: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def infer(model: Model, settled: Settled) -> tuple[ModelProto, str | None]:
    """The model with every shape that is found, or as it is with the reason why none is."""
    try:
        copy = _prepared(model, settled)
        data_prop = caution.check(copy)
        # Given as bytes, so that the copy is gone before the next two are made.
        data = copy.SerializeToString()
        del copy
        return _inferred(data, data_prop=data_prop), None
    except FAILURES as error:
        return model.proto, " ".join(str(error).split()) or type(error).__name__


def _inferred(data: bytes, *, data_prop: bool) -> ModelProto:
    """What inference finds, and what follows from it of Reshapes that it leaves open."""
    while True:
        inferred = _certain(data, data_prop=data_prop)
        found = [[*solved(graph)] for graph in graphs(inferred)]
        if not any(found):
            return inferred
        copy = ModelProto.FromString(data)
        for graph, values in zip(graphs(copy), found, strict=True):
            graph.value_info.extend(values)
        data = copy.SerializeToString()


def _certain(data: bytes, *, data_prop: bool) -> ModelProto:
    """What inference finds, without what it cannot know of an Einsum."""
    inferred = shape_inference.infer_shapes(data, data_prop=data_prop)
    for are_all in (False, True):
        hidden = set(_misjudged(inferred))
        if not hidden:
            break
        copy = ModelProto.FromString(data)
        for graph in graphs(copy):
            _hide(node for node in graph.node if are_all or hidden.intersection(node.output))
        inferred = shape_inference.infer_shapes(copy, data_prop=data_prop)
    return inferred


def _hide(nodes: Iterable[NodeProto]) -> None:
    """Let inference know the type alone of what the Einsums among some nodes make."""
    for node in filter(_is_einsum, nodes):
        node.CopyFrom(helper.make_node("Reshape", [node.input[0], _UNKNOWN], node.output))


def _is_einsum(node: NodeProto) -> bool:
    return node.op_type == "Einsum" and is_default_domain(node)


def _misjudged(inferred: ModelProto) -> Iterator[str]:
    """The results of Einsums that may be longer than inference says."""
    if any(_is_einsum(node) for graph in graphs(inferred) for node in graph.node):
        yield from _doubted(inferred.graph, Types(), ChainMap())


def _doubted(graph: GraphProto, types: Types, outer: ChainMap[str, Shape | None]) -> Iterator[str]:
    """Those of a graph and its bodies; bodies beside each other may use a name for two values."""
    shapes = outer.new_child({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
    for value in (*graph.value_info, *graph.input, *graph.output):
        found = types.of(value)
        shapes[value.name] = found[1] if found else None
    for node in filter(_is_einsum, graph.node):
        if may_be_longer(equation_of(node), [shapes.get(name) for name in node.input]):
            yield node.output[0]
    for _, body in children(graph):
        yield from _doubted(body, types, shapes)


def _prepared(model: Model, settled: Settled) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    for number, graph in enumerate(graphs(copy)):
        _forget(graph, is_body=number > 0)
        _forget_defaults(graph, copy.ir_version)
        _stand_in(graph)
    for tensor in tensors(copy):
        _show_or_hide(model, tensor)
    for function in copy.functions:
        _hide(function.node)  # It is not known with which shapes they are called.
    _settle(copy.graph, settled)
    return copy


def _show_or_hide(model: Model, tensor: TensorProto) -> None:
    """Let inference read what is short, and nothing else: it reads it again for each reader."""
    if tensor.data_location == TensorProto.EXTERNAL:
        content = model.content(tensor)
        if content is not None and content.size < LEAST:
            data = content.read(0, content.size)
            del tensor.external_data[:]
            tensor.data_location = TensorProto.DEFAULT
            tensor.raw_data = data
    elif element_bytes(tensor) >= LEAST:
        for name in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
            tensor.ClearField(name)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL


def _forget(graph: GraphProto, *, is_body: bool) -> None:
    del graph.value_info[:]
    for value in graph.output:
        value.ClearField("type")
    for value in graph.input:
        if value.type.WhichOneof("value") == "tensor_type":
            if is_body:
                value.type.tensor_type.ClearField("shape")
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                # Some exporters write -1 for what is not known, and no runtime sees to it that
                # sizes of one name are the same.
                if dim.dim_value < 0 or dim.WhichOneof("value") != "dim_value":
                    dim.dim_param = f"{value.name}[{axis}]"


def _forget_defaults(graph: GraphProto, ir_version: int) -> None:
    """What a caller may override is not known, though inference takes it for a constant."""
    if defaults := overridable(graph, ir_version):
        kept = (tensor for tensor in graph.initializer if tensor.name not in defaults)
        holder = GraphProto(initializer=kept)
        del graph.initializer[:]
        graph.initializer.extend(holder.initializer)


def _stand_in(graph: GraphProto) -> None:
    """Put another node of the same result where ONNX has no inference, as of version 1.23."""
    for node in graph.node:
        if node.op_type == "GroupNormalization" and is_default_domain(node) and node.input:
            node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output))


def _settle(graph: GraphProto, settled: Settled) -> None:
    """Tell inference what constants are: a Constant in place of the node that computes one."""
    for node in graph.node if settled.values else ():
        name = node.output[0] if len(node.output) == 1 else ""
        if name in settled.values:
            value = numpy_helper.from_array(settled.values[name], name)
            node.CopyFrom(helper.make_node("Constant", [], [name], value=value))
    for name, (elem_type, shape) in settled.shapes.items():
        graph.value_info.append(helper.make_tensor_value_info(name, elem_type, shape))


class Types:
    """Reads what is said of values. Most values of a model share a few types."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, Shape | None, Symbols] | None] = {}

    def of(self, value: ValueInfoProto) -> tuple[int, Shape | None, Symbols] | None:
        """The element type, the dimensions and their names of a tensor; None for what is none."""
        key = value.type.SerializeToString()
        if key not in self._known:
            self._known[key] = _read(value)
        return self._known[key]


def _read(value: ValueInfoProto) -> tuple[int, Shape | None, Symbols] | None:
    if value.type.WhichOneof("value") != "tensor_type":
        return None
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return tensor.elem_type, None, ()
    dims = tensor.shape.dim
    shape = tuple(d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in dims)
    return tensor.elem_type, shape, tuple(dim.dim_param for dim in dims)
