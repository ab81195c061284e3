"""What the condition of an If is once a flag is frozen: a few operators, in the stored types.

A condition decides which half of a model is thrown away, so it is computed as a runtime does it:
``0.1 * 3 == 0.3`` is true in float32, and false in the numbers that ``constants`` computes with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper

from folding.expressions import constant
from folding.modelfile import Model
from folding.protos import attribute, element_bytes, integer, is_default_domain
from folding.skeleton import LEAST

Array = npt.NDArray[Any]

#: What is larger is no condition, and nothing that one is computed from.
_MOST_BYTES = LEAST
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "And": np.logical_and,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Mul": np.multiply,
    "Or": np.logical_or,
    "Sub": np.subtract,
    "Xor": np.logical_xor,
}
#: Operators that only give another shape, of which a single element has no need.
_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_TYPES = (np.bool_, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64)
_DTYPES = frozenset(map(np.dtype, (*_TYPES, np.uint8, np.uint16, np.uint32, np.uint64)))


def stored(model: Model, tensor: TensorProto) -> Array | None:
    """The values of a small tensor of numbers or truth values; None for any other."""
    if not 0 <= element_bytes(tensor) <= _MOST_BYTES:
        return None
    array = model.array(tensor)
    return array if array.dtype in _DTYPES else None


def evaluated(model: Model, node: NodeProto, inputs: Sequence[Array | None]) -> Array | None:
    """What a node gives; None if its inputs are not all known, or it is not evaluated."""
    if not is_default_domain(node) or len(node.output) != 1:
        return None
    if node.op_type == "Constant":
        return _held(model, node)
    arrays = [array for array in inputs if array is not None]
    if not arrays or arrays[0] is not inputs[0] or attribute(node, "broadcast") is not None:
        return None  # Below operator set 7 operands were aligned by other rules.
    if node.op_type in _RESHAPING:
        return arrays[0].reshape(()) if arrays[0].size == 1 else None
    if len(arrays) < len(inputs):
        return None
    with np.errstate(all="ignore"):
        found = _computed(node, arrays)
    return found if found is not None and found.nbytes <= _MOST_BYTES else None


def _held(model: Model, node: NodeProto) -> Array | None:
    value = attribute(node, "value")
    if value is not None:
        return stored(model, value.t)
    array = constant(node, model)
    return array if array is not None and array.nbytes <= _MOST_BYTES else None


def _computed(node: NodeProto, arrays: list[Array]) -> Array | None:
    operator = node.op_type
    try:
        if operator in _BINARY:
            first, second = arrays
            return np.asarray(_BINARY[operator](first, second)) if _alike(arrays) else None
        if operator == "Where":
            return np.where(*arrays) if _alike(arrays[1:]) else None
        if operator == "Cast":
            return _cast(node, arrays[0])
    except (ValueError, TypeError):  # They do not fit, which a runtime would refuse, too.
        return None
    if operator == "Not":
        return np.logical_not(arrays[0])
    return arrays[0] if operator == "Identity" else None


def _alike(arrays: Sequence[Array]) -> bool:
    return len({array.dtype for array in arrays}) == 1


def _cast(node: NodeProto, array: Array) -> Array | None:
    kind = integer(node, "to", 0)
    if kind not in helper.get_all_tensor_dtypes():
        return None
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return array.astype(dtype) if dtype in _DTYPES else None
