"""Constants in the place of variables: what a checkpoint holds of them, without a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from folding.conversion.tf1.nodes import Graph, Tensor, constant, data, first_line, value_of
from folding.errors import BadModel, Unconvertible

#: A variable whose value is read, and one that is a handle to ask for the value.
_VALUES = frozenset({"Variable", "VariableV2"})
_HANDLE = "VarHandleOp"
VARIABLES = _VALUES | {_HANDLE}
#: What asks for a value, and what does the same to a value that is at hand.
_READS = {"ReadVariableOp": "Identity", "ResourceGather": "Gather", "VariableShape": "Shape"}
#: How the operators begin that change what they are given.
_WRITES = ("Assign", "Scatter", "Apply", "SparseApply", "CountUpTo")
_SAVE_WHOLE = "Save the model with its checkpoint again, or name other outputs."


class Checkpoint(Protocol):
    """The arrays of variables, by the names that the checkpoint has for them."""

    def has_tensor(self, name: str) -> bool: ...

    def get_tensor(self, name: str) -> Any: ...


def restored_names(graph: Graph) -> dict[str, str]:
    """What a checkpoint calls each variable that the graph has an operator to restore."""
    found: dict[str, str] = {}
    for node in graph.nodes.values():
        if node.op in ("Assign", "AssignVariableOp"):
            variable, value = data(node)
            while graph.nodes[value.node].op == "Identity":
                value = data(graph.nodes[value.node])[0]
            source = graph.nodes[value.node]
            if source.op == "RestoreV2":
                names = value_of(graph.nodes[data(source)[1].node])
                found[variable.node] = names[value.port].decode()
    return found


def without_variables(
    graph: Graph, checkpoint: Checkpoint | None, restored: Mapping[str, str]
) -> Graph:
    """The graph with the value of each variable in its place.

    Raises:
        BadModel: there is no value for one.
        Unconvertible: a variable is changed, or used in a way that only a variable can be.
    """
    nodes: dict[str, Any] = {}
    for name, node in graph.nodes.items():
        if node.op in VARIABLES:
            nodes[name] = constant(name, _value(node, checkpoint, restored))
        elif node.op in _READS or any(
            source.op in VARIABLES for source in _sources(graph, node).values()
        ):
            nodes[name] = _reader(node, _sources(graph, node))
        else:
            nodes[name] = node
    return Graph(nodes, graph.functions)


def _value(node: Any, checkpoint: Checkpoint | None, restored: Mapping[str, str]) -> Any:
    if checkpoint is None:
        text = f"the graph is not frozen: it has no value for the variable {node.name!r}"
        raise BadModel(text, hint="Freeze it, or give the .meta beside its checkpoint.")
    value = found_value(node, checkpoint, restored)
    if value is None:
        raise BadModel(f"the checkpoint has no variable {node.name!r}", hint=_SAVE_WHOLE)
    return value


def found_value(node: Any, checkpoint: Checkpoint, restored: Mapping[str, str]) -> Any:
    """What a checkpoint holds of a variable, or None.

    Raises:
        BadModel: it is damaged there.
    """
    shared = node.attr["shared_name"].s.decode()
    for name in (node.name, shared, restored.get(node.name)):
        if name and checkpoint.has_tensor(name):
            return _read(checkpoint, name)
    return None


def _read(checkpoint: Checkpoint, name: str) -> Any:
    import tensorflow as tf

    try:
        return checkpoint.get_tensor(name)
    except (IndexError, RuntimeError, ValueError, tf.errors.OpError) as error:
        text = f"the checkpoint is damaged at the variable {name!r}: {first_line(error)}"
        hint = "Put .meta, .index and .data files of one name together."
        raise BadModel(text, hint=hint) from error


def _sources(graph: Graph, node: Any) -> dict[Tensor, Any]:
    return {tensor: graph.nodes[tensor.node] for tensor in data(node)}


def _reader(node: Any, sources: Mapping[Tensor, Any]) -> Any:
    """A node that takes a value where it took a variable."""
    handles = [tensor for tensor, source in sources.items() if source.op == _HANDLE]
    if node.op.startswith(_WRITES) or (handles and node.op not in _READS):
        variable = next(source.name for source in sources.values() if source.op in VARIABLES)
        text = f"the {node.op} {node.name!r} does more to the variable {variable!r} than read it"
        raise Unconvertible(text, hint=_SAVE_WHOLE)
    if node.op not in _READS:
        return node
    copy = type(node)(name=node.name, op=_READS[node.op], input=node.input)
    kind = node.attr["dtype"]
    copy.attr["Tparams" if node.op == "ResourceGather" else "T"].CopyFrom(kind)
    for key in ("Tindices", "out_type"):
        if key in node.attr:
            copy.attr[key].CopyFrom(node.attr[key])
    return copy
