"""Models of any content for property tests, whether or not they make sense."""

from __future__ import annotations

from typing import TypeVar

from damage import delimited, numeric
from google.protobuf.message import Message
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from folding.skeleton import LEAST, TOKEN

NAMES = st.text(max_size=4) | st.just(TOKEN)
M = TypeVar("M", bound=Message)
SIZES = st.sampled_from([0, 1, 7, LEAST - 1, LEAST, LEAST + 1, 3 * LEAST])


@st.composite
def tensors(draw: st.DrawFn) -> TensorProto:
    tensor = TensorProto(name=draw(NAMES), data_type=draw(st.sampled_from([1, 7, 8])))
    size = draw(SIZES)
    tensor.dims.extend(draw(st.lists(st.integers(0, 9), max_size=3)))
    match draw(st.sampled_from(["raw", "raw", "raw", "float", "int64", "string", "none"])):
        case "raw":
            tensor.raw_data = draw(st.randoms()).randbytes(size)
        case "float":
            tensor.float_data.extend([0.5] * (size // 4))
        case "int64":
            tensor.int64_data.extend(range(size // 8))
        case "string":
            tensor.string_data.extend([b"x" * size])
    if draw(st.booleans()):
        tensor.data_location = TensorProto.DEFAULT
    if draw(st.booleans()):
        tensor.doc_string = draw(NAMES)
    if draw(st.booleans()):
        tensor.metadata_props.add(key=draw(NAMES), value=draw(NAMES))
    return with_unknown(draw, tensor)


def with_unknown(draw: st.DrawFn, message: M) -> M:
    """The message with, perhaps, fields that this version of ONNX does not know."""
    if draw(st.integers(0, 4)):
        return message
    extra = delimited(900, b"later" + draw(NAMES).encode()) + numeric(901, 7) + b"\xb5\x38abcd"
    return type(message).FromString(message.SerializeToString() + extra)


@st.composite
def nodes(draw: st.DrawFn, depth: int) -> NodeProto:
    node = NodeProto(op_type="Constant", name=draw(NAMES), output=[draw(NAMES)])
    for _ in range(draw(st.integers(0, 2))):
        found = node.attribute.add(name=draw(NAMES))
        kind = draw(st.sampled_from(["tensor", "tensors", "floats", "graph", "graphs"]))
        match kind if depth else kind.replace("graph", "tensor"):
            case "tensor":
                found.type = AttributeProto.TENSOR
                found.t.CopyFrom(draw(tensors()))
            case "tensors":
                found.type = AttributeProto.TENSORS
                found.tensors.extend(draw(st.lists(tensors(), max_size=2)))
            case "floats":
                found.type = AttributeProto.FLOATS
                found.floats.extend([1.5] * draw(SIZES))
            case "graph":
                found.type = AttributeProto.GRAPH
                found.g.CopyFrom(draw(graphs(depth - 1)))
            case "graphs":
                found.type = AttributeProto.GRAPHS
                found.graphs.append(draw(graphs(depth - 1)))
    return with_unknown(draw, node)


@st.composite
def graphs(draw: st.DrawFn, depth: int = 1) -> GraphProto:
    graph = GraphProto(name=draw(NAMES), doc_string=draw(NAMES))
    graph.node.extend(draw(st.lists(nodes(depth), max_size=2)))
    graph.initializer.extend(draw(st.lists(tensors(), max_size=3)))
    for name in draw(st.lists(NAMES, max_size=2)):
        graph.input.append(ValueInfoProto(name=name))
        graph.metadata_props.add(key=name, value=name)
    return with_unknown(draw, graph)


@st.composite
def models(draw: st.DrawFn) -> ModelProto:
    model = ModelProto(ir_version=10, producer_name=draw(NAMES), doc_string=draw(NAMES))
    model.graph.CopyFrom(draw(graphs()))
    model.opset_import.add(domain="", version=17)
    for node in draw(st.lists(nodes(1), max_size=1)):
        model.functions.add(name="f", domain="d").node.append(node)
    for graph in draw(st.lists(graphs(0), max_size=1)):
        model.training_info.add().algorithm.CopyFrom(graph)
    model.metadata_props.add(key=draw(NAMES), value=draw(NAMES))
    return with_unknown(draw, model)
