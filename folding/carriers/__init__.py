"""What an affine may pass on its way to a layer. One family of operators a file, listed here."""

from __future__ import annotations

from folding.carriers import (
    addition,
    cast,
    clip,
    dropout,
    extremes,
    identity,
    product,
    relu,
    squeeze,
    transpose,
)
from folding.carriers.base import Carrier, Moved, Passage, Surroundings

CARRIERS: dict[str, Carrier] = {
    operator: carrier
    for carrier in (
        addition.RULE,
        cast.RULE,
        clip.RULE,
        dropout.RULE,
        extremes.RULE,
        identity.RULE,
        product.RULE,
        relu.RULE,
        squeeze.RULE,
        squeeze.UNSQUEEZE,
        transpose.RULE,
    )
    for operator in carrier.operators
}

__all__ = ["CARRIERS", "Carrier", "Moved", "Passage", "Surroundings"]
