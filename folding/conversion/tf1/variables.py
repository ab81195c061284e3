"""Constants in the place of variables: what a checkpoint holds of them, without a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

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


class Stored(NamedTuple):
    """What a checkpoint calls what it holds of a variable, and which part of that is the variable.

    One that was partitioned is whole in the checkpoint.
    """

    name: str
    part: tuple[slice, ...] = ()


def restored_names(graph: Graph) -> dict[str, Stored]:
    """What a checkpoint has of each variable that the graph has an operator to restore."""
    found: dict[str, Stored] = {}
    for node in graph.nodes.values():
        if node.op in ("Assign", "AssignVariableOp"):
            variable, value = data(node)
            while graph.nodes[value.node].op == "Identity":
                value = data(graph.nodes[value.node])[0]
            source = graph.nodes[value.node]
            if source.op == "RestoreV2":
                names, parts = (value_of(graph.nodes[t.node]) for t in data(source)[1:3])
                part = _part(parts[value.port].decode())
                found[variable.node] = Stored(names[value.port].decode(), part)
    return found


def _part(text: str) -> tuple[slice, ...]:
    """What ``16 8 0,8:-`` means: of 16 rows the first 8, of 8 columns all."""
    ranges = text.rpartition(" ")[2]
    numbers = ([int(n) for n in one.split(",") if n != "-"] for one in ranges.split(":") if one)
    return tuple(slice(n[0], sum(n)) if n else slice(None) for n in numbers)


def without_variables(
    graph: Graph, checkpoint: Checkpoint | None, restored: Mapping[str, Stored]
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


def _value(node: Any, checkpoint: Checkpoint | None, restored: Mapping[str, Stored]) -> Any:
    if checkpoint is None:
        text = f"the graph is not frozen: it has no value for the variable {node.name!r}"
        raise BadModel(text, hint="Freeze it, or give the .meta beside its checkpoint.")
    value = found_value(node, checkpoint, restored)
    if value is None:
        raise BadModel(f"the checkpoint has no variable {node.name!r}", hint=_SAVE_WHOLE)
    return value


def found_value(node: Any, checkpoint: Checkpoint, restored: Mapping[str, Stored]) -> Any:
    """What a checkpoint holds of a variable, or None.

    Raises:
        BadModel: it is damaged there.
    """
    shared = node.attr["shared_name"].s.decode()
    for stored in (Stored(node.name), Stored(shared), restored.get(node.name, Stored(""))):
        if stored.name and checkpoint.has_tensor(stored.name):
            return _read(checkpoint, stored.name)[stored.part]
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
