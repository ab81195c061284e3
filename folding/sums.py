"""Sums over some axes of a weight: what a shift before a layer adds behind it.

The terms of a bias may cancel almost wholly, and a float64 weight leaves no bits to spare. So each
product is computed as two float64 numbers and summed in two parts, which costs a few times what a
float64 sum does and leaves errors of some 2^-75 of the sum of absolute values.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubled
from folding.recipes import Scaled, channels_of
from folding.stored import stored_tiles
from folding.totals import PIECE, Place, gathered


def summed(weight: Scaled, axes: tuple[int, ...]) -> Doubled:
    """A weight summed over axes, which disappear.

    Never more than a piece of a stored weight is in memory. The sum has a number that is not finite
    where the weight has one.
    """
    dims = weight.dims
    axes = tuple(axis % len(dims) for axis in axes)
    whole = gathered(dims, axes, _terms(weight))
    return whole.reshape(*(size for i, size in enumerate(dims) if i not in axes))


def _terms(weight: Scaled) -> Iterator[tuple[Place, Doubled]]:
    """The products, piece by piece, each with its place along the leading axes."""
    source = weight.source
    if isinstance(source, Doubled):
        scales = (factor.scale[factor.channel] for factor in weight.factors)
        yield (), reduce(Doubled.__mul__, scales, source)
        return
    for _, place, values in stored_tiles(weight.constants.model, source, PIECE):
        scales = (factor.scale[channels_of(factor, place)] for factor in weight.factors)
        yield place, _product(values, reduce(Doubled.__mul__, scales))


def _product(values: npt.NDArray[Any], scale: Doubled) -> Doubled:
    """Stored numbers times a scale: as two products, the first without any error.

    Numbers of 24 bits or fewer have exact products with the upper 24 bits of the scale.
    """
    if values.dtype == np.float64:
        return Doubled.exact(values) * scale
    with np.errstate(all="ignore"):
        mantissa, power = np.frexp(scale.high)
        upper = np.ldexp(mantissa.astype(np.float32).astype(np.float64), power)
        wide = values.astype(np.float64)
        lower = (scale.high - upper) + scale.low
        return Doubled(wide * upper, wide * lower, np.abs(wide) * scale.magnitude)
