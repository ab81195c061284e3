"""What an affine may pass on its way to a layer. One family of operators a file, listed here."""

from __future__ import annotations

from folding.carriers import cast, dropout, identity, squeeze, transpose
from folding.carriers.base import Carrier, Moved, Passage, Surroundings

CARRIERS: dict[str, Carrier] = {
    operator: carrier
    for carrier in (
        cast.RULE,
        dropout.RULE,
        identity.RULE,
        squeeze.RULE,
        squeeze.UNSQUEEZE,
        transpose.RULE,
    )
    for operator in carrier.operators
}

__all__ = ["CARRIERS", "Carrier", "Moved", "Passage", "Surroundings"]
