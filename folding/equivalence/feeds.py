"""What a model is run on: arrays by input name, and what the model says of its inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TypeProto, ValueInfoProto, helper

Array = npt.NDArray[Any]
Feed = dict[str, Array]
Arrays = Mapping[str, npt.ArrayLike]
#: What the user may give: arrays by name, once or several times, a path, or a function for them.
Inputs = (
    Arrays | str | os.PathLike[str] | Iterable[Arrays] | Callable[[], Arrays | Iterable[Arrays]]
)


def required(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that a caller must give."""
    given = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in given]


def tensor_type(value: ValueInfoProto) -> TypeProto.Tensor | None:
    """The type of an input that is a tensor of a known element type; None for any other."""
    if value.type.WhichOneof("value") != "tensor_type":
        return None
    tensor = value.type.tensor_type
    return tensor if tensor.elem_type in helper.get_all_tensor_dtypes() else None


def dtype_of(tensor: TypeProto.Tensor) -> np.dtype[Any]:
    """The type of the arrays that hold it."""
    return helper.tensor_dtype_to_np_dtype(tensor.elem_type)


def dims_of(tensor: TypeProto.Tensor) -> list[int | str]:
    """Each dimension: its size, or its name where it is open; an open one may have no name."""
    return [d.dim_value if d.dim_value > 0 else d.dim_param for d in tensor.shape.dim]


def fits(tensor: TypeProto.Tensor, shape: Iterable[int]) -> bool:
    """Whether an array of that shape can be given for it."""
    sizes, dims = list(shape), dims_of(tensor)
    return not tensor.HasField("shape") or (
        len(sizes) == len(dims)
        and all(isinstance(d, str) or d == n for d, n in zip(dims, sizes, strict=True))
    )


def shown(tensor: TypeProto.Tensor) -> str:
    """The shape of an input for people: 1x3x?x?."""
    if not tensor.HasField("shape"):
        return "of any shape"
    return "x".join(str(d) if isinstance(d, int) else "?" for d in dims_of(tensor)) or "a scalar"
