"""Who reads a value, counted so that each question about it is one step, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Slots:
    """Input slots of nodes: one for each time that a node reads a value."""

    __slots__ = ("_by_node", "count")

    def __init__(self, nodes: Iterable[int]) -> None:
        self.count = 0
        self._by_node: dict[int, int] = {}
        for node in nodes:
            self.add(node)

    def __contains__(self, node: int) -> bool:
        return node in self._by_node

    def __iter__(self) -> Iterator[int]:
        """The nodes, each once."""
        return iter(self._by_node)

    def add(self, node: int) -> None:
        self._by_node[node] = self._by_node.get(node, 0) + 1
        self.count += 1

    def remove(self, node: int) -> None:
        if self._by_node[node] == 1:
            del self._by_node[node]
        else:
            self._by_node[node] -= 1
        self.count -= 1
