"""Put the bodies of functions in the place of their calls, where it is known which one runs.

    x ── If(flag, then=f, else=g) ── y          x ── the nodes of g ── y

A PartitionedCall always runs its function; an If runs one of two. The nodes of a body are named
``<call>.body/<name in the body>``. An If whose condition depends on data stays, with its functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from folding.conversion.tf1.conditions import truth
from folding.conversion.tf1.nodes import Graph, Tensor, data, followed, mere, read, reading
from folding.errors import BadModel

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_IFS = frozenset({"If", "StatelessIf"})


def inlined(graph: Graph) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph without calls where it is known what they run, and what stands for their outputs.

    Calls within the bodies stay as they are, for another round.
    """
    kept: dict[str, Any] = {}
    instead: dict[Tensor, Tensor] = {}
    for node in graph.nodes.values():
        function = _function(graph, node)
        if function is None:
            kept[node.name] = node
            continue
        body = _Body(graph, node, function)
        kept[node.name] = mere(node)
        kept.update((copy.name, copy) for copy in body.nodes())
        instead.update(body.outputs())
    instead = {old: followed(instead, old) for old in instead}
    nodes = {name: reading(node, instead) for name, node in kept.items()}
    return Graph(nodes, graph.functions), instead


def _function(graph: Graph, node: Any) -> Any:
    """The function that a node is known to run."""
    if node.op in _CALLS:
        return _named(graph, node, "f")
    if node.op in _IFS:
        taken = truth(graph.nodes, data(node)[0])
        if taken is not None:
            return _named(graph, node, "then_branch" if taken else "else_branch")
    return graph.functions.get(node.op)


def _named(graph: Graph, node: Any, attribute: str) -> Any:
    name = node.attr[attribute].func.name
    if name not in graph.functions:
        raise BadModel(f"{node.name!r} calls {name!r}, which the graph does not have")
    return graph.functions[name]


class _Body:
    """A function as it is called at one place."""

    def __init__(self, graph: Graph, call: Any, function: Any) -> None:
        self._graph, self._call, self._function = graph, call, function
        given = data(call)[1:] if call.op in _IFS else data(call)
        arguments = [argument.name for argument in function.signature.input_arg]
        self._given: dict[str, Tensor] = dict(zip(arguments, given, strict=True))
        self._inner = {node.name: node for node in function.node_def}

    def nodes(self) -> Iterator[Any]:
        """Copies of the nodes, which read the arguments of the call and wait for what it does."""
        waited = [f"^{tensor.node}" for tensor in read(self._call) if tensor.is_control]
        for node in self._function.node_def:
            copy = type(node)()
            copy.CopyFrom(node)
            copy.name = self._outer(node.name)
            copy.input[:] = [*map(self._reference, node.input), *waited]
            yield copy

    def outputs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What stands for each output of the call."""
        for port, output in enumerate(self._function.signature.output_arg):
            yield Tensor(self._call.name, port), self._tensor(self._function.ret[output.name])

    def _outer(self, name: str) -> str:
        return f"{self._call.name}.body/{name}"

    def _reference(self, reference: str) -> str:
        if not reference.startswith("^"):
            return self._tensor(reference).name
        name = reference[1:]
        return f"^{self._given[name].node if name in self._given else self._outer(name)}"

    def _tensor(self, reference: str) -> Tensor:
        """What ``argument`` or ``node:output:index`` stands for."""
        if reference in self._given:
            return self._given[reference]
        name, output, index = reference.split(":")
        parts = self._signature(self._inner[name]).output_arg
        before = 0
        for part in parts:
            # TensorFlow freezes a ReadVariableOp to an Identity, and leaves the output its name.
            if part.name == output or len(parts) == 1:
                return Tensor(self._outer(name), before + int(index))
            before += _count(part, self._inner[name])
        raise BadModel(f"{self._function.signature.name!r} reads {reference!r}, which is not there")

    def _signature(self, node: Any) -> Any:
        from tensorflow.python.framework import op_def_registry

        called = self._graph.functions.get(node.op)
        found = called.signature if called is not None else op_def_registry.get(node.op)
        if found is None:
            raise BadModel(f"this TensorFlow does not know the operator {node.op!r}")
        return found


def _count(part: Any, node: Any) -> int:
    """How many outputs of a node are one by the operator's definition."""
    if part.number_attr:
        return int(node.attr[part.number_attr].i)
    if part.type_list_attr:
        return len(node.attr[part.type_list_attr].list.type)
    return 1
