"""What an output needs, and nothing else: no optimizer, no update of statistics, no order of steps.

At inference no node has to wait for another, so what only others wait for goes, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from folding.conversion.tf1.nodes import Graph, Tensor, data, in_order, read

#: What names nodes that may have gone, devices that may not be here, and shapes that were wider.
_STALE = ("_class", "_output_shapes")
#: Operators on variables that are values by now.
_BY_VALUE = {"RefIdentity": "Identity", "RefSwitch": "Switch", "RefMerge": "Merge"} | {
    f"Ref{op}": op for op in ("Enter", "Exit", "NextIteration", "Select")
}


def pruned(graph: Graph, outputs: Sequence[Tensor]) -> Graph:
    """The nodes that some outputs need, in the order of computation."""
    bare = Graph({name: _bare(node) for name, node in graph.nodes.items()}, graph.functions)
    names = in_order(bare, (output.node for output in outputs))
    return Graph({name: bare.nodes[name] for name in names}, graph.functions)


def _bare(node: Any) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    copy.device = ""
    copy.op = _BY_VALUE.get(node.op, node.op)
    for key in _STALE:
        copy.attr.pop(key, None)
    if any(tensor.is_control for tensor in read(node)):
        copy.input[:] = [tensor.name for tensor in data(node)]
    return copy
