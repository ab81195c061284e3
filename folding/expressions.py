"""One node of a constant expression: evaluated, or seen as a move of the elements it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from folding.constant_ops import OPERATORS, Value
from folding.doubled import Doubled
from folding.elementwise import ELEMENTWISE
from folding.floats import FLOATS
from folding.inference import Shape
from folding.modelfile import Model
from folding.multiplying import PRODUCTS
from folding.protos import integer

#: Every operator that constants are evaluated through.
EVALUATED = {**OPERATORS, **ELEMENTWISE, **PRODUCTS}

Move = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

#: What evaluated constants may take in all.
MOST_BYTES = 1 << 26
#: What they may take on the way to a weight.
MOST_BYTES_APART = 1 << 27
_FLOAT_DTYPES = frozenset(float_type.dtype for float_type in FLOATS.values())


class Budget:
    """The memory that the constants of a model may take once they are evaluated, and are kept.

    Without it, a chain of additions takes as much of it for each node as for a stored tensor.
    What a view shows is counted too, unless the array that it belongs to is.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._left = most
        self._kept: dict[int, npt.NDArray[Any]] = {}

    @cached_property
    def weights(self) -> Budget:
        """Another one for weights, so that other constants do not lack the room for them."""
        return Budget()

    def take(self, value: Value | None) -> Value | None:
        """A value if there is still room for it; None otherwise."""
        parts = (value.high, value.low, value.magnitude) if isinstance(value, Doubled) else (value,)
        new = {id(p): p for p in parts if p is not None and id(p) not in self._kept}
        held = [id(p.base) in self._kept or id(p.base) in new for p in new.values()]
        new = {key: p for (key, p), is_held in zip(new.items(), held, strict=True) if not is_held}
        size = sum(p.nbytes for p in new.values())
        if size > self._left:
            return None
        self._left -= size
        self._kept |= new
        return value


def constant(node: NodeProto, model: Model) -> npt.NDArray[Any] | None:
    """What a Constant holds; None if that is no number."""
    found = node.attribute[0] if len(node.attribute) == 1 else None
    if found is None or found.ref_attr_name or found.name.startswith("value_string"):
        return None
    if found.name == "value":
        return model.array(found.t)
    if found.name in ("value_float", "value_floats"):
        return np.array(helper.get_attribute_value(found), np.float32)
    if found.name in ("value_int", "value_ints"):
        return np.array(helper.get_attribute_value(found), np.int64)
    return None


def exact(array: npt.NDArray[Any] | None) -> Value | None:
    """The numbers of a stored tensor; None if they are of a type that is not evaluated."""
    if array is None or array.dtype.kind in "OSU":
        return None
    if array.dtype.kind in "biu":
        return array
    return Doubled.exact(array) if array.dtype in _FLOAT_DTYPES else None


def evaluate(
    node: NodeProto, inputs: Sequence[Value | None], dims: tuple[int, ...]
) -> Value | None:
    """Evaluate a node; None if its inputs do not fit, which the runtime would refuse too."""
    try:
        value = EVALUATED[node.op_type](node, inputs, dims)
        return value if value is None or isinstance(value, Doubled) else np.asarray(value)
    except (ValueError, IndexError, TypeError, KeyError):
        return None


def measured(node: NodeProto, shape: Shape | None) -> npt.NDArray[np.int64] | None:
    """What a Shape or Size makes of data of a shape; -1 is a dimension that is not known."""
    if shape is None:
        return None
    if node.op_type == "Size":
        return np.array(np.prod([d or 0 for d in shape]), np.int64)
    start, end = integer(node, "start", 0), integer(node, "end", len(shape))
    return np.array([-1 if d is None else d for d in shape[start:end]], np.int64)


def move_of(
    node: NodeProto, rest: list[Value | None], source: tuple[int, ...], dims: tuple[int, ...]
) -> Move | None:
    """How a node moves the elements of its first input, of shape ``source``; None if it cannot."""
    # Tried on nothing first: attributes need not fit the shape.
    trial = evaluate(node, [np.broadcast_to(np.int8(0), source), *rest], dims)
    return None if trial is None else partial(_moved, node, rest, dims)


def _moved(
    node: NodeProto, rest: list[Value | None], dims: tuple[int, ...], array: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    result = evaluate(node, [array, *rest], dims)
    assert isinstance(result, np.ndarray)
    return result
