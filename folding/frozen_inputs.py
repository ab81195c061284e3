"""Values for the inputs that are frozen: as the user wrote them, and of the type an input has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, ValueInfoProto

from folding.assignments import VALUE_HINT
from folding.equivalence.feeds import dtype_of, fits, shown, tensor_type
from folding.errors import BadCall
from folding.floats import FLOATS

Array = npt.NDArray[Any]

_OVERRIDABLE_SINCE_IR = 4
_FLOAT_DTYPES = frozenset(float_type.dtype for float_type in FLOATS.values())
_MOST_ELEMENTS = 1024
_TRUTHS = {"true": True, "false": False}


def frozen_inputs(proto: ModelProto, values: Mapping[str, Any]) -> dict[str, Array]:
    """The values as arrays that the inputs take.

    Raises:
        BadCall: there is no such input, or it takes no such value.
    """
    stored = {tensor.name for tensor in proto.graph.initializer}
    fixed = stored if proto.ir_version < _OVERRIDABLE_SINCE_IR else set()
    inputs = {value.name: value for value in proto.graph.input if value.name not in fixed}
    for name in values:
        if name not in inputs:
            hint = f"Its inputs: {', '.join(inputs) or 'none'}."
            raise BadCall(f"the model has no input {name!r} to freeze", hint=hint)
    return {name: _typed(inputs[name], value) for name, value in values.items()}


def _typed(declared: ValueInfoProto, value: Any) -> Array:
    place = f"input {declared.name!r}"
    tensor = tensor_type(declared)
    if tensor is None:
        raise BadCall(f"{place} is no tensor, so it cannot be frozen", hint=VALUE_HINT)
    dtype = dtype_of(tensor)
    is_flag = dtype.kind == "b" and isinstance(value, str)
    array = _array(place, _TRUTHS.get(value.lower(), value) if is_flag else value)
    if not _takes(dtype, array):
        kind = "text" if dtype.kind == "O" else dtype
        raise BadCall(f"{place} is {kind}, which {value!r} is not", hint=VALUE_HINT)
    sizes = [dim.dim_value for dim in tensor.shape.dim]
    if not array.shape and tensor.shape.dim and all(size == 1 for size in sizes):
        array = array.reshape(sizes)
    if not fits(tensor, array.shape):
        text = f"{place} is {shown(tensor)}, the value for it is {array.shape}"
        raise BadCall(text, hint="Give a list of that shape.")
    return array.astype(dtype)


def _array(place: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise BadCall(f"{value!r} is no value for {place}", hint=VALUE_HINT) from error
    if array.size > _MOST_ELEMENTS:
        text = f"{place} would be frozen to {array.size} numbers, the most are {_MOST_ELEMENTS}"
        raise BadCall(text, hint="Only flags and small parameters can be frozen.")
    return array


def _takes(dtype: np.dtype[Any], array: Array) -> bool:
    """Whether a type has every value: floats may be rounded, nothing else may change."""
    given = "f" if array.dtype in _FLOAT_DTYPES else array.dtype.kind
    if dtype.kind == "b":  # A truth value may be said as 0 or 1.
        return given == "b" or (given in "iu" and bool(np.isin(array, (0, 1)).all()))
    if dtype.kind in "iu":
        return given in "iu" and bool((array.astype(dtype) == array).all())
    if dtype not in _FLOAT_DTYPES or given not in "iuf":
        return False
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype(dtype).astype(np.float64)).all())
