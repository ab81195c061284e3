"""What a region of a graph computes at some elements of its output, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.equivalence.sampling.operators import OPERATORS
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.region import Region
from folding.equivalence.sampling.values import (
    Coordinates,
    Dims,
    NotSupported,
    Sampled,
    Unsupported,
)


def evaluate(
    region: Region,
    output: str,
    coords: Coordinates,
    activations: Mapping[str, npt.NDArray[Any]],
    shapes: Mapping[str, Dims],
) -> Sampled | Unsupported:
    """Evaluate a region at some elements of a value, in float64 or, if it is of that type, in more.

    Args:
        region: what to evaluate.
        output: the value that is wanted.
        coords: which elements of it, one in each row.
        activations: what the inputs of the region were in one run.
        shapes: what shapes its other values had in that run; static ones may be missing.

    Raises:
        StorageFailed: a weight cannot be read.
    """
    try:
        with np.errstate(all="ignore"):
            return Pull(region, OPERATORS, activations, shapes).at(output, coords)
    except NotSupported as error:
        return Unsupported(str(error))
