"""What frozen flags decide besides Ifs: which values a Where takes, and the modes of dropouts.

    Where(training, batch's, moving) ── Identity(moving)        Not(training) ── Constant(true)

Done to a copy that is looked at, never to a model that is written.
"""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from onnx import GraphProto, NodeProto, helper, numpy_helper

from folding.conditions import Array, evaluated, stored
from folding.modelfile import Model
from folding.protos import is_default_domain, subgraphs
from folding.renaming import defined
from folding.sweeping import sweep

_Known = ChainMap[str, Array | None]


def decide(frozen: Model) -> None:
    """Write what is known of conditions as it is, and sweep away what only the others needed."""
    lost: set[str] = set()
    _graph(frozen, frozen.proto.graph, ChainMap(), lost)
    sweep(frozen.proto, lost)


def _graph(model: Model, graph: GraphProto, known: _Known, lost: set[str]) -> None:
    inputs = {value.name for value in graph.input}
    for name in (*inputs, *defined(graph)):
        known[name] = None  # It may hide one of the same name outside.
    for tensor in graph.initializer:
        if tensor.name not in inputs:
            known[tensor.name] = stored(model, tensor)
    for node in graph.node:
        for body in subgraphs(node):
            _graph(model, body, known.new_child(), lost)
        _node(model, node, known, lost)


def _node(model: Model, node: NodeProto, known: _Known, lost: set[str]) -> None:
    given = [known.get(name) for name in node.input]
    value = evaluated(model, node, given)
    if value is not None:
        known[node.output[0]] = value
        if value.dtype.kind == "b" and node.input:
            _write(node, "Constant", lost, value=numpy_helper.from_array(value))
    elif node.op_type == "Where" and is_default_domain(node):
        condition = given[0]
        if condition is not None and condition.size == 1:
            _write(node, "Identity", lost, node.input[1 if condition.item() else 2])


def _write(node: NodeProto, operator: str, lost: set[str], *inputs: str, **attributes: Any) -> None:
    """Make another node of one, with the same output."""
    lost.update(node.input)
    node.CopyFrom(helper.make_node(operator, inputs, list(node.output), node.name, **attributes))
