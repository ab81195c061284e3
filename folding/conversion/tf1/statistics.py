"""What the normalisations of a graph hold, while each of their constants still has a name.

    FusedBatchNorm(x, gamma, beta, mean, variance)
    x * (rsqrt(variance + epsilon) * gamma) + (beta - mean * ...)      as tf.nn writes it
    gamma * (x - mean) / sqrt(variance + epsilon) + beta               as people write it

Each is found from its root, which must be of constants: a root of live statistics is none of ours.
A variance that is squared, or an epsilon outside of the root, is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from folding.conversion.tf1.nodes import Graph, Tensor, data, value_of

_ADDS = ("Add", "AddV2")
_DIVIDES = ("RealDiv", "Div")
#: What leaves the values of a constant as they are, apart from their arrangement.
_KEEPING = frozenset(
    {"Identity", "StopGradient", "Reshape", "ExpandDims", "Squeeze", "Cast", "Tile", "BroadcastTo"}
)
#: What changes nothing of the other operand.
_NEUTRAL = {"Mul": 1, "Add": 0, "AddV2": 0}
_FUSED_INPUTS = {"gamma": 1, "beta": 2, "mean": 3, "variance": 4}
_FUSED_EPSILON = 1e-4
_SQUARE = 2.0


@dataclass
class Found:
    """A normalisation: the nodes that hold its arrays, and how it computes."""

    at: str
    nodes: dict[str, str] = field(default_factory=dict)
    epsilon: float | None = None
    formula: str = ""


class Normalisations:
    """Those of a graph without flags and variables."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._readers: dict[str, list[Any]] = {}
        for node in graph.nodes.values():
            for tensor in data(node):
                self._readers.setdefault(tensor.node, []).append(node)

    def __iter__(self) -> Iterator[Found]:
        for node in self._graph.nodes.values():
            found = self._fused(node) if node.op.startswith("FusedBatchNorm") else None
            if node.op in ("Sqrt", "Rsqrt"):
                found = self._rooted(node)
            if found is not None and {"mean", "variance"} <= found.nodes.keys():
                yield found

    def _fused(self, node: Any) -> Found | None:
        if node.attr["is_training"].b:
            return None
        inputs = data(node)
        arrays = {role: self._constant(inputs[place]) for role, place in _FUSED_INPUTS.items()}
        given = node.attr["epsilon"].f if "epsilon" in node.attr else _FUSED_EPSILON
        known = {role: name for role, name in arrays.items() if name}
        return Found(node.name, known, _shortest(given))

    def _rooted(self, root: Any) -> Found | None:
        """From the root of a variance to the arrays around it."""
        found = Found(root.name)
        (inner,) = data(root)
        variance, epsilon = self._sum(inner)
        scale = root
        if epsilon is None:
            scale = next((n for n in self._read(root) if n.op in _ADDS), root)
            _, epsilon = self._sum(Tensor(scale.name))
            found.formula = "epsilon_outside_root" if epsilon is not None else ""
        squared = self._squared(variance)
        if squared is not None:
            variance, found.formula = squared, "variance_squared"
        constant = self._constant(variance)
        if constant is None or epsilon is None:
            return None
        found.nodes["variance"], found.epsilon = constant, epsilon
        self._scales(found, scale)
        return found

    def _sum(self, tensor: Tensor) -> tuple[Tensor, float | None]:
        """The variance and the epsilon that are added, or a tensor and nothing."""
        node = self._graph.nodes[tensor.node]
        if node.op in _ADDS:
            for first, second in (data(node), data(node)[::-1]):
                epsilon = self._scalar(second)
                if epsilon is not None:
                    return first, epsilon
        return tensor, None

    def _squared(self, tensor: Tensor) -> Tensor | None:
        node = self._graph.nodes[tensor.node]
        inputs = data(node)
        is_square = (
            node.op == "Square"
            or (node.op == "Mul" and inputs[0] == inputs[1])
            or (node.op == "Pow" and self._scalar(inputs[1]) == _SQUARE)
        )
        return inputs[0] if is_square else None

    def _scales(self, found: Found, scale: Any) -> None:
        """Follow what is made of a root, or of a root times gamma."""
        for node in self._read(scale):
            if node.op in _DIVIDES and data(node)[1].node == scale.name:
                self._applied(found, node, data(node)[0])
            elif node.op == "Mul":
                other = self._other(node, scale)
                constant, negated = self._constant(other), self._negated(other)
                if negated is not None:
                    found.nodes["mean"] = negated
                elif constant is None:
                    self._applied(found, node, other)
                elif self._subtracted(found, node):
                    found.nodes["mean"] = constant
                else:
                    found.nodes["gamma"] = constant
                    self._scales(found, node)

    def _negated(self, tensor: Tensor) -> str | None:
        """The mean of what tf.nn writes without a beta: x * scale + -mean * scale."""
        node = self._graph.nodes[tensor.node]
        return self._constant(data(node)[0]) if node.op == "Neg" else None

    def _subtracted(self, found: Found, product: Any) -> bool:
        """Whether something is mean times scale: then it is taken from beta, or just negated."""
        for node in self._read(product):
            if node.op == "Neg":
                return True
            if node.op == "Sub" and data(node)[1].node == product.name:
                self._note(found, "beta", data(node)[0])
                return True
        return False

    def _applied(self, found: Found, node: Any, centred: Tensor) -> None:
        """Data is scaled: look for a mean and gamma before that, for gamma and beta after it."""
        before = self._graph.nodes[centred.node]
        if before.op == "Mul":
            for factor, rest in (data(before), data(before)[::-1]):
                if self._note(found, "gamma", factor):
                    before = self._graph.nodes[rest.node]
                    break
        if before.op == "Sub":
            self._note(found, "mean", data(before)[1])
        for reader in self._read(node):
            if reader.op == "Mul" and self._note(found, "gamma", self._other(reader, node)):
                self._shifted(found, reader)
        self._shifted(found, node)

    def _shifted(self, found: Found, node: Any) -> None:
        for reader in self._read(node):
            if reader.op in (*_ADDS, "BiasAdd"):
                self._note(found, "beta", self._other(reader, node))

    def _note(self, found: Found, role: str, tensor: Tensor) -> bool:
        constant = self._constant(tensor)
        if constant is not None:
            found.nodes.setdefault(role, constant)
        return constant is not None

    def _read(self, node: Any) -> list[Any]:
        return self._readers.get(node.name, [])

    def _other(self, node: Any, one: Any) -> Tensor:
        first, second = data(node)[:2]
        return second if first.node == one.name else first

    def _constant(self, tensor: Tensor) -> str | None:
        """The name of the constant that a tensor is, or is arranged from."""
        node = self._graph.nodes[tensor.node]
        while node.op in _KEEPING or node.op in _NEUTRAL:
            rest = data(node)[0] if node.op in _KEEPING else self._beside_neutral(node)
            if rest is None:
                return None
            node = self._graph.nodes[rest.node]
        return str(node.name) if node.op == "Const" else None

    def _beside_neutral(self, node: Any) -> Tensor | None:
        """What is multiplied by one, or added to zero, as renorm does it at inference."""
        for neutral, rest in (data(node), data(node)[::-1]):
            if self._is_all(neutral, _NEUTRAL[node.op]):
                return rest
        return None

    def _is_all(self, tensor: Tensor, number: int) -> bool:
        node = self._graph.nodes[tensor.node]
        while node.op in _KEEPING:
            node = self._graph.nodes[data(node)[0].node]
        if node.op == "Mul" and not number:
            return any(self._is_all(factor, 0) for factor in data(node))
        return node.op == "Const" and bool((value_of(node) == number).all())

    def _scalar(self, tensor: Tensor) -> float | None:
        name = self._constant(tensor)
        values = None if name is None else value_of(self._graph.nodes[name])
        if values is None or values.shape or values.dtype.kind not in "fi":
            return None
        return _shortest(values)


def _shortest(value: Any) -> float:
    """A float as short as it was written before it was rounded to its type."""
    return float(str(np.float32(value)))
