"""MatMul of constants: merged low-rank updates, and the norms of a spectral normalisation.

    w + b @ a        w / (u @ (w @ v))

Each product and each sum of them is a ``Doubled``, and the products are added pairwise: so the
error bound of a sum of products is the sum of theirs. They are made a few at a time.
"""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np
from onnx import NodeProto

from folding.constant_ops import MOST_ELEMENTS, Inputs, Operator, Value
from folding.doubled import Doubled
from folding.reductions import added

#: A product of more multiplications than this is not evaluated: these take a few seconds.
MOST_MULTIPLICATIONS = 1 << 24
_PIECE = 1 << 16


def _matmul(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    """As numpy does it: a vector is a row on the left and a column on the right."""
    left, right = inputs
    if not isinstance(left, Doubled) or not isinstance(right, Doubled):
        return None
    if not left.shape or not right.shape:
        return None
    row, column = len(left.shape) == 1, len(right.shape) == 1
    left = left.reshape(1, *left.shape) if row else left
    right = right.reshape(*right.shape, 1) if column else right
    found = _product(left, right)
    if found is None:
        return None
    *batch, rows, columns = found.shape
    return found.reshape(*batch, *([] if row else [rows]), *([] if column else [columns]))


def _product(left: Doubled, right: Doubled) -> Doubled | None:
    """The matrices along the last two axes."""
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    depth, size = left.shape[-1], prod(batch) * left.shape[-2] * right.shape[-1]
    if depth != right.shape[-2] or not depth or not size:
        return None
    if size > MOST_ELEMENTS or size * depth > MOST_MULTIPLICATIONS:
        return None
    step = max(1, _PIECE // size)
    left, right = (_with_rank(value, len(batch) + 2) for value in (left, right))
    # The axis that is summed over comes first.
    rows = left.moved(lambda a: np.moveaxis(a, -1, 0)[..., None])
    columns = right.moved(lambda a: np.moveaxis(a, -2, 0)[..., None, :])
    pieces = (slice(low, low + step) for low in range(0, depth, step))
    return reduce(Doubled.__add__, (added(rows[piece] * columns[piece]) for piece in pieces))


def _with_rank(value: Doubled, rank: int) -> Doubled:
    return value.reshape(*(1,) * (rank - len(value.shape)), *value.shape)


#: A function of a node, its inputs and the shape of its output.
PRODUCTS: dict[str, Operator] = {"MatMul": _matmul}
