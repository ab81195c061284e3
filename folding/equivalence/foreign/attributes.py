"""Attributes as they are compared: with what ONNX lets a node leave out put in.

1. What a schema gives as default is there; the values are compared, not how they are stored.
2. Strides and dilations of 1 and padding of 0 are as good as none, and a layer's ``kernel_shape``
   is that of its weight.
3. ``auto_pad`` VALID is no padding; SAME of a static image is the padding that it works out to.
4. A version of an operator that only takes more types than the one before is the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, defs, helper, numpy_helper

from folding.inference import Shape
from folding.modelfile import Model

_WINDOWS = frozenset({"AveragePool", "Conv", "ConvTranspose", "LpPool", "MaxPool"})
#: What is no attribute but matters like one.
OUTPUTS = "number of outputs"
_ONES, _BODIES = ("dilations", "strides"), (AttributeProto.GRAPH, AttributeProto.GRAPHS)
#: Of each operator, from which version on later ones only take more types.
_SAME_SINCE = {
    **dict.fromkeys(("Add", "Div", "Equal", "Greater", "Less", "Mul", "Sub"), 7),
    **dict.fromkeys(("Abs", "Exp", "Floor", "Log", "Neg", "Relu", "Sqrt"), 6),
    **dict.fromkeys(("Elu", "Sigmoid", "Tanh"), 6),
    **dict.fromkeys(("HardSigmoid", "LeakyRelu"), 6),
    **dict.fromkeys(("Max", "Min", "Sum"), 8),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "Identity", "Transpose"), 1),
    **dict.fromkeys(("Concat", "Conv", "ConvTranspose", "Flatten", "Gather", "Gemm"), 11),
    **dict.fromkeys(("Erf", "MatMul", "Where"), 9),
    **dict.fromkeys(("Clip",), 11),
    **dict.fromkeys(("LogSoftmax", "Softmax", "Squeeze", "Unsqueeze"), 13),
    **dict.fromkeys(("HardSwish",), 14),
}


@lru_cache(maxsize=4096)
def _schema(operator: str, domain: str, opset: int) -> tuple[int, tuple[tuple[str, Any], ...]]:
    """The version of an operator, and the defaults of its attributes."""
    if not defs.has(operator, opset, domain):
        return opset, ()
    schema = defs.get_schema(operator, opset, domain)
    defaults = [
        (name, plain(found.default_value))
        for name, found in schema.attributes.items()
        if found.default_value.name
    ]
    version: int = schema.since_version
    same = _SAME_SINCE.get(operator) if not domain else None
    return (same if same is not None and version >= same else version), tuple(defaults)


def version_of(operator: str, domain: str, opset: int) -> int:
    """Which meaning of an operator an operator set has."""
    return _schema(operator, domain, opset)[0]


def plain(a: AttributeProto, model: Model | None = None) -> Any:
    """What an attribute of a model holds, as a value that can be compared and hashed."""
    if a.type == AttributeProto.TENSOR:
        return _tensor(a.t, model)
    if a.type == AttributeProto.TENSORS:
        return tuple(_tensor(tensor, model) for tensor in a.tensors)
    if a.type == AttributeProto.SPARSE_TENSOR:
        parts = a.sparse_tensor.values, a.sparse_tensor.indices
        return tuple(a.sparse_tensor.dims), *(_tensor(part, model) for part in parts)
    if a.type == AttributeProto.SPARSE_TENSORS:
        return object()  # Equal to no other: no model is known to have any.
    value = helper.get_attribute_value(a)
    if a.type == AttributeProto.FLOAT:
        return np.float32(value).tobytes()
    if a.type == AttributeProto.FLOATS:
        return np.array(value, np.float32).tobytes()
    if isinstance(value, int | bytes):
        return value
    is_list = a.type in (AttributeProto.INTS, AttributeProto.STRINGS)
    return tuple(value) if is_list else a.SerializeToString(deterministic=True)


def _tensor(tensor: TensorProto, model: Model | None) -> Any:
    """A tensor by its numbers, be they in the skeleton or not."""
    content = model.content(tensor) if model is not None else None
    digest = hashlib.sha256()
    if content is not None:
        for block in content.blocks():
            digest.update(block)
        return tensor.data_type, tuple(tensor.dims), digest.digest()
    array = numpy_helper.to_array(tensor)
    if array.dtype.kind == "O":
        return tensor.data_type, tuple(tensor.dims), tuple(array.ravel())
    digest.update(array.tobytes())
    return tensor.data_type, tuple(tensor.dims), digest.digest()


def attributes_of(
    node: NodeProto, model: Model, domain: str, opset: int, shapes: Sequence[Shape | None]
) -> dict[str, Any]:
    """The attributes of a node of a model.

    ``shapes`` are those of its inputs, and ``opset`` is the version of its domain.
    """
    operator = node.op_type
    found = dict(_schema(operator, domain, opset)[1])
    found.update({a.name: plain(a, model) for a in node.attribute if a.type not in _BODIES})
    count = sum(map(bool, node.output))
    if domain or operator == "Split":
        found[OUTPUTS] = len(node.output)
    elif operator == "BatchNormalization" and count > 1:
        found[OUTPUTS] = count  # Before version 14, these ask for the training form.
    elif operator == "BatchNormalization" and not found.get("training_mode"):
        found.pop("momentum", None)
    if domain or operator not in _WINDOWS:
        return found
    weight = shapes[1] if operator.startswith("Conv") and len(shapes) > 1 else None
    if weight is not None and found.get("kernel_shape") is None:
        found["kernel_shape"] = tuple(weight[2:])
    return without_defaults(_explicit(found, operator, shapes[0] if shapes else None))


def without_defaults(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out strides and dilations of 1 and padding of 0."""
    for name in _ONES:
        if all(number == 1 for number in found.get(name, ())):
            found.pop(name, None)
    for name in ("output_padding", "pads"):
        if not any(found.get(name, ())):
            found.pop(name, None)
    return found


def _explicit(found: dict[str, Any], operator: str, image: Shape | None) -> dict[str, Any]:
    """Say in ``pads`` what ``auto_pad`` asks for."""
    mode, kernel = found.get("auto_pad"), found.get("kernel_shape")
    if mode == b"VALID" and not found.get("ceil_mode"):
        found["pads"], found["auto_pad"] = (), b"NOTSET"
    if operator == "ConvTranspose" or image is None or not kernel or mode not in _SIDES:
        return found
    spatial = image[2:]
    ones = (1,) * len(spatial)
    strides, dilations = (found.get(name) or ones for name in ("strides", "dilations"))
    steps = list(zip(spatial, kernel, strides, dilations, strict=False))
    if len(steps) != len(spatial) or any(None in step for step in steps) or min(strides) < 1:
        return found
    whole = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in steps]  # type: ignore[operator]
    less, more = [n // 2 for n in whole], [n - n // 2 for n in whole]
    pads = (*less, *more) if mode == b"SAME_UPPER" else (*more, *less)
    return {**found, "pads": pads, "auto_pad": b"NOTSET"}


_SIDES = frozenset({b"SAME_UPPER", b"SAME_LOWER"})
