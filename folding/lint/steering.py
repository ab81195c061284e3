"""Which inputs of one value steer a model: conditions, choices and modes of dropouts hang on them.

mode ── Equal(mode, 1) ── If          training ── Not ── Dropout          flag ── Where
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from onnx import GraphProto, ModelProto, NodeProto

from folding.lint.truths import is_number, is_truth
from folding.protos import callers_inputs, is_default_domain, subgraphs

#: What a condition is computed with from a flag.
_COMPARING = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
_FOLLOWING = _COMPARING | frozenset(
    {"And", "Cast", "Flatten", "Identity", "Not", "Or", "Reshape", "Squeeze", "Unsqueeze"}
    | {"Where", "Xor"}
)
_MOST_FLAGS = 8


@dataclass(slots=True)
class _Walk:
    """``behind`` has the inputs that each value is computed from, if from little else.

    ``steering`` has those that decide something, with the names of what they are compared with.
    """

    behind: dict[str, set[str]]
    steering: dict[str, None] = field(default_factory=dict)
    compared: dict[str, list[str]] = field(default_factory=dict)

    def graph(self, graph: GraphProto) -> None:
        for node in graph.node:
            given = self._given(node)
            if given and is_default_domain(node) and node.op_type in _FOLLOWING:
                self.behind.update(dict.fromkeys(node.output, given))
                if node.op_type in _COMPARING:
                    for flag in given:
                        self.compared.setdefault(flag, []).extend(node.input)
            for name in _switches(node):
                self.steering.update(dict.fromkeys(sorted(self.behind.get(name, ()))))
            for body in subgraphs(node):
                self.graph(body)

    def _given(self, node: NodeProto) -> set[str]:
        found: set[str] = set()
        return found.union(*(self.behind.get(name, ()) for name in node.input))


def steering(proto: ModelProto) -> Mapping[str, list[str]]:
    """The inputs that steer a model, truth values first, with what each is compared with."""
    inputs = [value for value in callers_inputs(proto) if is_truth(value) or is_number(value)]
    walk = _Walk({value.name: {value.name} for value in inputs})
    if inputs:
        walk.graph(proto.graph)
    truths = {value.name for value in inputs if is_truth(value)}
    flags = sorted(walk.steering, key=lambda flag: flag not in truths)
    return {flag: walk.compared.get(flag, []) for flag in flags[:_MOST_FLAGS]}


def _switches(node: NodeProto) -> Iterable[str]:
    """What decides in a node."""
    if not is_default_domain(node):
        return ()
    slots = {"Dropout": slice(2, 3), "If": slice(1), "Where": slice(1)}
    return node.input[slots.get(node.op_type, slice(0))]
