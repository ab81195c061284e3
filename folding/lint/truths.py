"""Inputs that are one truth value: what may be a flag."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, ValueInfoProto

from folding.protos import graphs


def is_truth(value: ValueInfoProto) -> bool:
    """Whether an input is a single truth value."""
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.BOOL or not tensor.HasField("shape"):
        return False
    return all(dim.dim_value == 1 for dim in tensor.shape.dim)


def may_be_steered(proto: ModelProto) -> bool:
    """Whether a model has an input that may be a flag, or an If, so that it is worth a look."""
    if any(map(is_truth, proto.graph.input)):
        return True
    return any(node.op_type == "If" for graph in graphs(proto) for node in graph.node)


def unread_flags(proto: ModelProto) -> list[str]:
    """Inputs of one truth value that nothing reads."""
    flags = [value.name for value in proto.graph.input if is_truth(value)]
    if not flags:
        return []
    read = {name for graph in graphs(proto) for node in graph.node for name in node.input}
    read |= {value.name for graph in graphs(proto) for value in graph.output}
    return [flag for flag in flags if flag not in read]
