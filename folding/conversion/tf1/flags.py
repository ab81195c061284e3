"""The training flags of a graph, and what they and other inputs are at inference.

A flag is a truth value, a whole number or a text that decides which side of a Switch or an If runs:
a Placeholder, with a default or not, or a variable (``switched``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from folding.conversion.tf1.conditions import cast, conditions
from folding.conversion.tf1.nodes import Graph, data, in_order, parsed, value_of
from folding.conversion.tf1.variables import VARIABLES
from folding.errors import BadCall
from folding.frozen_inputs import frozen_inputs

_INPUTS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})


def flags(graph: Graph, outputs: Iterable[str]) -> list[str]:
    """The names of the inputs that decide what some outputs are computed by."""
    needed = {name: graph.nodes[name] for name in in_order(graph, outputs)}
    deciding, made_truth = conditions(needed), cast(needed)
    return [
        name
        for name, node in needed.items()
        if node.op in _INPUTS and name in deciding
        if is_truth(node) or is_mode(node) or (name in made_truth and _is_one(node))
    ]


def frozen(graph: Graph, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the user has for inputs, by name and as arrays of their types.

    Raises:
        BadCall: the graph has no such input, or it takes no such value.
    """
    deciding = conditions(graph.nodes)
    known = [
        node
        for name, node in graph.nodes.items()
        if node.op in _INPUTS or (node.op == "Const" and name in deciding)
    ]
    named = {parsed(name).node: value for name, value in values.items()}
    texts = {node.name for node in known if is_text(node)}
    given = {name: value for name, value in named.items() if name in texts}
    declared = [_declared(node) for node in known if _element_type(node)]
    proto = helper.make_model(helper.make_graph([], "flags", declared, []), ir_version=8)
    rest = {name: value for name, value in named.items() if name not in texts}
    return frozen_inputs(proto, rest) | {name: _text(name, given[name]) for name in given}


def default_of(graph: Graph, node: Any) -> Any:
    """The scalar that an input is if nobody gives it, or None."""
    while node.op in ("PlaceholderWithDefault", "Identity"):
        node = graph.nodes[data(node)[0].node]
    if node.op != "Const":
        return None
    values = value_of(node)
    return values if not values.shape else None


def shape_of(node: Any) -> list[int | None] | None:
    """The sizes that an input takes, None for those that are open, or None for any shape."""
    shape = node.attr["shape"].shape
    if "shape" not in node.attr or shape.unknown_rank:
        return None
    return [None if dim.size < 0 else dim.size for dim in shape.dim]


def is_truth(node: Any) -> bool:
    """Whether a node is one truth value, as far as is known."""
    from tensorflow.core.framework import types_pb2

    if node.attr["dtype"].type != types_pb2.DT_BOOL:
        return False
    if node.op == "Const":
        return not node.attr["value"].tensor.tensor_shape.dim
    return node.op in _INPUTS | VARIABLES and _is_one(node)


def _is_one(node: Any) -> bool:
    """Whether a node has one element, as far as is known."""
    return shape_of(node) in (None, [], [1])


def shaped(node: Any, value: Any) -> Any:
    """A value as an input of one element takes it."""
    return np.asarray(value).reshape(1) if shape_of(node) == [1] else value


def is_text(node: Any) -> bool:
    """Whether a node is of texts."""
    import tensorflow as tf

    return bool(node.attr["dtype"].type == tf.string.as_datatype_enum)


def is_mode(node: Any) -> bool:
    """Whether an input or a variable is one whole number or text."""
    import tensorflow as tf

    kind = tf.dtypes.as_dtype(node.attr["dtype"].type)
    return bool(kind.is_integer or kind == tf.string) and _is_one(node)


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        text = f"input {name!r} is text, which {value!r} is not"
        raise BadCall(text, hint=f"Give it in quotes: --freeze '{name}=\"{value}\"'.")
    return np.array(value.encode(), dtype=object)


def _element_type(node: Any) -> int:
    """The type of ONNX for that of TensorFlow, or 0."""
    import tensorflow as tf

    kind = tf.dtypes.as_dtype(node.attr["dtype"].type)
    if not (kind.is_bool or kind.is_integer or kind.is_floating) or kind.is_quantized:
        return 0
    return helper.np_dtype_to_tensor_dtype(np.dtype(kind.as_numpy_dtype))


def _declared(node: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(node.name, _element_type(node), shape_of(node) or [])
