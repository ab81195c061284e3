"""Take away what nobody reads any more, and nothing that nobody read before.

A graph is never tidied for its own sake: only what has lost its last reader is swept, and then what
was there for that alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from onnx import GraphProto, ModelProto, NodeProto

from folding.protos import subgraphs
from folding.renaming import defined
from folding.splicing import replace_nodes
from folding.survey import Key, by_key, key_of

#: The number of a graph, and the index of a node in it.
_Place = tuple[int, int]


def sweep(proto: ModelProto, lost: Iterable[str]) -> None:
    """Remove the nodes and tensors behind names that have lost a reader, if it was the last."""
    _Sweep(proto).run(lost)


class _Sweep:
    """The readers of every name, and what is gone.

    A name that several graphs have is left alone: which of them a reader means is not asked.
    """

    def __init__(self, proto: ModelProto) -> None:
        self.graphs: list[GraphProto] = []
        #: The numbers of the bodies of each node that has some.
        self.inside: dict[_Place, list[int]] = {}
        self._enter(proto.graph)
        self.readers = Counter(name for graph in self.graphs for name in _read(graph))
        for training in proto.training_info:
            for graph in (training.initialization, training.algorithm):
                self.readers.update(_read(graph))
            for binding in (*training.initialization_binding, *training.update_binding):
                self.readers[binding.key] += 1
        count = Counter(name for graph in self.graphs for name in defined(graph))
        self.makers = {
            name: (place, index)
            for place, graph in enumerate(self.graphs)
            for index, node in enumerate(graph.node)
            for name in node.output
            if count[name] == 1
        }
        self.stored = {
            tensor.name
            for graph in self.graphs
            for tensor in graph.initializer
            if count[tensor.name] == 1
        }
        self.gone: set[_Place] = set()
        self.names: set[str] = set()

    def _enter(self, graph: GraphProto) -> int:
        """Number a graph and those in it, each before those within."""
        number = len(self.graphs)
        self.graphs.append(graph)
        for index, node in enumerate(graph.node):
            inside = [self._enter(body) for body in subgraphs(node)]
            if inside:
                self.inside[number, index] = inside
        return number

    def run(self, lost: Iterable[str]) -> None:
        waiting = list(lost)
        while waiting:
            name = waiting.pop()
            if self.readers[name]:
                continue
            if name in self.stored:
                self.names.add(name)
            place = self.makers.get(name)
            if place is not None and place not in self.gone:
                waiting += self._unmake(place)
        for number in reversed(range(len(self.graphs))):  # Changing a graph copies its bodies.
            self._clear(number)

    def _unmake(self, place: _Place) -> list[str]:
        """Take a node away if nobody reads what it makes; what it read."""
        node = self.graphs[place[0]].node[place[1]]
        if any(self.readers[name] for name in node.output if name):
            return []
        self.names.update(node.output)
        read = list(self._end(place))
        self.readers.subtract(read)
        return read

    def _end(self, place: _Place) -> Iterator[str]:
        """Note that a node is gone, and all in it; what they read that were still there."""
        self.gone.add(place)
        yield from self.graphs[place[0]].node[place[1]].input
        for number in self.inside.get(place, ()):
            graph = self.graphs[number]
            yield from (value.name for value in graph.output)
            for index in range(len(graph.node)):
                if (number, index) not in self.gone:
                    yield from self._end((number, index))

    def _clear(self, number: int) -> None:
        graph = self.graphs[number]
        kept = [node for index, node in enumerate(graph.node) if (number, index) not in self.gone]
        if len(kept) < len(graph.node):
            replace_nodes(graph, kept)
        for values in (graph.initializer, graph.value_info):
            for index in reversed(range(len(values))):
                if values[index].name in self.names:
                    del values[index]
        annotations = graph.quantization_annotation
        for index in reversed(range(len(annotations))):
            if annotations[index].tensor_name in self.names:
                del annotations[index]


def _read(graph: GraphProto) -> Iterator[str]:
    """The names that a graph reads, its bodies apart."""
    for node in graph.node:
        yield from node.input
    yield from (value.name for value in graph.output)


def called(proto: ModelProto) -> set[Key]:
    """The functions that the model calls, be it through others."""
    functions = by_key(proto.functions)
    waiting: list[Iterable[NodeProto]] = [proto.graph.node]
    for training in proto.training_info:
        waiting += [training.initialization.node, training.algorithm.node]
    found: set[Key] = set()
    while waiting:
        for node in waiting.pop():
            waiting += [body.node for body in subgraphs(node)]
            key = key_of(node)
            if key in functions and key not in found:
                found.add(key)
                waiting.append(functions[key].node)
    return found


def forget(proto: ModelProto, functions: AbstractSet[Key]) -> None:
    """Remove some functions."""
    for index in reversed(range(len(proto.functions))):
        if not functions.isdisjoint(by_key([proto.functions[index]])):
            del proto.functions[index]
