"""How many nodes and bytes each operator has, before and after."""

from __future__ import annotations

from collections import Counter

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
    first: dict[str, str] = {}
    inside = graphs(model.proto)
    for graph in inside:
        for node in graph.node:
            operator = node.op_type
            nodes[operator] += 1
            for name in node.input:
                first.setdefault(name, operator)
    for graph in reversed(inside):
        for tensor in graph.initializer:
            reader = first.pop(tensor.name, None)
            if reader is not None:
                sizes[reader] += max(element_bytes(tensor), 0)
    for function in model.proto.functions:
        nodes.update(node.op_type for node in function.node)
    return {name: Tally(nodes[name], sizes[name]) for name in nodes}
