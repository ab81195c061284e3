"""Is this a model at all? Asked once, before anything is planned.

``onnx.checker`` knows operators, names and the order of nodes, but it resolves external data
against the working directory and refuses links. So sizes and paths are checked here and in
``modelfile``, and the checker sees the skeleton with its big tensors emptied. It also refuses
deprecated operators, which runtimes still run: their nodes are left out of what it checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, defs

from folding.errors import BadModel, TensorSizeMismatch
from folding.modelfile import Model
from folding.protos import (
    BITS,
    bodies,
    element_bytes,
    graphs,
    is_default_domain,
    opset,
    subgraphs,
    tensors,
)

_LISTS = (
    "float_data",
    "int32_data",
    "string_data",
    "int64_data",
    "double_data",
    "uint64_data",
)

#: A domain that no operator of the checker's is in; no exporter's begins so.
_UNCHECKED = "fold-model:unchecked"


def check(model: Model, name: str) -> None:
    """Refuse what no tool could fold safely.

    Raises:
        BadModel: with one sentence naming the tensor, node or operator set.
    """
    for texts in _texts(model.proto):
        for text in texts:
            if not isinstance(text, str):
                raise BadModel(f"{name!r} has the name {text!r}, which is not valid UTF-8")
    _check_names(model.proto, name)
    is_whole = True
    for tensor in tensors(model.proto):
        is_whole = is_whole and tensor.data_location != TensorProto.EXTERNAL
        _check_size(model, tensor, name)
    _check_opsets(model.proto, name)
    try:
        _check_graphs(_checked(model.proto, is_whole=is_whole))
    except (checker.ValidationError, ValueError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        raise BadModel(f"{name!r} is rejected by the ONNX checker: {reason}") from error


def _texts(proto: ModelProto) -> Iterator[Iterable[str | bytes]]:
    """All names, by where they are; protobuf hands out those that are not UTF-8 as bytes."""
    yield [imported.domain for imported in proto.opset_import]
    for graph in graphs(proto):
        for named in (graph.input, graph.output, graph.initializer):
            yield (value.name for value in named)
        yield from map(_texts_of, graph.node)
    for function in proto.functions:
        yield (function.name, function.domain, *function.input, *function.output)
        yield from map(_texts_of, function.node)


def _texts_of(node: NodeProto) -> Iterable[str | bytes]:
    attributes = [attribute.name for attribute in node.attribute]
    return (node.name, node.op_type, node.domain, *node.input, *node.output, *attributes)


def _check_names(proto: ModelProto, name: str) -> None:
    graph = proto.graph
    if not len(graph.output):
        raise BadModel(f"{name!r} has no output")
    for what, values in (
        ("input", graph.input),
        ("output", graph.output),
        ("initializer", graph.initializer),
    ):
        names = [value.name for value in values]
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise BadModel(f"{name!r} has the {what} {twice!r} twice")


def _check_size(model: Model, tensor: TensorProto, name: str) -> None:
    if min(tensor.dims, default=0) < 0:
        raise BadModel(f"tensor {tensor.name!r} of {name!r} has a negative dimension")
    expected = element_bytes(tensor)
    content = model.content(tensor)
    if content is not None:
        actual = content.size
    elif tensor.HasField("raw_data"):
        actual = len(tensor.raw_data)
    else:
        _check_count(tensor, name)
        return
    if expected < 0:
        raise BadModel(f"tensor {tensor.name!r} of {name!r} has a type that has no raw data")
    if actual != expected:
        shape = "x".join(map(str, tensor.dims)) or "a scalar"
        raise TensorSizeMismatch(
            f"tensor {tensor.name!r} of {name!r} is {shape}: {expected} bytes, but has {actual}"
        )


def _check_count(tensor: TensorProto, name: str) -> None:
    """A tensor that is stored as a list of numbers has as many as its dimensions say."""
    found = [(kind, len(getattr(tensor, kind))) for kind in _LISTS if len(getattr(tensor, kind))]
    parts = 2 if tensor.data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128) else 1
    count = prod(tensor.dims) * parts
    bits = BITS.get(tensor.data_type, 8)
    if bits < 8:  # noqa: PLR2004 - narrower than a byte: several in one number
        count = -(-count * bits // 8)
    if [length for _, length in found] != ([count] if count else []):
        held = sum(length for _, length in found)
        raise TensorSizeMismatch(
            f"tensor {tensor.name!r} of {name!r} needs {count} numbers, but has {held}"
        )


def _check_opsets(proto: ModelProto, name: str) -> None:
    domains = Counter(o.domain.removesuffix("ai.onnx") for o in proto.opset_import)
    if any(count > 1 for count in domains.values()):
        raise BadModel(f"{name!r} imports one opset twice")
    version, known = opset(proto.opset_import), defs.onnx_opset_version()
    if version > known:
        raise BadModel(
            f"{name!r} uses operator set {version}, this onnx knows up to {known}",
            hint="Install a newer onnx, or export for an older operator set.",
        )
    if proto.ir_version > onnx.IR_VERSION:
        raise BadModel(
            f"{name!r} has IR version {proto.ir_version}, this onnx knows up to {onnx.IR_VERSION}",
            hint="Install a newer onnx, or export with an older one.",
        )


def _checked(proto: ModelProto, *, is_whole: bool) -> bytes:
    """The model as the checker can read it, serialised: no copy is kept while it does.

    It has no big tensors, which the checker would look for in the working directory, and a shape
    for every input and output, which the checker wants but no runtime needs.
    """
    values = (*proto.graph.input, *proto.graph.output)
    if is_whole and not any(map(_lacks_shape, values)):
        return proto.SerializeToString()
    copy = ModelProto()
    copy.CopyFrom(proto)
    for tensor in () if is_whole else tensors(copy):
        if tensor.data_location == TensorProto.EXTERNAL:
            del tensor.external_data[:]
            tensor.data_location = TensorProto.DEFAULT
            del tensor.dims[:]
            tensor.dims.append(0)
    for value in (*copy.graph.input, *copy.graph.output):
        if _lacks_shape(value):
            value.type.tensor_type.shape.SetInParent()
    return copy.SerializeToString()


def _check_graphs(serialised: bytes) -> None:
    """Ask the checker, a second time without the deprecated operators if it refuses those.

    Raises:
        ValidationError: something is wrong with the model.
    """
    try:
        checker.check_model(serialised)
    except checker.ValidationError as error:
        if "deprecated" not in str(error):
            raise
        checker.check_model(_without_deprecated(ModelProto.FromString(serialised)))


def _without_deprecated(proto: ModelProto) -> bytes:
    """The model with its deprecated operators in a domain that the checker does not know."""
    parts = [(proto.opset_import, proto.graph.node)]
    parts += [(function.opset_import, function.node) for function in proto.functions]
    for imports, nodes in parts:
        version = opset(imports)
        inner = (node for top in nodes for graph in subgraphs(top) for node in _inside(graph))
        for node in (*nodes, *inner):
            if is_default_domain(node) and _is_deprecated(node.op_type, version):
                node.domain = _UNCHECKED
        imports.add(domain=_UNCHECKED, version=1)
    return proto.SerializeToString()


def _inside(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a body and of those in it."""
    for body in (graph, *bodies(graph)):
        yield from body.node


def _is_deprecated(operator: str, version: int) -> bool:
    return defs.has(operator, version) and defs.get_schema(operator, version).deprecated


def _lacks_shape(value: ValueInfoProto) -> bool:
    is_tensor = value.type.WhichOneof("value") == "tensor_type"
    return is_tensor and not value.type.tensor_type.HasField("shape")
