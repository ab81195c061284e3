"""Upper bounds of what ONNX's shape inference may know of values, by operator.

Reshape(x, s), Expand(x, s), ConstantOfShape(s)   as many dimensions as s has numbers
Gather(x, i), GatherND(x, i)                      those of x and those of i
Concat(x, y)                                      the sum of the lengths
most operators                                    the most of any input
an operator that is not listed here               the sum of the dimensions, of any length
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from onnx import TensorProto, ValueInfoProto, numpy_helper

#: A constant of more integers is not looked into.
FEW = 64
#: As long as anything may be.
ANY = 1 << 62


class Bound(NamedTuple):
    """What inference may know of a value.

    Attributes:
        rank: it has at most so many dimensions,
        dim: none of which is longer.
        exact: if anything is known, it is that ``rank``, and that ``dim`` for a vector.
        number: the greatest number that may be known of it.
        written: how many numbers are written when it is read.
        values: its integers if it is a constant of a few, () if it is another, None if none.
        dims: the dimensions of a stored constant of other values, or what is said of a value.
        typed: it certainly has a type, since that is declared or it is stored.
    """

    rank: int = 0
    dim: int = 1
    exact: bool = True
    number: int = 0
    written: int = 0
    values: tuple[int, ...] | None = None
    dims: tuple[int, ...] = ()
    typed: bool = False


Bounds = Sequence[Bound]
#: Of a value of which nothing is known.
NOTHING = Bound()


def computed(rank: int, dim: int, of: Bounds = (), *, exact: bool = True) -> Bound:
    """The bound of no constant: inference may write as many unknown numbers for a vector."""
    is_exact = exact and all(b.exact for b in of)
    dim = max(dim, 1)  # What is reduced is 1.
    written = dim if rank <= 1 or not is_exact else 0
    return Bound(rank, min(dim, ANY), is_exact, written=min(written, ANY))


def of_integers(values: Sequence[int], rank: int) -> Bound:
    """The bound of a constant of integers in at most one dimension."""
    few = tuple(values) if len(values) <= FEW else ()
    number = max(map(abs, values), default=0)
    return Bound(rank, len(values), number=number, written=len(values), values=few)


def of_tensor(tensor: TensorProto) -> Bound:
    """The bound of a constant. Floats are never propagated."""
    rank, known = len(tensor.dims), tensor.data_location != TensorProto.EXTERNAL
    if rank <= 1 and known and tensor.data_type in (TensorProto.INT64, TensorProto.INT32):
        integers = numpy_helper.to_array(tensor).ravel().tolist()
        return of_integers(integers, rank)._replace(typed=True)
    dims = tuple(tensor.dims)
    return Bound(rank, max(dims, default=1), values=(), dims=dims, typed=True)


def of_value(value: ValueInfoProto) -> Bound:
    """The bound of a value of a declared type, or of what is in it."""
    held = value.type
    while (kind := held.WhichOneof("value")) in ("sequence_type", "optional_type"):
        held = getattr(held, str(kind)).elem_type
    dims = held.tensor_type.shape.dim
    longest = max((dim.dim_value for dim in dims), default=1)
    bound = computed(len(dims), longest, exact=held is value.type)
    sizes = tuple(dim.dim_value for dim in dims)
    known = sizes if min(sizes, default=0) > 0 and held is value.type else ()
    return bound._replace(typed=value.type.WhichOneof("value") is not None, dims=known)
