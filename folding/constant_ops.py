"""Operators that constants are evaluated through: numpy functions, one line each.

Each takes the node, its constant inputs and the shape of its output. Floats arrive as ``Doubled``
and stay so; integers and booleans are numpy arrays in their own type. None of them makes more than
``MOST_ELEMENTS`` out of fewer: that is asked before there is an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper, numpy_helper

from folding.doubled import Doubled
from folding.floats import FLOATS
from folding.protos import attribute, integer, integers
from folding.reductions import REDUCTIONS
from folding.slices import as_slice, selected

Value = Doubled | npt.NDArray[Any]
Inputs = Sequence[Value | None]

#: A constant expression of more elements than this is not evaluated.
MOST_ELEMENTS = 1 << 20
_LONGEST_RANGE = 1 << 16

Operator = Callable[[NodeProto, Inputs, tuple[int, ...]], Value | None]


def _moved(
    value: Value | None, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> Value | None:
    if value is None:
        return None
    return value.moved(move) if isinstance(value, Doubled) else move(value)


def _ints(value: Value | None) -> list[int] | None:
    return None if value is None or isinstance(value, Doubled) else [int(v) for v in value.ravel()]


def _fits(*dims: int) -> bool:
    return min(dims, default=0) >= 0 and prod(dims) <= MOST_ELEMENTS


def _broadcasts(one: Value, other: Value) -> bool:
    return _fits(*np.broadcast_shapes(one.shape, other.shape))


def _arithmetic(combine: Callable[[Any, Any], Any]) -> Operator:
    def operator(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
        first, second = inputs
        if first is None or second is None or not _broadcasts(first, second):
            return None
        if attribute(node, "broadcast") is not None:
            return None  # Below operator set 7 operands were aligned by other rules.
        if isinstance(first, Doubled) != isinstance(second, Doubled):
            return None
        with np.errstate(all="ignore"):  # Integers overflow here as in the runtime.
            result: Value | None = combine(first, second)
        return result

    return operator


def _divide(first: Any, second: Any) -> Any:
    if isinstance(first, Doubled):
        return first / second
    if not np.all(second != 0):
        return None  # What a division by zero gives is left to the runtime.
    # Integers are divided as in C, towards zero, and not by way of floats.
    floor = first // second
    return floor + ((first % second != 0) & ((first < 0) != (second < 0)))


def _modulo(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    """Of integers, with the sign of the divisor (``fmod`` 0)."""
    first, second = inputs
    if not isinstance(first, np.ndarray) or not isinstance(second, np.ndarray):
        return None
    if integer(node, "fmod", 0) or not np.all(second != 0) or not _broadcasts(first, second):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(np.mod(first, second))


def _range(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    first = inputs[0]
    start, limit, step = ((_ints(value) or [0])[0] for value in inputs)
    if not step or not isinstance(first, np.ndarray) or (limit - start) // step > _LONGEST_RANGE:
        return None
    return np.fromiter(range(start, limit, step), first.dtype)


def _same(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    return inputs[0]


def _cast(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    """To a float type: a narrowing is a rounding that the model asks for."""
    target = FLOATS.get(integer(node, "to", 0))
    value = inputs[0]
    if target is None:
        dtype = helper.tensor_dtype_to_np_dtype(integer(node, "to", 0))
        whole = dtype.kind in "iu" and isinstance(value, np.ndarray)
        return value.astype(dtype) if whole and isinstance(value, np.ndarray) else None
    if isinstance(value, Doubled):
        rounded = target.round(value.high).astype(np.float64)
        kept = (rounded == value.high).all()
        return value if kept and not value.low.any() else Doubled.exact(rounded)
    return None if value is None else Doubled.exact(target.round(value.astype(np.float64)))


def _transpose(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    perm = integers(node, "perm")
    return _moved(inputs[0], lambda a: a.transpose(perm))


def _reshape(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    return None if min(dims, default=0) < 0 else _moved(inputs[0], lambda a: a.reshape(dims))


def _expand(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    return _moved(inputs[0], lambda a: np.broadcast_to(a, dims)) if _fits(*dims) else None


def _tile(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    """Every axis so many times; in operator set 1 one axis was named."""
    times = _ints(inputs[1]) if len(inputs) == 2 else None  # noqa: PLR2004
    if inputs[0] is None or times is None or len(times) != len(inputs[0].shape):
        return None
    if min(times, default=0) < 0:
        return None
    if not _fits(*(n * size for n, size in zip(times, inputs[0].shape, strict=True))):
        return None
    return _moved(inputs[0], lambda a: np.tile(a, times))


def _concat(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    axis = integer(node, "axis", 1)
    if not _fits(sum(v.size for v in inputs if v is not None)):
        return None
    if all(isinstance(v, np.ndarray) for v in inputs):
        return np.concatenate([np.asarray(v) for v in inputs], axis)
    doubled = [v for v in inputs if isinstance(v, Doubled)]
    if len(doubled) != len(inputs):
        return None
    return Doubled(
        np.concatenate([v.high for v in doubled], axis),
        np.concatenate([v.low for v in doubled], axis),
        np.concatenate([v.magnitude for v in doubled], axis),
    )


def _gather(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    indices, axis = inputs[1], integer(node, "axis", 0)
    if not isinstance(indices, np.ndarray) or inputs[0] is None:
        return None
    length, size = inputs[0].shape[axis], inputs[0].size
    if ((indices < -length) | (indices >= length)).any():
        return None
    # The elements of a big weight may change places, but not multiply.
    if size and size // length * indices.size > max(size, MOST_ELEMENTS):
        return None
    return _moved(inputs[0], lambda a: np.take(a, indices, axis))


def _slice(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    starts, ends, axes, steps = ([*map(_ints, inputs[1:]), None, None, None, None])[:4]
    if starts is None or ends is None:
        starts, ends, axes = (
            list(integers(node, n) or ()) or None for n in ("starts", "ends", "axes")
        )
    if starts is None or ends is None or inputs[0] is None:
        return None
    cut: list[slice] = [slice(None)] * len(inputs[0].shape)
    for axis, start, end, step in zip(
        axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=True
    ):
        if not step:
            return None
        cut[axis] = as_slice(selected(start, end, step, inputs[0].shape[axis]))
    return _moved(inputs[0], lambda a: a[tuple(cut)])


def _constant_of_shape(node: NodeProto, inputs: Inputs, dims: tuple[int, ...]) -> Value | None:
    if not _fits(*dims):
        return None
    given = attribute(node, "value")
    fill = np.zeros(1, np.float32) if given is None else numpy_helper.to_array(given.t)
    full = np.broadcast_to(fill.reshape(()), dims)
    return Doubled.exact(full) if full.dtype.kind == "f" else full


OPERATORS: dict[str, Operator] = {
    "Add": _arithmetic(lambda a, b: a + b),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _arithmetic(_divide),
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "Identity": _same,
    "Mul": _arithmetic(lambda a, b: a * b),
    "Mod": _modulo,
    "Range": _range,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _reshape,
    "Sub": _arithmetic(lambda a, b: a - b),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
    **REDUCTIONS,
}

#: Operators whose result needs only their first input and the shape that inference found.
FOLLOWS_OUTPUT_SHAPE = frozenset(
    {"ConstantOfShape", "Expand", "Flatten", "Reshape", "Squeeze", "Unsqueeze"}
)
