"""Constants of other shapes that an operator broadcasts to the same numbers.

    Mul(x, c) with c of (3, 1, 1)     Mul(x, c) with c of ()

Both are compared in the shape that they have together, if the results have those dimensions for
certain: then neither constant makes a result longer than the other one does.
"""

from __future__ import annotations

from math import prod

import numpy as np

from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import PAIRED, Term
from folding.inference import Shape
from folding.scratch import ELEMENTS


def broadcast(
    ours: Constant, theirs: Constant, reader: Term, other: Term
) -> tuple[Constant, Constant]:
    """Both in one shape where that says the same; as they are where it may not.

    ``reader`` and ``other`` are what reads them.
    """
    if ours.shape == theirs.shape or not reader.call.is_own(*PAIRED):
        return ours, theirs
    try:
        shape = np.broadcast_shapes(ours.shape, theirs.shape)
    except ValueError:
        return ours, theirs
    if prod(shape) > ELEMENTS or not all(_has(term.shape, shape) for term in (reader, other)):
        return ours, theirs
    pair = ours.broadcast_to(shape), theirs.broadcast_to(shape)
    return (ours, theirs) if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def _has(result: Shape | None, shape: tuple[int, ...]) -> bool:
    """Whether a result has these dimensions, be it known to, whatever else is in it."""
    if result is None or len(result) < len(shape):
        return False
    behind = result[len(result) - len(shape) :]
    return all(n in (1, d) for d, n in zip(behind, shape, strict=True))
