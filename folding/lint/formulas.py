"""Formulas of normalisations that are still in the graph, and are not what was meant.

    sqrt(v * v + epsilon)       the variance, squared once more
    sqrt(v) + epsilon           epsilon outside of the root
    sqrt(v + epsilon)           as it should be: v and epsilon are as they are in a node

They are computed from constants, so a converter often leaves only the result. What is not there
any more is not found.
"""

from __future__ import annotations

from collections.abc import Iterator

from folding.lint.finding import Code, Finding
from folding.lint.graphs import Graph
from folding.lint.statistics import of_epsilon

_ROOTS = {0.5, -0.5}
_LARGEST_EPSILON = 0.5


def formulas(graph: Graph) -> Iterator[Finding]:
    """Every root of a vector of constants, which a normalisation divides by."""
    read = _read_by_norms(graph)
    for index in graph.constants.expressions:
        if index in read and _is_root(graph, index):
            yield from _root(graph, index)


def _read_by_norms(graph: Graph) -> set[int]:
    """The nodes that compute what normalisations scale and shift by."""
    scope, found = graph.scope, set[int]()
    expressions = set(graph.constants.expressions)
    waiting = [index for chain in graph.norms() for index in chain.nodes]
    while waiting:
        for name in scope.reads[waiting.pop()]:
            index = scope.producers.get(name)
            if index in expressions and index not in found:
                found.add(index)
                waiting.append(index)
    return found


def _root(graph: Graph, index: int) -> Iterator[Finding]:
    """What is so at ``sqrt(...)``."""
    name, below = graph.scope.makes[index][0], graph.scope.reads[index][0]
    inside = _added_below(graph, below)
    for reader in graph.scope.readers.get(name, ()) if inside is None else ():
        epsilon = _added(graph, reader, name)
        if epsilon is not None:
            cause = f"its epsilon of {epsilon:.3g} is added to the root {name!r}, not below it"
            yield Finding(Code.EPSILON_OUTSIDE_ROOT, graph.title(reader), cause)
    spread, epsilon = inside or (below, 0.0)
    if _is_square(graph, spread):
        cause = f"what is below the root is the square {spread!r}"
        yield Finding(Code.VARIANCE_SQUARED, graph.title(index), cause)
    elif inside and (variance := graph.numbers(spread)) is not None and (variance.high >= 0).all():
        yield from of_epsilon(graph.title(index), variance.high, epsilon)


def _is_root(graph: Graph, index: int) -> bool:
    scope = graph.scope
    made = graph.constants.dims(scope.makes[index][0])
    if made is None or len(made) - made.count(1) != 1:
        return False
    if scope.is_own(index, "Sqrt"):
        return True
    power = scope.reads[index][1] if scope.is_own(index, "Pow") else ""
    value = graph.numbers(power)
    return value is not None and value.size == 1 and float(value.high.ravel()[0]) in _ROOTS


def _added_below(graph: Graph, name: str) -> tuple[str, float] | None:
    """What an epsilon is added to, and that, if a value is such a sum."""
    index = graph.scope.producers.get(name)
    if index is None or not graph.scope.is_own(index, "Add"):
        return None
    for other in graph.scope.reads[index]:
        epsilon = _added(graph, index, other)
        if epsilon is not None:
            return other, epsilon
    return None


def _added(graph: Graph, index: int, name: str) -> float | None:
    """The small number that a node adds to a value, if it does."""
    reads = graph.scope.reads[index]
    if not graph.scope.is_own(index, "Add") or name not in reads:
        return None
    value = graph.numbers(reads[1 - reads.index(name)])
    if value is None or value.size != 1:
        return None
    found = float(value.high.ravel()[0])
    return found if 0 < found < _LARGEST_EPSILON else None


def _is_square(graph: Graph, name: str) -> bool:
    scope, index = graph.scope, graph.scope.producers.get(name)
    if index is None:
        return False
    reads = scope.reads[index]
    if scope.is_own(index, "Mul"):
        return reads[0] == reads[1]
    value = graph.numbers(reads[1]) if scope.is_own(index, "Pow") else None
    return value is not None and value.equals(2)
