"""How many nodes and bytes each operator has, before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from onnx import NodeProto, TensorProto

from folding.modelfile import Model
from folding.plan import Tally
from folding.protos import element_bytes, graphs


def operators(before: Model, after: Model) -> dict[str, tuple[Tally, Tally]]:
    """Nodes and bytes by operator, in both models; the most bytes first."""
    one, other = _tally(before), _tally(after)
    names = sorted(one.keys() | other.keys(), key=lambda n: (-one.get(n, Tally()).bytes, n))
    return {name: (one.get(name, Tally()), other.get(name, Tally())) for name in names}


def _tally(model: Model) -> dict[str, Tally]:
    nodes: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    stored: dict[str, TensorProto] = {}
    inside = graphs(model.proto)
    for graph in inside:
        stored.update((tensor.name, tensor) for tensor in graph.initializer)
    for graph in inside:
        _count(graph.node, stored, nodes, sizes)
    for function in model.proto.functions:
        _count(function.node, {}, nodes, sizes)
    return {name: Tally(nodes[name], sizes[name]) for name in nodes}


def _count(
    found: Iterable[NodeProto],
    stored: dict[str, TensorProto],
    nodes: Counter[str],
    sizes: Counter[str],
) -> None:
    """Count nodes, and with each the tensors that none before it reads."""
    for node in found:
        operator = node.op_type
        nodes[operator] += 1
        for name in node.input:
            tensor = stored.pop(name, None)
            if tensor is not None:
                sizes[operator] += max(element_bytes(tensor), 0)
