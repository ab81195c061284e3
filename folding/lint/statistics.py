"""Statistics and scales of the normalisations in the graph: never updated, drowned by epsilon, 0.

    s = gamma / sqrt(variance + epsilon)

Of a normalisation that is one node all numbers are there. Of one that was taken apart only s is
left; where gamma was not trained either, it still tells a variance of 1 or of 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from folding.chains import Chain
from folding.lint.finding import Code, Finding
from folding.lint.graphs import Graph, count_of
from folding.plan import Kept, Kind, Reason
from folding.protos import number

Numbers = npt.NDArray[np.float64]

#: What frameworks begin with, and what is far from all that is in use.
_USUAL = (1e-3, 1e-5)
LEAST_EPSILON, MOST_EPSILON = 1e-8, 5e-3
#: An epsilon that changes no float32 is one that a tool put there, which expresses an affine so.
_NO_EPSILON = 1e-12
_DEFAULT_EPSILON = float(np.float32(1e-5))
_FLOAT32 = 2e-7
#: A longer run is no normalisation that an exporter took apart.
_LONGEST = 16
_KEEP_POSITIVE = "keep gamma positive where a pool stands between it and the layer"


class Parts(NamedTuple):
    """The numbers of a normalisation, one for each channel."""

    gamma: Numbers
    mean: Numbers
    variance: Numbers
    epsilon: float


def statistics(graph: Graph) -> Iterator[Finding]:
    """What the numbers of each normalisation say."""
    for chain in graph.norms():
        name = graph.name(chain)
        parts = _parts(graph, chain) if chain.kind is Kind.BATCH_NORM else None
        if parts is not None:
            gamma: Numbers | None = parts.gamma
            yield from of_statistics(name, parts.mean, parts.variance, parts.epsilon)
            yield from of_epsilon(name, parts.variance, parts.epsilon)
        else:
            gamma = _scale(graph, chain)
            yield from _of_scale(name, gamma)
        yield from _nonpositive(graph, chain, gamma)


def of_statistics(
    at: str, mean: Numbers, variance: Numbers, epsilon: float | None
) -> Iterator[Finding]:
    """Statistics that are as they were before the first step."""
    if epsilon is not None and epsilon <= _NO_EPSILON:
        return
    if not mean.any() and (variance == 1).all():
        cause = "its mean is 0 and its variance 1 in every channel, as before the first update"
        yield Finding(Code.STATISTICS_AT_INITIAL, at, cause)
    elif not mean.any() and not variance.any():
        cause = "its mean and its variance are 0 in every channel: averages that began at 0"
        yield Finding(Code.AVERAGE_FROM_ZERO, at, cause)


def of_epsilon(at: str, variance: Numbers, epsilon: float) -> Iterator[Finding]:
    """An epsilon that nobody uses, or that is larger than what it is added to."""
    if _NO_EPSILON < epsilon < LEAST_EPSILON or epsilon > MOST_EPSILON:
        yield Finding(Code.UNUSUAL_EPSILON, at, f"its epsilon is {epsilon:.3g}")
    small = variance < epsilon
    if small.any() and variance.any():
        cause = f"its variance is less than its epsilon of {epsilon:.3g} in {count_of(small)}"
        yield Finding(Code.EPSILON_DOMINATES, at, cause)


def _parts(graph: Graph, chain: Chain) -> Parts | None:
    """The numbers of a run that has a BatchNormalization, unless they are too many."""
    for index in chain.nodes:
        if graph.scope.operators[index] == "BatchNormalization":
            node = graph.scope.nodes[index]
            values = [graph.numbers(name) for name in node.input[1:5]]
            gamma, _, mean, variance = (None if v is None else v.high for v in values)
            if gamma is not None and mean is not None and variance is not None:
                return Parts(gamma, mean, variance, number(node, "epsilon", _DEFAULT_EPSILON))
    return None


def _scale(graph: Graph, chain: Chain) -> Numbers | None:
    """What a run multiplies each channel by; None if it is long, or its numbers are no use."""
    if len(chain.nodes) > _LONGEST:
        return None
    whole = graph.seen.steps.compose(chain.nodes)
    return None if isinstance(whole, Kept) or whole.axis is None else whole.scale.high


def _of_scale(at: str, scale: Numbers | None) -> Iterator[Finding]:
    """A scale that is the same for all channels, and what no training makes of one."""
    if scale is None or scale.size < 2 or not (scale == scale.ravel()[0]).all():  # noqa: PLR2004
        return
    for epsilon in _USUAL:
        for variance, code in ((1, Code.STATISTICS_AT_INITIAL), (0, Code.AVERAGE_FROM_ZERO)):
            if np.allclose(scale, (variance + epsilon) ** -0.5, rtol=_FLOAT32, atol=0):
                cause = (
                    f"its scale is 1 / sqrt({variance} + {epsilon:g}) in every channel, as a"
                    f" variance of {variance} gives that no training step has changed"
                )
                yield Finding(code, at, cause)


def _nonpositive(graph: Graph, chain: Chain, gamma: Numbers | None) -> Iterator[Finding]:
    """A scale of 0, whose channel is the same for all data; or a negative one that matters."""
    if gamma is not None and (gamma == 0).any():
        cause = f"its scale is 0 in {count_of(np.ravel(gamma == 0))}, so it is constant there"
        yield Finding(Code.NONPOSITIVE_SCALE, graph.name(chain), cause)
    stop = graph.obstacle(chain, (Reason.NEGATIVE_SCALE,))
    if stop is not None:
        cause = (
            f"a scale of it is negative, and so it does not pass {stop.operator} {stop.at!r}"
            " on its way to a layer"
        )
        yield Finding(Code.NONPOSITIVE_SCALE, graph.name(chain), cause, _KEEP_POSITIVE)
