"""What draws at random whenever the model is run: dropout and noise that were left on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from folding.lint.finding import Code, Finding
from folding.lint.graphs import Graph
from folding.protos import RANDOM, integer

#: Since then the mode of a Dropout is an input, since before that it never drops anything.
_MODE_IS_INPUT_SINCE, _NEVER_SINCE = 12, 7


def randomness(graph: Graph) -> Iterator[Finding]:
    """Every node whose results are read and drawn."""
    for index in graph.live():
        if graph.scope.is_own(index, *RANDOM):
            cause = f"{graph.scope.operators[index]} draws other numbers in each run"
            yield Finding(Code.RANDOM_AT_INFERENCE, graph.title(index), cause)
        elif graph.scope.is_own(index, "Dropout") and _is_active(graph, index):
            cause = "this Dropout is active: it drops other values in each run"
            yield Finding(Code.RANDOM_AT_INFERENCE, graph.title(index), cause)


def _is_active(graph: Graph, index: int) -> bool:
    """Whether a Dropout is in training mode for certain, at a rate that drops anything."""
    opset = graph.scope.opset
    if opset < _NEVER_SINCE:
        return not integer(graph.scope.nodes[index], "is_test", 0)
    if opset < _MODE_IS_INPUT_SINCE:
        return False
    _, ratio, mode, *_ = (*graph.scope.reads[index], "", "")
    rate = graph.numbers(ratio)
    return _is_true(graph, mode) and not (rate is not None and rate.equals(0))


def _is_true(graph: Graph, name: str) -> bool:
    value = graph.constants.value(name) if name in graph.constants else None
    return isinstance(value, np.ndarray) and bool(value.any())
