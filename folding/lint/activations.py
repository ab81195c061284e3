"""Activations, be they one operator or the formula of one.

    Relu(x)   Max(x, 0)   Softmax(x)      x * sigmoid(x)      x * tanh(softplus(x))
    0.5 * x * (1 + erf(x / sqrt(2)))      x * clip(x + 3, 0, 6) / 6

A formula is a product of x and a gate: what is computed of x alone, one element at a time, and
squashed on the way. What a gate is computed of besides, such as a mean, makes it another thing.
"""

from __future__ import annotations

from collections.abc import Iterator

from folding.lint.graphs import Graph

ACTIVATIONS = frozenset(
    {"Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "LogSoftmax", "Mish"}
    | {"PRelu", "Relu", "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Swish", "Tanh"}
    | {"ThresholdedRelu"}
)
_BOUNDING = frozenset({"Max", "Min"})
_SQUASHING = frozenset({"Clip", "Erf", "HardSigmoid", "Max", "Min", "Relu", "Sigmoid", "Tanh"})
_GATING = _SQUASHING | frozenset(
    {"Add", "Cast", "Div", "Exp", "Identity", "Log", "Mul", "Neg", "Pow", "Reciprocal", "Softplus"}
    | {"Sub"}
)
_LONGEST = 16


def activated(graph: Graph, index: int) -> str | None:
    """What an activation is applied to, if a node is the last of one."""
    scope = graph.scope
    if scope.is_own(index, *ACTIVATIONS):
        return scope.reads[index][0]
    if scope.is_own(index, *_BOUNDING):
        return _only_live(graph, index)
    if not scope.is_own(index, "Div", "Mul"):
        return None
    first, second = scope.reads[index]
    for data, gate in ((first, second), (second, first)):
        for name in _unscaled(graph, data):
            if _is_gate(graph, gate, name):
                return name
    return None


def _only_live(graph: Graph, index: int) -> str | None:
    """The one input of a node that is no constant."""
    live = [name for name in graph.scope.reads[index] if name not in graph.constants]
    return live[0] if len(live) == 1 else None


def _unscaled(graph: Graph, name: str) -> Iterator[str]:
    """A value, and what it is a multiple of."""
    yield name
    index = graph.scope.producers.get(name)
    if index is not None and graph.scope.is_own(index, "Div", "Mul"):
        data = _only_live(graph, index)
        if data is not None:
            yield data


def _is_gate(graph: Graph, gate: str, data: str) -> bool:
    """Whether a value is computed of another alone, element by element, and squashed."""
    scope, waiting, nodes = graph.scope, [gate], set[int]()
    while waiting and len(nodes) <= _LONGEST:
        name = waiting.pop()
        if name == data or not name or name in graph.constants:
            continue
        index = scope.producers.get(name)
        if index is None or not scope.is_own(index, *_GATING):
            return False
        if index not in nodes:
            nodes.add(index)
            waiting += scope.reads[index]
    return not waiting and any(scope.operators[index] in _SQUASHING for index in nodes)
