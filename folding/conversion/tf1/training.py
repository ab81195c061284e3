"""Which value of a flag is the one at inference, as far as the graph itself tells it.

One side of a training flag measures the batch, draws random numbers or updates variables, and the
other does none of that, but reads whatever weights the first one reads: it is the one to keep. A
flag that takes layers away, too, is a choice of the network's, and not for us to make. Where the
sides do not tell, the name may.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np

from folding.conversion.tf1.conditions import compared
from folding.conversion.tf1.nodes import Graph, Tensor, data, followed, in_order, value_of
from folding.conversion.tf1.randomness import draws
from folding.conversion.tf1.specialise import specialised
from folding.conversion.tf1.variables import VARIABLES

_UPDATES = re.compile(r"(Resource)?(Assign|Scatter)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_TRAINING = frozenset({"train", "training", "istrain", "istraining", "learning", "phase"})
_INFERENCE = frozenset({"infer", "inference", "isinference", "eval", "evaluate", "evaluating"}) | {
    "evaluation", "test", "testing", "istest", "predict", "predicting", "prediction", "serving",
}  # fmt: skip
_NEGATIONS = frozenset({"no", "non", "not"})


def at_inference(graph: Graph, flag: str, outputs: Sequence[Tensor]) -> bool | None:
    """The value of a truth flag that computes some outputs as at inference, None if unclear."""
    told = _by_sides(graph, flag, outputs)
    return _by_name(flag) if told is None else told


def mode_at_inference(graph: Graph, flag: str, default: Any, outputs: Sequence[Tensor]) -> Any:
    """The value of a flag that is a number or text, at inference: its default, if that trains not.

    Else it is another that it is compared with, or none of these; None if those differ.
    """
    known = compared(graph.nodes, flag)
    others = [*known, *_unlike([*known, default.item()])]
    usual = _Side(graph, flag, outputs, default)
    sides = {value: _Side(graph, flag, outputs, _typed(value, default)) for value in others}
    found = {value: side for value, side in sides.items() if side.is_inference_of(usual)}
    if not found:
        return default
    run = {frozenset(side.run) for side in found.values()}
    return _typed(next(iter(found)), default) if len(run) == 1 else None


def _typed(value: Any, default: Any) -> Any:
    return value if isinstance(value, bytes) else np.asarray(value, default.dtype)


def _unlike(values: Sequence[Any]) -> list[Any]:
    """A value that is none of some."""
    if isinstance(values[0], bytes):
        return [b"inference"]
    return [next(number for number in count() if number not in values)]


def _by_name(flag: str) -> bool | None:
    words = {word.lower() for word in _WORD.findall(flag.rpartition("/")[2])}
    if words & _NEGATIONS:
        return None
    if words & _INFERENCE:
        return None if words & (_TRAINING - {"phase"}) else True
    return False if words & _TRAINING else None


def _by_sides(graph: Graph, flag: str, outputs: Sequence[Tensor]) -> bool | None:
    on, off = (_Side(graph, flag, outputs, value) for value in (True, False))
    for one, other, value in ((on, off, False), (off, on, True)):
        if other.is_inference_of(one):
            return value
    return None


class _Side:
    """What is computed with a flag set: the marks of training in it, and the weights it reads."""

    def __init__(self, graph: Graph, flag: str, outputs: Sequence[Tensor], value: object) -> None:
        self._graph, instead = specialised(graph, {flag: value})
        ends = [followed(instead, output).node for output in outputs]
        living = [name for name in ends if name in self._graph.nodes]
        self.run = list(in_order(self._graph, living))
        nodes = map(self._graph.nodes.__getitem__, self.run)
        self.marks = Counter(mark for node in nodes if (mark := self._mark(node)))
        self.weights = set(self._weights(living))

    def is_inference_of(self, other: _Side) -> bool:
        """Whether the other does what is done in training only, and reads no other weights."""
        return self.marks < other.marks and other.weights <= self.weights

    def _mark(self, node: Any) -> str:
        """What a node does that is done in training only, or nothing."""
        if _UPDATES.match(node.op):
            return "updates"
        if draws(node):
            return "draws"
        is_fused = node.op.startswith("FusedBatchNorm") and node.attr["is_training"].b
        return "measures" if is_fused or self._is_of_batch(node) else ""

    def _is_of_batch(self, node: Any) -> bool:
        """Whether a node is a mean over examples."""
        if node.op != "Mean":
            return False
        axes = self._graph.nodes[data(node)[1].node]
        return axes.op == "Const" and bool(np.any(value_of(axes) == 0))

    def _weights(self, ends: Iterable[str]) -> Iterable[str]:
        """The variables and arrays that are read for the outputs, not for updates."""
        wanted, seen = list(ends), set(ends)
        while wanted:
            node = self._graph.nodes[wanted.pop()]
            if node.op in VARIABLES or _is_array(node):
                yield node.name
            new = {tensor.node for tensor in data(node)} - seen
            wanted.extend(new)
            seen |= new


def _is_array(node: Any) -> bool:
    if node.op != "Const":
        return False
    values = value_of(node)
    return bool(values.dtype.kind == "f" and values.size > 1)
