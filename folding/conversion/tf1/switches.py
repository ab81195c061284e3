"""Resolve the Switches whose condition is known.

    x ── Switch(flag) ─┬─ :0 ── moving mean ──┐
                       └─ :1 ── batch mean ───┴─ Merge ── y         x ── moving mean ── y

A Switch hands its input to one of two outputs, and a Merge takes what arrives. Where the condition
is constant, one side is dead: with it whatever reads of it or waits for it, up to a Merge, which
stands for its living input then. A Switch whose condition depends on data stays.
"""

from __future__ import annotations

from typing import Any

from folding.conversion.tf1.conditions import truth
from folding.conversion.tf1.nodes import (
    Graph,
    Tensor,
    constant,
    data,
    in_order,
    made,
    read,
    reading,
)

_SWITCHES = frozenset({"Switch", "RefSwitch"})
_MERGES = frozenset({"Merge", "RefMerge"})


def resolved(graph: Graph) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph without what is known to be dead, and what stands for outputs that went."""
    run = _Run()
    for name in in_order(graph, graph.nodes):
        run.visit(graph.nodes[name])
    return Graph(run.kept, graph.functions), run.instead


class _Run:
    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.instead: dict[Tensor, Tensor] = {}
        self._dead: set[Tensor] = set()
        self._dead_nodes: set[str] = set()

    def visit(self, node: Any) -> None:
        """Decide about a node whose inputs have been decided about."""
        if node.op in _MERGES:
            self._merge(node)
        elif any(map(self._is_dead, read(node))):
            self._dead_nodes.add(node.name)
        elif node.op not in _SWITCHES or not self._switch(node):
            self._keep(node)

    def _is_dead(self, tensor: Tensor) -> bool:
        return tensor.node in self._dead_nodes or tensor in self._dead

    def _switch(self, node: Any) -> bool:
        value, condition = (self.instead.get(tensor, tensor) for tensor in data(node))
        known = truth(self.kept, condition)
        if known is not None:
            self.instead[Tensor(node.name, int(known))] = value
            self._dead.add(Tensor(node.name, int(not known)))
            # Nothing reads it any more, but some may still wait for it.
            self.kept[node.name] = made("NoOp", node.name)
        return known is not None

    def _merge(self, node: Any) -> None:
        inputs = data(node)
        living = [place for place, tensor in enumerate(inputs) if not self._is_dead(tensor)]
        if not living:
            self._dead_nodes.add(node.name)
        elif len(living) > 1 or len(inputs) == 1:
            self._keep(node)
        else:
            taken = inputs[living[0]]
            source = self.instead.get(taken, taken)
            self.kept[node.name] = made("Identity", node.name, [source], T=node.attr["T"])
            index = constant(f"{node.name}/value_index", living[0])
            self.kept[index.name] = index
            self.instead[Tensor(node.name, 1)] = Tensor(index.name)

    def _keep(self, node: Any) -> None:
        self.kept[node.name] = reading(node, self.instead)
