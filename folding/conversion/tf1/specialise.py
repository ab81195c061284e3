"""What a graph computes once its training flags have values: no flag, no side that is not taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from folding.conversion.tf1 import branches, switches
from folding.conversion.tf1.nodes import Graph, Tensor, constant
from folding.errors import BadModel

#: How deeply calls may lie in bodies of calls.
_MOST_ROUNDS = 200


def specialised(graph: Graph, values: Mapping[str, Any]) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph with some nodes set to values, and what stands for outputs that went.

    Raises:
        BadModel: its functions call each other without end, or one is missing.
    """
    graph = graph.replaced(constant(name, value) for name, value in values.items())
    instead: dict[Tensor, Tensor] = {}
    for _ in range(_MOST_ROUNDS):
        graph, called = branches.inlined(graph)
        graph, chosen = switches.resolved(graph)
        if not called and not chosen:
            return graph, instead
        instead |= called | chosen
    raise BadModel("the functions of the graph call each other without end")
