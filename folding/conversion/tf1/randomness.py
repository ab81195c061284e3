"""Random numbers of a graph, and dropout that drops nothing.

    x ── RealDiv(keep_prob) ──┬── SelectV2(mask, ., 0) ── y
    RandomUniform >= rate ────┘

With a rate of 0 the mask is true everywhere, and y is x. Older programs multiply with the mask as
numbers, the oldest with ``Floor(keep_prob + RandomUniform)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from folding.conversion.tf1.nodes import Graph, Tensor, constant, data, in_order, made, value_of
from folding.conversion.tf1.pruning import pruned
from folding.errors import BadCall

_RANDOM = re.compile(r"(Stateless)?(Random|Multinomial|TruncatedNormal|ParameterizedTruncated)")
_UNIFORM = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"})
_ADDS = frozenset({"Add", "AddV2"})
_SELECTS = frozenset({"Select", "SelectV2"})
_PASSING = frozenset({"Identity", "Cast"})
_INPUTS = frozenset({"Placeholder", "PlaceholderV2"})


def draws(node: Any) -> bool:
    """Whether a node draws random numbers."""
    return bool(_RANDOM.match(node.op))


def is_random(graph: Graph) -> bool:
    """Whether a graph draws random numbers."""
    return any(map(draws, graph.nodes.values()))


def without_idle_dropout(graph: Graph) -> Graph:
    """The graph with what a dropout of rate 0 hands on in the place of the dropout."""
    found = _Dropouts(graph)
    changed: list[Any] = []
    for node in graph.nodes.values():
        rest = found.undropped(node)
        if rest is not None:
            changed.append(made("Identity", node.name, [rest], T=node.attr["T"]))
    return graph.replaced(changed)


def refuse_dropout(graph: Graph, outputs: Sequence[Tensor], defaults: Mapping[str, Any]) -> None:
    """Ask for the rate of a dropout that an input says.

    Raises:
        BadCall: a value for an input, or another than its default, would end a dropout.
    """
    before = sum(map(draws, graph.nodes.values()))
    for name in _rates(graph, defaults) if before else ():
        for value in (1, 0):
            fixed = graph.replaced([constant(name, np.float32(value))])
            left = pruned(without_idle_dropout(fixed), outputs)
            if sum(map(draws, left.nodes.values())) < before:
                text = f"the input {name!r} says how much is dropped, at inference too"
                raise BadCall(text, hint=f"Give --freeze {name}={value}, so that nothing is.")


def _rates(graph: Graph, defaults: Mapping[str, Any]) -> list[str]:
    """The scalar inputs that a dropout of a graph depends on."""
    masks = [node for node in graph.nodes.values() if node.op in ("GreaterEqual", "Floor")]
    dropouts = _Dropouts(graph)
    found: dict[str, None] = {}
    for mask in masks:
        for side in dropouts.thresholds(mask):
            for name in in_order(graph, [side.node]):
                if name in defaults or graph.nodes[name].op in _INPUTS:
                    found[name] = None
    return list(found)


class _Dropouts:
    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.nodes

    def undropped(self, node: Any) -> Tensor | None:
        """What a node takes from its input whatever the random numbers are, if it is a mask's."""
        inputs = data(node)
        if node.op in _SELECTS:
            return inputs[1] if self._is_whole(inputs[0]) else None
        if node.op == "Mul":
            for mask, rest in (inputs, inputs[::-1]):
                if self._is_whole(mask):
                    return rest
        return None

    def thresholds(self, mask: Any) -> Iterator[Tensor]:
        """What uniform random numbers are compared with, or added to."""
        inputs = data(mask)
        if mask.op == "GreaterEqual":
            if self._is_uniform(inputs[0]):
                yield inputs[1]
        elif mask.op == "Floor" and self._nodes[inputs[0].node].op in _ADDS:
            added = data(self._nodes[inputs[0].node])
            for random, rest in (added, added[::-1]):
                if self._is_uniform(random):
                    yield rest

    def _is_whole(self, tensor: Tensor) -> bool:
        """Whether a mask lets everything through."""
        mask = self._followed(tensor)
        if mask.op not in ("GreaterEqual", "Floor"):
            return False
        whole = 0.0 if mask.op == "GreaterEqual" else 1.0
        return any(self._number(side) == whole for side in self.thresholds(mask))

    def _is_uniform(self, tensor: Tensor) -> bool:
        """Whether it is RandomUniform, from 0 up to but never 1, perhaps times 1 and plus 0."""
        node = self._followed(tensor)
        for op, neutral in (("Add", 0.0), ("AddV2", 0.0), ("Mul", 1.0)):
            if node.op == op:
                pairs = (data(node), data(node)[::-1])
                return any(self._number(n) == neutral and self._is_uniform(r) for r, n in pairs)
        return node.op in _UNIFORM

    def _number(self, tensor: Tensor) -> float | None:
        """A scalar of constants and differences of them."""
        node = self._followed(tensor)
        if node.op == "Const":
            values = value_of(node)
            return float(values) if not values.shape and values.dtype.kind in "fi" else None
        if node.op == "Sub":
            first, second = map(self._number, data(node))
            return None if first is None or second is None else first - second
        return None

    def _followed(self, tensor: Tensor) -> Any:
        node = self._nodes[tensor.node]
        while node.op in _PASSING:
            node = self._nodes[data(node)[0].node]
        return node
