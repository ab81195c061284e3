"""A function of TensorFlow 2 as a graph like those of TensorFlow 1, without the sides not taken.

TensorFlow itself freezes no variable that is assigned to anywhere, and leaves every If. So where a
flag was frozen to a value the sides are chosen first, and the variables are put in after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from folding.conversion.tf1.nodes import Graph, Tensor, constant, followed, made, parsed
from folding.conversion.tf1.pruning import pruned
from folding.conversion.tf1.specialise import specialised
from folding.conversion.tf1.variables import without_variables

#: What the node of an output is called; nothing that people write has this in it.
_OUTPUT = "fold_model.output"


@dataclass(frozen=True)
class Settled:
    """A GraphDef without variables, and the tensors that are its outputs, in order."""

    graph_def: Any
    outputs: list[str]


@dataclass(frozen=True)
class _Held:
    """The variables of a function as a checkpoint has them."""

    arrays: Mapping[str, Any]

    def has_tensor(self, name: str) -> bool:
        return name in self.arrays

    def get_tensor(self, name: str) -> Any:
        return self.arrays[name]


def settled(function: Any) -> Settled | None:
    """What a concrete function computes, or None if it holds more than variables and arrays.

    Raises:
        Unconvertible: a variable is changed on every side that is taken.
    """
    from tensorflow.core.framework import graph_pb2

    arrays = _captured(function)
    if arrays is None:
        return None
    graph_def = function.graph.as_graph_def()
    graph, instead = specialised(_with_handles(Graph.of(graph_def), arrays), {})
    ends = [
        made(
            "Identity",
            f"{_OUTPUT}.{number}",
            [followed(instead, parsed(output.name))],
            T=_type(output),
        )
        for number, output in enumerate(function.outputs)
    ]
    outputs = [Tensor(node.name) for node in ends]
    bare = pruned(graph.replaced(ends), [*outputs, *_inputs(function)])
    left = without_variables(bare, _Held(arrays), {})
    made_of = graph_pb2.GraphDef(
        node=left.nodes.values(), versions=graph_def.versions, library=graph_def.library
    )
    return Settled(made_of, [tensor.name for tensor in outputs])


def _captured(function: Any) -> dict[str, Any] | None:
    """The values that a function has from outside, by the nodes that stand for them."""
    import tensorflow as tf

    held = {id(variable.handle): variable for variable in function.graph.variables}
    found: dict[str, Any] = {}
    for outer, inner in function.graph.captures:
        if id(outer) not in held and outer.dtype in (tf.resource, tf.variant):
            return None
        found[inner.op.name] = (held.get(id(outer), outer)).numpy()
    return found


def _with_handles(graph: Graph, arrays: Mapping[str, Any]) -> Graph:
    """The graph with variables, or constants, in the place of what it has from outside."""
    import tensorflow as tf

    handle = tf.resource.as_datatype_enum
    return graph.replaced(
        made("VarHandleOp", name)
        if graph.nodes[name].attr["dtype"].type == handle
        else constant(name, array)
        for name, array in arrays.items()
    )


def _inputs(function: Any) -> list[Tensor]:
    captured = {tensor.name for tensor in function.graph.internal_captures}
    return [parsed(tensor.name) for tensor in function.inputs if tensor.name not in captured]


def _type(tensor: Any) -> Any:
    from tensorflow.core.framework import attr_value_pb2

    return attr_value_pb2.AttrValue(type=tensor.dtype.as_datatype_enum)
