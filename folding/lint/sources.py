"""What the statistics of a source say, before a converter has computed them into something else.

A moving average keeps ``momentum ** steps`` of what it began with. What it would be without that
beginning is computed on request, never by itself: the model was trained with it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from folding.conversion.job import Product, Statistics
from folding.lint.finding import Code, Finding
from folding.lint.graphs import count_of
from folding.lint.statistics import of_epsilon, of_statistics

Arrays = Mapping[str, npt.NDArray[np.float64]]

#: How much of the beginning may be left in an average.
_WARM = 0.01
_ROUNDING = 1e-4
_CORRECT = "train longer, or convert it with --correct-averages, which takes the beginning away"


def in_source(product: Product, folder: Path) -> list[Finding]:
    """What is so at each normalisation of a source; ``folder`` is that of the job."""
    found = [f for s in product.statistics for f in of_source(s, arrays_of(s, folder))]
    if product.declares_normalisation and not product.statistics:
        cause = "the source declares a normalisation, but its outputs do not depend on any"
        found.append(Finding(Code.NORM_ABSENT, "", cause))
    return found


def arrays_of(statistics: Statistics, folder: Path) -> Arrays:
    """The arrays of a normalisation, in float64."""
    with np.load(folder / statistics.arrays, allow_pickle=False) as stored:
        return {name: np.asarray(stored[name], np.float64) for name in stored.files}


def of_source(statistics: Statistics, arrays: Arrays) -> Iterator[Finding]:
    """What is so at one normalisation."""
    at, epsilon = statistics.name, statistics.epsilon
    mean, variance = arrays.get("mean"), arrays.get("variance")
    begun: list[Finding] = []
    if mean is not None and variance is not None:
        begun = list(of_statistics(at, mean, variance, epsilon))
    yield from begun or _of_average(statistics, variance)
    if variance is not None and epsilon is not None:
        yield from of_epsilon(at, variance, epsilon)
    yield from _of_formula(statistics)
    gamma = arrays.get("gamma")
    if gamma is not None and (gamma == 0).any():
        cause = f"its scale is 0 in {count_of(gamma == 0)}"
        yield Finding(Code.NONPOSITIVE_SCALE, at, cause)


def _of_average(
    statistics: Statistics, variance: npt.NDArray[np.float64] | None
) -> Iterator[Finding]:
    """An average that still holds what it began with.

    A variance that is below what is left of the 1 it began with did not begin there: it was trained
    before the steps that are counted.
    """
    left = beginning_left(statistics)
    if left is None:
        if statistics.averages_from_zero:
            cause = "its statistics are averages that began at 0 and were not corrected for it"
            yield Finding(Code.AVERAGE_FROM_ZERO, statistics.name, cause)
    elif left > _WARM and not _is_below(statistics, variance, left):
        cause = (
            f"after {statistics.steps} steps of momentum {statistics.momentum:g} its statistics"
            f" are {1 - left:.2f} of the true ones and {left:.2f} of what they began with"
        )
        advice = _CORRECT if statistics.correctable else ""
        yield Finding(Code.AVERAGE_BARELY_WARM, statistics.name, cause, advice)


def _is_below(
    statistics: Statistics, variance: npt.NDArray[np.float64] | None, left: float
) -> bool:
    if statistics.averages_from_zero or variance is None:
        return False
    return bool((variance < left * (1 - _ROUNDING)).any())


def _of_formula(statistics: Statistics) -> Iterator[Finding]:
    if statistics.formula == "variance_squared":
        cause = "it divides by the root of its squared variance"
        yield Finding(Code.VARIANCE_SQUARED, statistics.name, cause)
    elif statistics.formula == "epsilon_outside_root":
        cause = "its epsilon is added to the root of the variance, not below it"
        yield Finding(Code.EPSILON_OUTSIDE_ROOT, statistics.name, cause)


def beginning_left(statistics: Statistics) -> float | None:
    """How much of its beginning is left in an average, from 0 to 1; None if that is not known."""
    momentum, steps = statistics.momentum, statistics.steps
    if momentum is None or steps is None or not 0 <= momentum < 1:
        return None
    return float(momentum**steps)


def corrected(statistics: Statistics, arrays: Arrays) -> Arrays | None:
    """The arrays with mean and variance as they would be without what they began with.

    Averages begin at 0; of a layer's own, the variance begins at 1. None if it is not known how
    much of that is left, if it is all that there is, or if they did not begin there.
    """
    left, variance = beginning_left(statistics), arrays.get("variance")
    if left is None or left == 1 or _is_below(statistics, variance, left):
        return None
    begun = {"mean": 0.0, "variance": 0.0 if statistics.averages_from_zero else 1.0}
    found = {
        name: (array - left * begun[name]) / (1 - left) if name in begun else array
        for name, array in arrays.items()
    }
    return {n: np.maximum(a, 0) if n == "variance" else a for n, a in found.items()}
