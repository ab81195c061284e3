"""What is known of a condition: true, false, or neither."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from folding.conversion.tf1.nodes import Tensor, data, value_of

#: A condition of no known shape gets a Squeeze from TensorFlow.
_PASSING = frozenset(
    {"Identity", "PreventGradient", "ReadVariableOp", "RefIdentity", "Snapshot", "StopGradient"}
    | {"Reshape", "Squeeze"}
)


def truth(nodes: Mapping[str, Any], tensor: Tensor) -> bool | None:
    """The value of a scalar condition if constants and logic alone settle it."""
    node = nodes.get(_followed(nodes, tensor))
    if node is None:
        return None
    if node.op == "Const":
        values = value_of(node)
        return bool(values) if values.size == 1 and values.dtype.kind in "bif" else None
    if node.op == "LogicalNot":
        known = truth(nodes, data(node)[0])
        return None if known is None else not known
    if node.op in ("LogicalAnd", "LogicalOr"):
        decisive = node.op == "LogicalOr"
        sides = [truth(nodes, side) for side in data(node)]
        return decisive if decisive in sides else None if None in sides else not decisive
    if node.op == "Cast" and node.attr["DstT"].type == _BOOL:
        return truth(nodes, data(node)[0])
    if node.op in _COMPARISONS:
        first, second = (_scalar(nodes, side) for side in data(node))
        if first is not None and second is not None:
            return bool(_COMPARISONS[node.op](first, second))
    return None


def _scalar(nodes: Mapping[str, Any], tensor: Tensor) -> Any:
    """A number or text that is constant, or None."""
    node = nodes.get(_followed(nodes, tensor))
    if node is None or node.op != "Const":
        return None
    values = value_of(node)
    return values.item() if values.size == 1 else None


def conditions(nodes: Mapping[str, Any]) -> set[str]:
    """The nodes whose values decide, alone or with others, which side of a graph runs."""
    wanted = [data(node)[_CONDITION[node.op]] for node in nodes.values() if node.op in _CONDITION]
    found: set[str] = set()
    while wanted:
        name = wanted.pop().node
        if name not in found:
            found.add(name)
            if nodes[name].op in _LOGIC:
                wanted.extend(data(nodes[name])[: _LOGIC[nodes[name].op]])
    return found


def cast(nodes: Mapping[str, Any]) -> set[str]:
    """The nodes whose numbers are made truth values of."""
    casts = [n for n in nodes.values() if n.op == "Cast" and n.attr["DstT"].type == _BOOL]
    return {_followed(nodes, data(node)[0]) for node in casts}


def compared(nodes: Mapping[str, Any], name: str) -> list[Any]:
    """The numbers or texts that the only element of a node is compared with."""
    found: list[Any] = []
    for node in nodes.values():
        if node.op in _COMPARISONS:
            first, second = data(node)
            for side, other in ((first, second), (second, first)):
                if _followed(nodes, side) == name:
                    found.append(_scalar(nodes, other))
    return [value for value in dict.fromkeys(found) if value is not None]


def _followed(nodes: Mapping[str, Any], tensor: Tensor) -> str:
    name = tensor.node
    while name in nodes and nodes[name].op in _PASSING:
        name = data(nodes[name])[0].node
    return name


#: Where the operators that decide have their condition.
_CONDITION = {"Switch": 1, "RefSwitch": 1, "If": 0, "StatelessIf": 0}
#: The number that a GraphDef has for the type of truth values.
_BOOL = 10
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "Equal": operator.eq,
    "NotEqual": operator.ne,
    "Greater": operator.gt,
    "GreaterEqual": operator.ge,
    "Less": operator.lt,
    "LessEqual": operator.le,
}
#: How many inputs of these decide where they are a condition.
_LOGIC = (
    dict.fromkeys(_PASSING, 1)
    | dict.fromkeys(_COMPARISONS, 2)
    | {
        "Cast": 1,
        "LogicalNot": 1,
        "LogicalAnd": 2,
        "LogicalOr": 2,
        "Switch": 1,
        "RefSwitch": 1,
    }
)
