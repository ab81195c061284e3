"""What tf2onnx has no conversion for, or a wrong one, said in what it can convert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

#: The bit of a float32 that is its sign.
_SIGN_BIT = np.iinfo(np.int32).min
#: Types of whole numbers that may be below zero.
_SIGNED = (TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64)
#: The first operator set with a Mod.
_MOD_SINCE = 10


def without_erfc(graph: Any, nodes: Sequence[Any]) -> list[Any]:
    """Erfc in the exact GELU of TensorFlow, x · Erfc(-x / √2) / 2, as 1 - Erf.

    The difference loses the tail, which does not matter there: it is times an x that is small
    beside what the tail lacks. Anywhere else, under a logarithm for one, it would.
    """
    for node in list(nodes):
        if node.type == "Erfc" and _is_of_gelu(graph, node):
            dtype = graph.get_dtype(node.output[0])
            erf = _before(graph, node, "Erf", [node.input[0]], dtype)
            _replace(graph, node, "Sub", [_constant(graph, 1, dtype), erf])
    return list(graph.get_nodes())


def _is_of_gelu(graph: Any, erfc: Any) -> bool:
    """Whether all that is made of an Erfc is its product with what it was computed of."""
    number = _unscaled(graph, erfc.input[0])
    wanted = [erfc.output[0]]
    while wanted:
        name = wanted.pop()
        readers = graph.find_output_consumers(name)
        for reader in readers:
            others = [each for each in reader.input if each != name]
            if reader.type != "Mul" or name in graph.outputs or len(others) != 1:
                return False
            other = graph.get_node_by_output(others[0])
            if other is not None and other.is_const():
                wanted.append(reader.output[0])
            elif _unscaled(graph, others[0]) != number:
                return False
        if not readers:
            return False
    return True


def _unscaled(graph: Any, name: str) -> str:
    """The tensor that a tensor is a multiple of."""
    node = graph.get_node_by_output(name)
    while node is not None and node.type in {"Neg", "Mul", "RealDiv"}:
        rest = [each for each in node.inputs if not each.is_const()]
        if len(rest) != 1 or (node.type == "RealDiv" and node.inputs[1] is rest[0]):
            break
        name = node.input[list(node.inputs).index(rest[0])]
        node = rest[0]
    return name


def without_sign_bits(graph: Any, nodes: Sequence[Any]) -> list[Any]:
    """The sign bit, by which Keras' argmax and argmin tell -0 from 0, from number and inverse.

    The inverse of a zero is an infinity of its sign; that of an infinity is a zero, not below 0.
    """
    for node in list(nodes):
        found = _of_sign_bit(node) if node.type == "Less" else None
        if found is not None:
            masked, bits = found
            one, zero = (_constant(graph, value, TensorProto.FLOAT) for value in (1, 0))
            number = bits.input[0]
            inverse = _before(graph, node, "RealDiv", [one, number], TensorProto.FLOAT)
            least = _before(graph, node, "Minimum", [number, inverse], TensorProto.FLOAT)
            _replace(graph, node, "Less", [least, zero])
            for unread in (masked, bits):
                graph.safe_remove_nodes([unread])
    return list(graph.get_nodes())


def with_whole_selections(graph: Any, nodes: Sequence[Any]) -> list[Any]:
    """Select as Where: tf2onnx multiplies by 0 what is not selected, which leaves no infinity."""
    for node in nodes:
        if node.type in {"Select", "SelectV2"}:
            node.set_attr("handles_nan", 1)
    return list(nodes)


def with_whole_division(graph: Any, nodes: Sequence[Any]) -> list[Any]:
    """FloorDiv and FloorMod of whole numbers: tf2onnx rounds them towards 0, and not down."""
    for node in list(nodes) if graph.opset >= _MOD_SINCE else ():
        dtype = graph.get_dtype(node.input[0]) if node.type in {"FloorDiv", "FloorMod"} else None
        if dtype in _SIGNED:
            numbers = list(node.input)
            if node.type == "FloorMod":
                _replace(graph, node, "Mod", numbers, is_onnx=True)
            else:
                rest = _before(graph, node, "Mod", numbers, dtype, is_onnx=True)
                whole = _before(graph, node, "Sub", [numbers[0], rest], dtype)
                _replace(graph, node, "Div", [whole, numbers[1]])
    return list(graph.get_nodes())


def without_indices_from_the_end(graph: Any, nodes: Sequence[Any]) -> list[Any]:
    """OneHot, for which an index below zero is none at all, as one too large is in both."""
    for node in list(nodes):
        dtype = graph.get_dtype(node.input[0]) if node.type == "OneHot" else None
        if dtype in _SIGNED:
            zero, none = (_constant(graph, value, dtype) for value in (0, _most(dtype)))
            index, shape = node.input[0], graph.get_shape(node.input[0])
            is_none = _made(graph, "Less", [index, zero], TensorProto.BOOL, shape)
            inputs = [is_none, none, index]
            graph.replace_input(node, index, _made(graph, "SelectV2", inputs, dtype, shape), 0)
    return list(graph.get_nodes())


def _most(dtype: int) -> int:
    from tf2onnx import utils

    return int(np.iinfo(utils.map_onnx_to_numpy_type(dtype)).max)


def _of_sign_bit(less: Any) -> tuple[Any, Any] | None:
    """What masks the sign bit of a float32, and what takes its bits, where a Less looks at it."""
    masked, zero = less.inputs
    if masked.type != "BitwiseAnd" or not _is_constant(zero, 0):
        return None
    bits, mask = masked.inputs
    return (masked, bits) if bits.type == "Bitcast" and _is_constant(mask, _SIGN_BIT) else None


def _is_constant(node: Any, value: int) -> bool:
    """Whether it is this int32, as which the bits of one float32 alone can be looked at."""
    if not node.is_const():
        return False
    found = node.get_tensor_value(as_list=False)
    return bool(found.dtype == np.int32 and found.size == 1 and found.item() == value)


def _constant(graph: Any, value: int, dtype: int) -> str:
    from tf2onnx import utils

    array = np.array(value, utils.map_onnx_to_numpy_type(dtype))
    return str(graph.make_const(utils.make_name("const"), array).output[0])


def _before(
    graph: Any, node: Any, operator: str, inputs: list[str], dtype: int, *, is_onnx: bool = False
) -> str:
    """What an operator makes of inputs that are of the shape of what the node gives."""
    shape = graph.get_shape(node.output[0])
    return _made(graph, operator, inputs, dtype, shape, is_onnx=is_onnx)


def _made(
    graph: Any,
    operator: str,
    inputs: list[str],
    dtype: int,
    shape: Sequence[int] | None,
    *,
    is_onnx: bool = False,
) -> str:
    """What an operator, of TensorFlow unless it is one of ONNX already, makes of inputs."""
    known = {"dtypes": [dtype], "shapes": [shape]}
    made = graph.make_node(operator, inputs, skip_conversion=is_onnx, **known)
    return str(made.output[0])


def _replace(
    graph: Any, node: Any, operator: str, inputs: list[str], *, is_onnx: bool = False
) -> None:
    """Compute what a node gives by another operator."""
    outputs, dtypes, shapes = list(node.output), node.output_dtypes, node.output_shapes
    graph.remove_node(node.name)
    graph.make_node(
        operator, inputs, outputs=outputs, skip_conversion=is_onnx, dtypes=dtypes, shapes=shapes
    )


#: In the order that tf2onnx is to apply them.
REWRITINGS = (
    without_erfc,
    without_sign_bits,
    with_whole_division,
    without_indices_from_the_end,
    with_whole_selections,
)
