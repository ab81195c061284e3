"""Which values say whether two runs agree: float outputs, or what discrete ones are made from.

A rounding error can flip a decision: the index that ArgMax gives, the order of TopK, the rung that
Round or QuantizeLinear chooses. So an output that is no float, or that lies behind such an
operator, says little, and the float values before the first decision are compared in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from onnx import GraphProto, NodeProto

from folding.floats import FLOATS
from folding.protos import is_default_domain, reads_shape, subgraphs

#: Operators whose results jump where their inputs change a little.
_DECIDING = frozenset(
    {"And", "ArgMax", "ArgMin", "Ceil", "Compress", "DynamicQuantizeLinear", "Equal", "Floor"}
    | {"Greater", "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less", "LessOrEqual", "Mod"}
    | {"NonMaxSuppression", "NonZero", "Not", "OneHot", "Or", "QuantizeLinear", "Round", "Sign"}
    | {"TopK", "Unique", "Xor"}
)


def observed(graph: GraphProto, type_of: Callable[[str], int]) -> dict[str, tuple[str, ...]]:
    """For each output of a graph, the float values that are compared for it.

    Args:
        graph: the main graph.
        type_of: the element type of a value, 0 where it is not known.

    Returns:
        The output itself where it is a float that no decision was made for; else the values
        before the decisions, which may be none.
    """
    producers = {name: node for node in graph.node for name in node.output if name}
    decided = _decided(graph, type_of)
    found: dict[str, tuple[str, ...]] = {}
    for value in graph.output:
        is_float = type_of(value.name) in FLOATS
        if is_float and value.name not in decided:
            found[value.name] = (value.name,)
        else:
            found[value.name] = tuple(_ancestors(value.name, producers, decided, type_of))
    return found


def _decided(graph: GraphProto, type_of: Callable[[str], int]) -> set[str]:
    """The values behind a decision."""
    found: set[str] = set()
    for node in graph.node:
        if _decides(node, type_of) or not found.isdisjoint(_inputs(node)):
            found.update(filter(None, node.output))
    return found


def _decides(node: NodeProto, type_of: Callable[[str], int]) -> bool:
    if any(_decides(inner, type_of) for body in subgraphs(node) for inner in body.node):
        return True
    if reads_shape(node):
        return False
    if not is_default_domain(node) or node.op_type in _DECIDING:
        return node.op_type in _DECIDING
    from_float = any(type_of(name) in FLOATS for name in node.input)
    to_other = any(type_of(name) not in FLOATS and type_of(name) for name in node.output)
    return node.op_type == "Cast" and from_float and to_other


def _ancestors(
    name: str,
    producers: dict[str, NodeProto],
    decided: set[str],
    type_of: Callable[[str], int],
) -> Iterable[str]:
    """The float values nearest to a value that no decision was made for."""
    seen, waiting = {name}, [name]
    while waiting:
        node = producers.get(waiting.pop())
        for given in _inputs(node) if node is not None else ():
            if given in seen or not given:
                continue
            seen.add(given)
            if given in producers and given not in decided and type_of(given) in FLOATS:
                yield given
            elif given in producers:
                waiting.append(given)


def _inputs(node: NodeProto) -> list[str]:
    """What a node reads, its bodies included."""
    found = list(node.input)
    for body in subgraphs(node):
        for inner in body.node:
            found += _inputs(inner)
    return found
