"""How many nodes and bytes each operator has, before and after."""

from __future__ import annotations

from collections import Counter

from onnx import NodeProto

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

    def count(found: NodeProto, stored: dict[str, int]) -> None:
        nodes[found.op_type] += 1
        for name in found.input:
            sizes[found.op_type] += stored.pop(name, 0)

    stored: dict[str, int] = {}
    for graph in graphs(model.proto):
        stored.update((t.name, max(element_bytes(t), 0)) for t in graph.initializer)
    for graph in graphs(model.proto):
        for node in graph.node:
            count(node, stored)
    for function in model.proto.functions:
        for node in function.node:
            count(node, {})
    return {name: Tally(nodes[name], sizes[name]) for name in nodes}
