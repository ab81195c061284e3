"""A size of a Reshape's result that shape inference leaves open, and that follows from the others.

    [n, 8, 6, 6] ─ Reshape to [size 0 of it, -1] ─ [n, ?]         what inference knows
    [n, 8, 6, 6] ─ Reshape to [size 0 of it, -1] ─ [n, 288]       what follows from it

A Reshape keeps the number of elements. So where both sides have the same sizes that only the run
knows, and known ones of which none is zero, the one that is left is the quotient. (If such a size
is zero in a run there are no elements, and runtimes do not take a -1.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod

from onnx import GraphProto, ValueInfoProto

from folding.protos import is_default_domain


def solved(graph: GraphProto) -> Iterator[ValueInfoProto]:
    """The results of Reshapes whose open size is found, whole, among what inference knows."""
    reshapes = [n for n in graph.node if n.op_type == "Reshape" and is_default_domain(n)]
    values = (*graph.output, *graph.input, *graph.value_info) if reshapes else ()
    known = {v.name: v for v in values if v.type.tensor_type.HasField("shape")}
    inner = {value.name for value in graph.value_info}
    for node in reshapes:
        data, result = known.get(node.input[0]), known.get(node.output[0])
        if node.output[0] not in inner:
            continue
        if data is not None and result is not None and (size := _follows(data, result)):
            whole = ValueInfoProto()
            whole.CopyFrom(result)
            name, value = size
            for dim in whole.type.tensor_type.shape.dim:
                if dim.WhichOneof("value") != "dim_value" and dim.dim_param == name:
                    dim.dim_value = value
            yield whole


def _follows(data: ValueInfoProto, result: ValueInfoProto) -> tuple[str, int] | None:
    """The name of the only size of a result that the data does not have, and what it must be."""
    (given, size), (names, left) = map(_sizes, (data, result))
    new = names - given
    if new.total() != 1 or given - names or not size or not left or size % left:
        return None
    (name,) = new
    return (name, size // left) if name not in given else None


def _sizes(value: ValueInfoProto) -> tuple[Counter[str], int]:
    """The names of the sizes that only the run knows, "" without one, and the product of others."""
    dims = value.type.tensor_type.shape.dim
    known = [dim.dim_value for dim in dims if dim.WhichOneof("value") == "dim_value"]
    return Counter(d.dim_param for d in dims if d.WhichOneof("value") != "dim_value"), prod(known)
