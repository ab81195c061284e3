"""Operators of a framework that a converter has left in the graph as they were.

Converters log that and report success; no runtime loads such a file.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, NodeProto, defs

from folding.lint.finding import Code, Finding
from folding.protos import graphs, is_default_domain, title
from folding.survey import by_key, key_of

#: Domains that converters put a framework's operators in.
_FRAMEWORKS = frozenset(
    {"ai.onnx.converters.tensorflow", "aten", "caffe2", "org.pytorch._caffe2", "org.pytorch.aten"}
    | {"prim", "tf"}
)


def unconverted(proto: ModelProto) -> Iterator[Finding]:
    """Every node that is one of a framework's operators."""
    functions = by_key(proto.functions)
    bodies = [g.node for g in graphs(proto)] + [f.node for f in proto.functions]
    for nodes in bodies:
        for node in nodes:
            if _is_foreign(node) and key_of(node) not in functions:
                cause = f"{node.op_type} is an operator of the framework, which ONNX does not have"
                yield Finding(Code.UNCONVERTED_OPERATOR, title(node), cause)


def _is_foreign(node: NodeProto) -> bool:
    if not is_default_domain(node):
        return node.domain in _FRAMEWORKS
    return not defs.has(node.op_type, "")
