"""Outputs that were decided: indices, flags, counts, and floats that lie behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from folding.equivalence.distance import distance
from folding.equivalence.noise import flipped


@dataclass(frozen=True, slots=True)
class Made:
    """How an output was made.

    Attributes:
        exact: without any rounding.
        alike: from values that are the very same in both models.
        measured: with nothing behind those values that may round otherwise.
    """

    exact: bool
    alike: bool
    measured: bool


def decided(one: Any, other: Any, made: Made, bound: float, noisy: Callable[[], list[Any]]) -> str:
    """What is wrong with an output that was decided, or nothing.

    Args:
        one: the reference's.
        other: the candidate's.
        made: how it was made.
        bound: how far a number may be off.
        noisy: the reference's with noise, if there is any.
    """
    found = distance(one, other)
    if found == 0.0:
        return ""
    is_near = isinstance(found, float) and found <= bound
    if made.exact or (made.alike and made.measured):
        why = "nothing before it rounds" if made.exact else "what it is made from does not"
        return "" if is_near and is_float(one) else f"{_told(found, one, other)}, though {why}"
    draws = noisy() if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) else []
    if draws:
        return flipped(one, other, draws)
    if isinstance(found, str):
        # What was chosen may be chosen otherwise, numbers and all.
        return "" if is_float(one) and np.shape(one) == np.shape(other) else found
    return "" if is_near or is_float(one) else _told(found, one, other)


def _told(found: float | str, one: Any, other: Any) -> str:
    """That two values differ, and in how many elements if their distance is a number."""
    if isinstance(found, str) or not isinstance(one, np.ndarray):
        return "it differs"
    count = np.count_nonzero(one != other)
    return f"{count} of {one.size} elements differ"


def is_float(value: Any) -> bool:
    """Whether it is an array of floats, or holds some."""
    if isinstance(value, list):
        return any(map(is_float, value))
    return isinstance(value, np.ndarray) and value.dtype.kind not in "biuOSU"


def has_numbers(value: Any) -> bool:
    """Whether there is anything in a value that can be compared: not if all of it is NaN or Inf."""
    if isinstance(value, list):
        return any(map(has_numbers, value))
    if not isinstance(value, np.ndarray) or not is_float(value):
        return bool(np.size(value)) if isinstance(value, np.ndarray) else bool(value)
    return bool(np.isfinite(value).any())
