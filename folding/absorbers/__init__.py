"""What takes an affine into its constants. One operator a file, listed here."""

from __future__ import annotations

from folding.absorbers import conv, conv_transpose, gemm, matmul
from folding.absorbers.base import Absorbed, Absorber, Layer, Weight

ABSORBERS: dict[str, Absorber] = {
    absorber.operator: absorber
    for absorber in (conv.RULE, conv_transpose.RULE, gemm.RULE, matmul.RULE)
}

__all__ = ["ABSORBERS", "Absorbed", "Absorber", "Layer", "Weight"]
