"""Weights that are computed from constants: as a stored tensor times small factors, if they can be.

    g * v / |v|        a weight under weight normalisation, as it is exported

Where a big stored tensor is only multiplied, or divided, by what has one number for each index of
an axis, and rearranged, the product is never made: what is written is computed piece by piece, as
with any other weight, from ``v`` and the small factors. Any other constant expression is evaluated
whole, if there is room for it, once a fold asks for it.
"""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import NodeProto

from folding.constants import Constants
from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.protos import attribute
from folding.recipes import Scaled
from folding.stored import Stored

_DEEPEST = 32
#: Operators behind a product through which it is still one.
_MOVING = frozenset({"Identity", "Squeeze", "Transpose", "Unsqueeze"})


def computed(constants: Constants, name: str) -> Scaled | None:
    """What a constant weight is before any fold; None if it is not evaluated."""
    found = _product(constants, name, _DEEPEST)
    if found is not None:
        return found
    value = constants.weight(name)
    return None if value is None else Scaled(constants, value, ())


def _product(constants: Constants, name: str, depth: int) -> Scaled | None:
    stored = constants.stored(name)
    if stored is not None:
        return Scaled(constants, stored, ())
    node = constants.node(name)
    if node is None:
        outer = constants.outer if name in constants else None
        return _product(outer, name, depth) if outer else None
    if not depth:
        return None
    if node.op_type in _MOVING:
        whole = _product(constants, node.input[0], depth - 1)
        return None if whole is None else _moved(constants, whole, node)
    # Below operator set 7 an attribute aligned operands by other rules.
    if node.op_type not in ("Mul", "Div") or attribute(node, "broadcast") is not None:
        return None
    dims = constants.dims(name)
    for slot in (0, 1) if node.op_type == "Mul" else (0,):
        if dims is not None and constants.dims(node.input[slot]) == dims:
            factor = _factor(constants, node, 1 - slot, dims)
            whole = _product(constants, node.input[slot], depth - 1) if factor else None
            if whole is not None and factor is not None:
                return whole.times(factor)
    return None


def _factor(
    constants: Constants, node: NodeProto, slot: int, dims: tuple[int, ...]
) -> Factor | None:
    """An operand with one number for each index of an axis, as a factor of the other."""
    own = constants.dims(node.input[slot])
    wide = None if own is None else [i - len(own) for i, size in enumerate(own) if size != 1]
    if own is None or wide is None or len(wide) > 1 or prod(own) == prod(dims):
        return None
    value = constants.doubled(node.input[slot])
    if value is None:
        return None
    flat = value.reshape(value.size)
    channel = along(wide[0], dims) if wide else np.zeros((1,) * len(dims), np.intp)
    return Factor(channel, Doubled.exact(1.0) / flat if node.op_type == "Div" else flat)


def _moved(constants: Constants, whole: Scaled, node: NodeProto) -> Scaled | None:
    """A product whose elements are rearranged: its tensor is, and so are the channels."""
    move, dims = constants.move(node), constants.dims(node.output[0])
    if move is None or dims is None or not isinstance(whole.source, Stored):
        return None
    source = Stored(whole.source.tensor, dims, (*whole.source.moves, move))
    factors = []
    for factor in whole.factors:
        # Axes along which a channel does not change are only seen to be long: no copy is made.
        seen = move(np.broadcast_to(factor.channel, whole.dims))
        cut = tuple(slice(None) if step else slice(1) for step in seen.strides)
        factors.append(Factor(seen[cut], factor.scale))
    return Scaled(constants, source, tuple(factors))
