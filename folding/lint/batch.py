"""Normalisation by the statistics of the batch that is being computed: training left on.

    x ──┬── ReduceMean over the batch ── ... ── Sqrt ──┐
        └────────────────────────────────────────── Mul or Div

or a BatchNormalization in training mode, or one whose mean is such a mean. A mean over other axes
alone is that of a layer, group or instance normalisation, which is as it should be.

What is normalised before any layer may be data that are prepared, such as a recording, whose first
axis is time. So there it takes a gamma or a beta, or a mean over all axes of an image but one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from folding.floats import FLOATS
from folding.lint.finding import Code, Finding
from folding.lint.graphs import Graph
from folding.lint.way_up import LAYERS
from folding.live import PASSING, ROOTS
from folding.plan import Kept, Reason
from folding.protos import integers

_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceSumSquare"})
_BODIES = frozenset({"If", "Loop", "Scan"})
_STATISTICS = slice(3, 5)
_SCALING, _SHIFTING = ("Div", "Mul"), ("Add", "Sub")
#: How many axes an image has, with its batch and its channels.
_IMAGES = 4


class _Values(NamedTuple):
    """Values of one graph: what layers had a part in, means over the batch, and their roots.

    Of means and roots those are ``bare`` that may be of data that are prepared.
    """

    learned: set[str]
    means: set[str]
    roots: set[str]
    bare: set[str]


def batch_statistics(graphs: Iterable[Graph]) -> Iterator[Finding]:
    """Every normalisation that the other examples of a batch have a part in; outer graphs first."""
    known: dict[int, _Values] = {}
    for graph in graphs:
        values = known[id(graph)] = _begun(graph, known)
        for index in graph.live():
            cause = _cause(graph, index, values)
            if cause:
                yield Finding(Code.BATCH_STATISTICS, graph.title(index), cause)
            _sort(graph, index, values)


def _begun(graph: Graph, known: Mapping[int, _Values]) -> _Values:
    """What the values are that a body reads from outside."""
    begun = _Values(set(), set(), set(), set())
    outside = {name for name in graph.scope.readers if not graph.scope.has(name)}
    outer = graph.outer
    while outer is not None:
        for names, found in zip(begun, known[id(outer)], strict=True):
            names.update(outside & found)
        outer = outer.outer
    return begun


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
            if roots and (roots[0] not in values.bare or _is_trained(graph, index)):
                return f"it is scaled by {roots[0]!r}, which is computed from each batch"
    return ""


def _sort(graph: Graph, index: int, values: _Values) -> None:
    """Say of the outputs of a node what they are."""
    scope = graph.scope
    operator, made = scope.operators[index], [name for name in scope.makes[index] if name]
    reads = [name for name in scope.reads[index] if name and name not in graph.constants]
    is_around = operator in _BODIES and values.learned
    if is_around or operator in LAYERS or not values.learned.isdisjoint(reads):
        values.learned.update(made)
    if not reads or index in scope.foreign:
        return
    statistics = values.means | values.roots if operator in ROOTS | PASSING else set()
    if operator in _REDUCTIONS:
        if _is_over_batch(graph, index):
            values.means.update(made)
            if reads[0] not in values.learned and not _is_of_images(graph, index):
                values.bare.update(made)
    elif statistics.issuperset(reads):
        is_mean = operator not in ROOTS and values.means.issuperset(reads)
        (values.means if is_mean else values.roots).update(made)
        if not values.bare.isdisjoint(reads) and not _has_vector(graph, index, *_SCALING):
            values.bare.update(made)


def _is_over_batch(graph: Graph, index: int) -> bool:
    """Whether a mean is over the first axis, but not over all, of more than one example."""
    scope = graph.scope
    data = scope.reads[index][0]
    shape, axes = scope.shape(data), _axes(graph, index)
    if not shape or not axes or scope.type(data) not in FLOATS:
        return False
    over = {axis % len(shape) for axis in axes}
    return 0 in over and len(over) < len(shape) and shape[0] != 1


def _is_of_images(graph: Graph, index: int) -> bool:
    """Whether a mean is over all axes but one of something with positions."""
    shape = graph.scope.shape(graph.scope.reads[index][0]) or ()
    return len(shape) >= _IMAGES and len(_axes(graph, index)) == len(shape) - 1


def _is_trained(graph: Graph, index: int) -> bool:
    """Whether what a node scales is scaled or shifted by a vector of constants after that."""
    scope = graph.scope
    for reader in scope.readers.get(scope.makes[index][0], ()):
        beside = (scope.producers.get(name) for name in scope.reads[reader])
        if _has_vector(graph, reader, *_SHIFTING, *_SCALING) or (
            scope.is_own(reader, *_SHIFTING)
            and any(n is not None and _has_vector(graph, n, *_SHIFTING) for n in beside)
        ):
            return True
    return False


def _has_vector(graph: Graph, index: int, *operators: str) -> bool:
    """Whether a node is one of some operators, and one of its factors or summands a gamma."""
    if not graph.scope.is_own(index, *operators):
        return False
    constants = (name for name in graph.scope.reads[index] if name in graph.constants)
    sizes = map(graph.constants.dims, constants)
    return any(size is not None and len(size) - size.count(1) == 1 for size in sizes)


def _axes(graph: Graph, index: int) -> tuple[int, ...]:
    """The axes of a reduction, an attribute or an input; none if all or not known."""
    given = integers(graph.scope.nodes[index], "axes")
    reads = graph.scope.reads[index]
    if given is None and len(reads) > 1 and reads[1] in graph.constants:
        value = graph.constants.value(reads[1])
        if isinstance(value, np.ndarray):
            return tuple(int(axis) for axis in value.ravel())
    return given or ()
