"""How the statistics of a training graph were averaged: momentum, and where they began.

An update is ``variable -= (variable - value) * (1 - momentum)``, by a layer or by an
ExponentialMovingAverage. It runs in training only, so it is looked for with the flags set to true,
and with those that say inference set to false.
"""

from __future__ import annotations

import numpy as np

from folding.conversion.tf1.conditions import conditions
from folding.conversion.tf1.flags import is_truth
from folding.conversion.tf1.loading import Loaded
from folding.conversion.tf1.nodes import Tensor, data, value_of
from folding.conversion.tf1.specialise import specialised

_ASSIGN = ("Assign", "AssignVariableOp")
_SUBTRACT = ("AssignSub", "AssignSubVariableOp")
_PASSING = ("Identity", "Cast", "ReadVariableOp")
_STEP = "global_step"


class Averages:
    """The moving averages of a graph by the names of their variables."""

    def __init__(self, loaded: Loaded) -> None:
        deciding = conditions(loaded.graph.nodes)
        truths = [name for name in deciding if is_truth(loaded.graph.nodes[name])]
        self._loaded = loaded
        self._weights: dict[str, float] = {}
        for value in (False, True):
            self._graph, _ = specialised(loaded.graph, dict.fromkeys(truths, value))
            self._weights |= self._found()

    def momentum(self, variable: str) -> float | None:
        """The weight of what was there before, if it is a constant."""
        weight = self._weights.get(variable)
        return None if weight is None else float(str(np.float32(1 - weight)))

    def began_at_zero(self, variable: str) -> bool:
        """Whether an average began at 0, and is never corrected for that."""
        return variable in self._weights and any(
            node.op in _ASSIGN and data(node)[0].node == variable and self._is_zero(data(node)[1])
            for node in self._graph.nodes.values()
        )

    @property
    def steps(self) -> int | None:
        """How many steps of training the checkpoint has seen, if it counts them."""
        checkpoint = self._loaded.checkpoint
        if checkpoint is None or not checkpoint.has_tensor(_STEP):
            return None
        return int(checkpoint.get_tensor(_STEP))

    def _found(self) -> dict[str, float]:
        """By variable, the weight of a new value."""
        weights: dict[str, float] = {}
        for node in self._graph.nodes.values():
            if node.op in _SUBTRACT:
                variable, change = data(node)[:2]
                product = self._graph.nodes[change.node]
                if product.op == "Mul":
                    for weight in map(self._number, data(product)):
                        if weight is not None:
                            weights[variable.node] = weight
        return weights

    def _number(self, tensor: Tensor) -> float | None:
        """A scalar of constants: a decay, or one minus a momentum."""
        node = self._graph.nodes[tensor.node]
        inputs = data(node)
        if node.op == "Const":
            values = value_of(node)
            is_number = not values.shape and values.dtype.kind in "fi"
            return float(str(values)) if is_number else None
        if node.op in _PASSING:
            return self._number(inputs[0])
        if node.op == "Sub":
            first, second = map(self._number, inputs)
            return None if first is None or second is None else first - second
        return None

    def _is_zero(self, tensor: Tensor) -> bool:
        node = self._graph.nodes[tensor.node]
        while node.op in _PASSING:
            node = self._graph.nodes[data(node)[0].node]
        if node.op == "Fill":
            node = self._graph.nodes[data(node)[1].node]
        return node.op == "Const" and not np.any(value_of(node))
