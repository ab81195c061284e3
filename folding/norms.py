"""Norms of stored weights, piece by piece: what weight normalisation divides by.

Evaluated node by node, the squares of a weight would take the room of six copies of it, which are
kept for nothing. So where a sum of squares is all that is asked for, the weight is read once:

    ReduceL2(v)    ReduceSumSquare(v)    ReduceSum(Mul(v, v))    ReduceSum(Pow(v, 2))
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto

from folding.constant_ops import Value
from folding.doubled import Doubled
from folding.floats import FLOATS
from folding.modelfile import Model
from folding.reductions import reduced_axes
from folding.stored import Stored, stored_tiles
from folding.totals import PIECE, Place, gathered

if TYPE_CHECKING:
    from folding.constants import Constants

#: A smaller weight is evaluated like any other constant.
_LEAST = 1 << 10
_REDUCTIONS = frozenset({"ReduceL2", "ReduceSum", "ReduceSumSquare"})


def norm(constants: Constants, node: NodeProto) -> Doubled | None:
    """A reduction of the squares of a big stored weight; None if it is something else."""
    weight = _weight(constants, node) if node.op_type in _REDUCTIONS else None
    if weight is None:
        return None
    rest = [constants.value(name) if name else None for name in node.input[1:]]
    found = reduced_axes(node, rest, weight.dims)
    if found is None:
        return None
    axes, shape = found
    total = gathered(weight.dims, tuple(axes), _squares(constants.model, weight)).reshape(*shape)
    return total.sqrt() if node.op_type == "ReduceL2" else total


def _weight(constants: Constants, node: NodeProto) -> Stored | None:
    name = node.input[0]
    if node.op_type == "ReduceSum":
        inner = constants.node(name)
        if inner is None or not _is_square(constants, inner):
            return None
        name = inner.input[0]
    weight = constants.stored(name)
    if weight is None or prod(weight.dims) <= _LEAST:
        return None
    return weight if weight.tensor.data_type in FLOATS else None


def _is_square(constants: Constants, node: NodeProto) -> bool:
    if node.op_type == "Mul":
        return node.input[0] == node.input[1]
    exponent = constants.value(node.input[1]) if node.op_type == "Pow" else None
    return exponent is not None and exponent.shape == () and _number(exponent) == 2  # noqa: PLR2004


def _number(value: Value) -> float:
    return float((value.high if isinstance(value, Doubled) else value).item())


def _squares(model: Model, weight: Stored) -> Iterator[tuple[Place, Doubled]]:
    for _, place, values in stored_tiles(model, weight, PIECE):
        with np.errstate(all="ignore"):
            if values.dtype == np.float64:
                numbers = Doubled.exact(values)
                yield place, numbers * numbers
                continue
            wide = values.astype(np.float64)
            square = wide * wide  # Exact: the factors have 24 bits at most.
            yield place, Doubled(square, np.zeros_like(square), square)
