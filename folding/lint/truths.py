"""Inputs that are one truth value, or one number: what may be a flag, or a mode."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, ValueInfoProto

from folding.protos import graphs

#: Of what type a number is that people choose a mode by.
_NUMBERS = frozenset({TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64})


def is_truth(value: ValueInfoProto) -> bool:
    """Whether an input is a single truth value."""
    return value.type.tensor_type.elem_type == TensorProto.BOOL and _is_single(value)


def is_number(value: ValueInfoProto) -> bool:
    """Whether an input is a single number, which may be a mode."""
    return value.type.tensor_type.elem_type in _NUMBERS and _is_single(value)


def _is_single(value: ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(dim.dim_value == 1 for dim in tensor.shape.dim)


def may_be_steered(proto: ModelProto) -> bool:
    """Whether a model has an input that may be a flag, or an If, so that it is worth a look."""
    if any(is_truth(value) or is_number(value) for value in proto.graph.input):
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
