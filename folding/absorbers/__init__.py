"""What takes an affine into its constants. One kind of layer a file, listed here."""

from __future__ import annotations

from folding.absorbers import (
    conv,
    conv_transpose,
    einsum,
    embedding,
    gemm,
    group_norm,
    instance_norm,
    layer_norm,
    matmul,
    recurrent,
    rms_norm,
)
from folding.absorbers.base import Absorbed, Absorber, Layer, Weight

ABSORBERS: dict[str, Absorber] = {
    absorber.operator: absorber
    for absorber in (
        conv.RULE,
        conv_transpose.RULE,
        einsum.RULE,
        embedding.RULE,
        gemm.RULE,
        group_norm.RULE,
        instance_norm.RULE,
        layer_norm.RULE,
        matmul.RULE,
        rms_norm.RULE,
        *recurrent.RULES,
    )
}

__all__ = ["ABSORBERS", "Absorbed", "Absorber", "Layer", "Weight"]
