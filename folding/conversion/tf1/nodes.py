"""The nodes of a GraphDef by name, and the words with which they name what they read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from folding.errors import BadModel

#: The port of what is only waited for.
_CONTROL = -1


class Tensor(NamedTuple):
    """An output of a node."""

    node: str
    port: int = 0

    @property
    def name(self) -> str:
        """As a session calls it."""
        return f"{self.node}:{self.port}"

    @property
    def is_control(self) -> bool:
        """Whether nothing is read, only waited for."""
        return self.port == _CONTROL


def plain(tensor: Tensor) -> str:
    """A tensor as people call it: the first output of a node by the node's name."""
    return tensor.name if tensor.port else tensor.node


def first_line(error: Exception) -> str:
    """What an error of TensorFlow says before it goes on."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def parsed(reference: str) -> Tensor:
    """What an input of a node, or a person, means by ``X``, ``X:1`` or ``^X``."""
    if reference.startswith("^"):
        return Tensor(reference[1:], _CONTROL)
    name, colon, port = reference.rpartition(":")
    return Tensor(name, int(port)) if colon and port.isdecimal() else Tensor(reference)


@dataclass(frozen=True)
class Graph:
    """Nodes by name, functions by name. A node in here is never changed, only replaced."""

    nodes: Mapping[str, Any]
    functions: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, graph_def: Any) -> Graph:
        """Index a GraphDef.

        Raises:
            BadModel: it has no nodes, or a node reads what is not there.
        """
        nodes = {node.name: node for node in graph_def.node}
        if not nodes:
            raise BadModel("the file holds no graph of TensorFlow", hint=_COMPLETE)
        for node in nodes.values():
            for tensor in read(node):
                if tensor.node not in nodes:
                    text = f"{node.name!r} reads {tensor.node!r}, which the graph does not have"
                    raise BadModel(text, hint=_COMPLETE)
        return cls(nodes, {f.signature.name: f for f in graph_def.library.function})

    def replaced(self, nodes: Iterable[Any]) -> Graph:
        """With other nodes in the place of those of their names."""
        return Graph({**self.nodes, **{node.name: node for node in nodes}}, self.functions)


_COMPLETE = "Check that the file is complete, or save it again."


def read(node: Any) -> Iterator[Tensor]:
    """What a node reads or waits for, in order."""
    return map(parsed, node.input)


def data(node: Any) -> list[Tensor]:
    """What a node reads."""
    return [tensor for tensor in read(node) if not tensor.is_control]


def followed(instead: Mapping[Tensor, Tensor], tensor: Tensor) -> Tensor:
    """What stands for a tensor in the end."""
    while tensor in instead:
        tensor = instead[tensor]
    return tensor


def reading(node: Any, instead: Mapping[Tensor, Tensor]) -> Any:
    """A node that reads what stands for what it read."""
    if not any(tensor in instead for tensor in data(node)):
        return node
    copy = type(node)()
    copy.CopyFrom(node)
    copy.input[:] = [
        reference if tensor.is_control else instead.get(tensor, tensor).name
        for reference, tensor in zip(node.input, read(node), strict=True)
    ]
    return copy


def mere(node: Any) -> Any:
    """What is left of a node that only others wait for."""
    from tensorflow.core.framework import node_def_pb2

    waited = [f"^{tensor.node}" for tensor in read(node)]
    return node_def_pb2.NodeDef(op="NoOp", name=node.name, input=waited)


def made(op: str, name: str, inputs: Iterable[Tensor] = (), **attributes: Any) -> Any:
    """A new node."""
    from tensorflow.core.framework import node_def_pb2

    node = node_def_pb2.NodeDef(op=op, name=name, input=[tensor.name for tensor in inputs])
    for key, value in attributes.items():
        node.attr[key].CopyFrom(value)
    return node


def constant(name: str, values: Any) -> Any:
    """A node that holds an array."""
    import tensorflow as tf
    from tensorflow.core.framework import attr_value_pb2

    tensor = tf.make_tensor_proto(values)
    value = attr_value_pb2.AttrValue(tensor=tensor)
    return made("Const", name, dtype=attr_value_pb2.AttrValue(type=tensor.dtype), value=value)


def value_of(node: Any) -> Any:
    """The array of a Const."""
    import tensorflow as tf

    return tf.make_ndarray(node.attr["value"].tensor)


def in_order(graph: Graph, ends: Iterable[str]) -> Iterator[str]:
    """The names of all that some nodes need, each after what it reads except around a loop."""
    done: set[str] = set()
    stack = [(name, False) for name in ends]
    while stack:
        name, is_expanded = stack.pop()
        if is_expanded:
            yield name
        elif name not in done:
            done.add(name)
            stack.append((name, True))
            if graph.nodes[name].op != "NextIteration":
                stack.extend((tensor.node, False) for tensor in read(graph.nodes[name]))
