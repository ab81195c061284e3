"""Other names for values, in nodes and in the bodies that see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from onnx import GraphProto, ModelProto, NodeProto

from folding.protos import graphs, names, subgraphs

#: What becomes of a name that a body gives to a value of its own.
Local = Callable[[str], str]


class Fresh:
    """Names that a model does not have yet."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def __call__(self, wish: str) -> str:
        """The name wished for, or with the next free number behind it."""
        name, number = wish, self._numbers.get(wish, 0)
        while name in self._taken:
            number += 1
            name = f"{wish}_{number}"
        self._numbers[wish] = number
        self._taken.add(name)
        return name


def fresh_values(proto: ModelProto) -> Fresh:
    """New names for values, in whatever graph."""
    every = graphs(proto)
    return Fresh(name for graph in every for name in (*names(graph), *defined(graph)))


def defined(graph: GraphProto) -> Iterator[str]:
    """The names that a graph gives to values of its own, its inputs apart."""
    yield from (tensor.name for tensor in graph.initializer)
    yield from (tensor.values.name for tensor in graph.sparse_initializer)
    for node in graph.node:
        yield from filter(None, node.output)


def own_names(graph: GraphProto) -> set[str]:
    """The names of a graph that are not those of a graph around it."""
    return {value.name for value in graph.input}.union(defined(graph))


def rename(graph: GraphProto, new: Mapping[str, str], local: Local = str) -> None:
    """Give values of a graph other names; ``local`` says what bodies call their own."""
    for value in (*graph.input, *graph.value_info, *graph.output):
        value.name = new.get(value.name, value.name)
    for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
        tensor.name = new.get(tensor.name, tensor.name)
    for annotation in graph.quantization_annotation:
        annotation.tensor_name = new.get(annotation.tensor_name, annotation.tensor_name)
        for entry in annotation.quant_parameter_tensor_names:
            entry.value = new.get(entry.value, entry.value)
    rename_nodes(graph.node, new, local)


def rename_nodes(nodes: Iterable[NodeProto], new: Mapping[str, str], local: Local = str) -> None:
    """Give what nodes read and make other names, and what their bodies see of it."""
    for node in nodes:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
        for body in subgraphs(node):
            rename(body, {**new, **{name: local(name) for name in own_names(body)}}, local)
