"""What others compare two models by: one tolerance for all outputs.

- numpy.allclose with rtol=1e-3 and atol=1e-5, as many test suites have it; here on one input of
  the standard normal distribution.
- onnxsim 0.8.1 (``onnxsim.model_checking.compare``, when asked to check): numpy.allclose with
  rtol=1e-4, atol=1e-5 and equal_nan, on five inputs uniform in [0, 1).
- Polygraphy 0.49 (``CompareFunc.simple``): each element must be within atol=1e-5 or within
  rtol=1e-5 of the other, on one input uniform in [0, 1).

All compare what both models give at an input; they are given the same inputs here as the checks of
the project, whose optimisation is disabled, as onnxsim has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _allclose(expected: Array, given: Array) -> bool:
    return np.allclose(given, expected, rtol=1e-3, atol=1e-5)


def _onnxsim(expected: Array, given: Array) -> bool:
    return np.allclose(given, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def _polygraphy(expected: Array, given: Array) -> bool:
    one, other = (np.asarray(a).astype(np.float64) for a in (expected, given))
    with np.errstate(all="ignore"):
        apart = np.abs(one - other)
        relative = apart / np.abs(np.where(other == 0, np.finfo(np.float64).eps, other))
        return not (~(apart <= 1e-5) & ~(relative <= 1e-5)).any()


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``kind`` is that of its inputs, of which it has so many."""

    name: str
    kind: str
    inputs: int
    passes: Callable[[Array, Array], bool]

    def finds(self, expected: Mapping[str, Array], given: Mapping[str, Array]) -> bool:
        """Whether some output of one input is too far off."""
        return any(
            given[name].shape != value.shape or not self.passes(value, given[name])
            for name, value in expected.items()
        )


TOLERANCES = (
    Tolerance("allclose", "normal", 1, _allclose),
    Tolerance("onnxsim", "uniform", 5, _onnxsim),
    Tolerance("Polygraphy", "uniform", 1, _polygraphy),
)
