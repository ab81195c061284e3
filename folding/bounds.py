"""How big a value can be as far as ONNX's shape inference may know: upper bounds.

Inference writes a message for every dimension of every value. Most operators keep the number of
dimensions, but some make dimensions out of numbers, and doubled twenty times that is a million:

    Reshape(x, s), Expand(x, s), ConstantOfShape(s)   as many as s has elements
    Gather(x, i), GatherND(x, i)                      those of x and those of i
    Unsqueeze(x, axes), OneHot, Loop, ...             one for each axis; one more

So each value gets a bound for its rank and, since shapes come as vectors, for its elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from onnx import TensorProto, TypeProto, ValueInfoProto, numpy_helper


class Bound(NamedTuple):
    """At most ``rank`` dimensions, and at most ``size`` elements: None for any number.

    ``volume`` bounds the product of integers: the elements of a tensor that has them as its shape.
    Inference believes shapes that contradict each other, so a dimension of 0 counts as 1.
    ``numbers`` is how many inference reads of a constant, None if the value is none, and
    ``values`` are those of a few integers. ``negative`` and ``level`` belong to ``slices``.
    """

    rank: int = 0
    size: int | None = None
    volume: int | None = None
    numbers: int | None = None
    values: tuple[int, ...] | None = None
    negative: int | None = None
    level: int = 0


Bounds = Sequence[Bound]

#: Beyond this, elements are not counted.
_MANY = 1 << 30
#: So many integers may be a shape.
FEW = 32


def of_tensor(tensor: TensorProto) -> Bound:
    """The bound of a constant."""
    rank, size = len(tensor.dims), counted(prod(max(dim, 1) for dim in tensor.dims))
    if tensor.data_type not in (TensorProto.INT64, TensorProto.INT32):
        return Bound(rank, size, None, 0)
    numbers = (_MANY if size is None else size) if rank <= 1 else 0
    if size is None or size > FEW or tensor.data_location == TensorProto.EXTERNAL:
        return Bound(rank, size, None, numbers)
    return integers_of(rank, numpy_helper.to_array(tensor).ravel().tolist())._replace(
        numbers=numbers
    )


def integers_of(rank: int, values: Sequence[int]) -> Bound:
    """The bound of a constant of a few integers."""
    volume = counted(prod(max(abs(n), 1) for n in values))
    return Bound(rank, len(values), volume, len(values), tuple(values))


def of_input(value: ValueInfoProto) -> Bound:
    """The bound of an input of a declared type; of a sequence, that of what is in it."""
    held: TypeProto = value.type
    while (kind := held.WhichOneof("value")) in _WRAPPERS:
        wrapper = getattr(held, str(kind))
        held = wrapper.value_type if kind == "map_type" else wrapper.elem_type
    dims = held.tensor_type.shape.dim
    known = held.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims)
    size = counted(prod(max(d.dim_value, 1) for d in dims)) if known else None
    return Bound(max(len(dims), len(held.sparse_tensor_type.shape.dim)), size)


_WRAPPERS = frozenset({"sequence_type", "optional_type", "map_type"})


def counted(size: int | None) -> int | None:
    """A number of elements, None if there are too many."""
    return size if size is not None and size <= _MANY else None


def product(*sizes: int | None) -> int | None:
    """The number of elements of so many of so many; None if one of them is."""
    known = [size for size in sizes if size is not None]
    return counted(prod(known)) if len(known) == len(sizes) else None
