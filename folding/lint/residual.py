"""Blocks of a residual network: the way through the layers, and the one past them, meet in a sum.

norm ── Relu ──┬── Conv ── norm ── Relu ── Conv ──┐
               └── Conv ─────────────────────────Add
"""

from __future__ import annotations

from folding.lint.activations import ACTIVATIONS
from folding.lint.graphs import Graph

_LONGEST = 32


def begins_residual(graph: Graph, name: str) -> bool:
    """Whether a value, perhaps behind an activation, goes both ways of such a block."""
    readers = graph.scope.readers.get(name, ())
    while len(readers) == 1 and graph.scope.is_own(readers[0], *ACTIVATIONS):
        readers = graph.scope.readers.get(graph.scope.makes[readers[0]][0], ())
    ends = [_sum_behind(graph, index) for index in readers]
    met = [end for end in ends if end is not None]
    return len(met) > len(set(met))


def _sum_behind(graph: Graph, index: int) -> int | None:
    """The sum of two ways that a node leads to, where nothing else reads what is on this way."""
    scope = graph.scope
    for _ in range(_LONGEST):
        live = [name for name in scope.reads[index] if name not in graph.constants]
        if scope.is_own(index, "Add", "Sum") and len(live) > 1:
            return index
        readers = scope.readers.get(scope.makes[index][0], ())
        if len(readers) != 1:
            return None
        index = readers[0]
    return None
