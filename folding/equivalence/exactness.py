"""Which values of a graph no rounding can change: those made by comparing, moving and counting.

What is computed from them alone must be the same in both models, element by element.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx import GraphProto, NodeProto

from folding.floats import FLOATS
from folding.protos import is_default_domain, subgraphs

#: Operators that give floats or decide by them without rounding any.
_EXACT = frozenset(
    {"Abs", "And", "ArgMax", "ArgMin", "Cast", "Ceil", "Compress", "Concat", "Equal", "Expand"}
    | {"Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual"}
    | {"Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Max", "Min", "Neg", "Not", "Or"}
    | {"ReduceMax", "ReduceMin", "Relu", "Reshape", "Round", "ScatterElements", "ScatterND"}
    | {"Sign", "Slice", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Unsqueeze", "Where"}
    | {"Xor"}
)


def exact_outputs(graph: GraphProto, type_of: Callable[[str], int]) -> frozenset[str]:
    """The outputs of a graph that no rounding can change.

    Args:
        graph: the main graph.
        type_of: the element type of a value, 0 where it is not known.
    """
    rounded: set[str] = set()
    for node in graph.node:
        if not rounded.isdisjoint(node.input) or _rounds(node, type_of):
            rounded.update(node.output)
    return frozenset(value.name for value in graph.output if value.name not in rounded)


def _rounds(node: NodeProto, type_of: Callable[[str], int]) -> bool:
    if not is_default_domain(node) or any(True for _ in subgraphs(node)):
        return True
    types = [type_of(name) for name in (*node.input, *node.output) if name]
    return node.op_type not in _EXACT and any(not kind or kind in FLOATS for kind in types)
