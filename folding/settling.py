"""What is known of constants, for shape inference to start from."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from folding.constants import Constants
from folding.floats import FLOATS
from folding.graph import Scope
from folding.hazards import BLINDED, KERNELS
from folding.inference import Settled


def settled(constants: Constants) -> Settled:
    """What a scope's constants are where shape inference could not tell, or might not."""
    found, scope = Settled(), constants.scope
    # Caution asks for it before a Slice may be inferred.
    is_asked = not BLINDED.isdisjoint(scope.operators)
    for index in constants.expressions:
        name, *others = constants.scope.makes[index]
        dims = constants.dims(name)
        known = dims is not None
        if dims is not None and is_asked and not others and _is_kernel(scope, name):
            found.shapes[name] = _type(constants, name), dims
        if others or (known and constants.scope.type(name) in FLOATS):
            continue
        move = None if known else constants.move(constants.scope.nodes[index])
        source = constants.dims(constants.scope.reads[index][0]) if move is not None else None
        if move is not None and source is not None:
            shape = move(np.broadcast_to(np.int8(0), source)).shape
            constants.scope.shapes[name] = shape
            found.shapes[name] = _type(constants, name), shape
            continue
        value = constants.value(name)
        if isinstance(value, np.ndarray):
            found.values[name] = value
        elif value is not None and not known:
            found.shapes[name] = _type(constants, name), value.shape
    return found


def _is_kernel(scope: Scope, name: str) -> bool:
    """Whether a computed weight tells how much of an image a layer leaves."""
    readers = scope.readers.get(name, ())
    return any(scope.operators[i] in KERNELS and scope.reads[i][1] == name for i in readers)


def _type(constants: Constants, name: str) -> int:
    """The element type of a constant."""
    stored = constants.stored(name)
    return stored.tensor.data_type if stored else constants.scope.type(name) or TensorProto.FLOAT
