"""Sums in pieces: the same as at once."""

from __future__ import annotations

import numpy as np

from folding.doubled import Doubled
from folding.totals import gathered


def test_a_number_without_axes_is_its_own_sum() -> None:
    found = gathered((), (), [((), Doubled.exact(np.float64(3.0)))])

    assert [float(part) for part in (found.high, found.low, found.magnitude)] == [3.0, 0.0, 3.0]
