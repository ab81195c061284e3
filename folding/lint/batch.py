"""Normalisation by the statistics of the batch that is being computed: training left on.

    x ──┬── ReduceMean over the batch ── ... ── Sqrt ──┐
        └────────────────────────────────────────── Mul or Div

or a BatchNormalization in training mode, or one whose mean is such a mean. A mean over other axes
alone is that of a layer, group or instance normalisation, which is as it should be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from folding.floats import FLOATS
from folding.lint.finding import Code, Finding
from folding.lint.graphs import Graph
from folding.lint.way_up import LAYERS
from folding.live import PASSING, ROOTS
from folding.plan import Kept, Reason
from folding.protos import integers

_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceSumSquare"})
_STATISTICS = slice(3, 5)


@dataclass(slots=True)
class _Values:
    """Values of one graph: what layers had a part in, means over the batch, and their roots."""

    learned: set[str] = field(default_factory=set)
    means: set[str] = field(default_factory=set)
    roots: set[str] = field(default_factory=set)


def batch_statistics(graph: Graph) -> Iterator[Finding]:
    """Every normalisation that the other examples of a batch have a part in."""
    values = _Values()
    for index in range(len(graph.scope.nodes)):
        if index in graph.dead:
            continue
        cause = _cause(graph, index, values)
        if cause:
            yield Finding(Code.BATCH_STATISTICS, graph.title(index), cause)
        _sort(graph, index, values)


def _cause(graph: Graph, index: int, values: _Values) -> str:
    """Why a node is such a normalisation, or nothing."""
    scope = graph.scope
    reads = scope.reads[index]
    if scope.is_own(index, "BatchNormalization"):
        step = graph.seen.steps.steps.get(index)
        if isinstance(step, Kept) and step.reason is Reason.TRAINING_MODE:
            return "this BatchNormalization is in training mode: it normalises by each batch"
        if not values.means.isdisjoint(reads[_STATISTICS]):
            return "its mean and variance are computed from each batch"
    elif scope.is_own(index, "Div", "Mul"):
        data = {name for name in reads if name not in graph.constants} - values.roots
        if data and len(data) < len(set(reads)) and not (data & values.means):
            roots = [name for name in reads if name in values.roots]
            if roots:
                return f"it is scaled by {roots[0]!r}, which is computed from each batch"
    return ""


def _sort(graph: Graph, index: int, values: _Values) -> None:
    """Say of the outputs of a node what they are."""
    scope = graph.scope
    operator, made = scope.operators[index], [name for name in scope.makes[index] if name]
    reads = [name for name in scope.reads[index] if name and name not in graph.constants]
    if operator in LAYERS or not values.learned.isdisjoint(reads):
        values.learned.update(made)
    if not reads or index in scope.foreign:
        return
    statistics = values.means | values.roots if operator in ROOTS | PASSING else set()
    if operator in _REDUCTIONS and reads[0] in values.learned and _is_over_batch(graph, index):
        values.means.update(made)
    elif operator in ROOTS and statistics.issuperset(reads):
        values.roots.update(made)
    elif operator in PASSING and statistics.issuperset(reads):
        group = values.means if values.means.issuperset(reads) else values.roots
        group.update(made)


def _is_over_batch(graph: Graph, index: int) -> bool:
    """Whether a mean is over the first axis, but not over all, of more than one example."""
    scope = graph.scope
    data = scope.reads[index][0]
    shape, axes = scope.shape(data), _axes(graph, index)
    if shape is None or not axes or scope.type(data) not in FLOATS:
        return False
    over = {axis % len(shape) for axis in axes}
    return 0 in over and len(over) < len(shape) and shape[0] != 1


def _axes(graph: Graph, index: int) -> tuple[int, ...]:
    """The axes of a reduction, an attribute or an input; none if all or not known."""
    given = integers(graph.scope.nodes[index], "axes")
    reads = graph.scope.reads[index]
    if given is None and len(reads) > 1 and reads[1] in graph.constants:
        value = graph.constants.value(reads[1])
        if isinstance(value, np.ndarray):
            return tuple(int(axis) for axis in value.ravel())
    return given or ()
