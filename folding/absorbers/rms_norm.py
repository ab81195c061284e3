"""RMSNormalization, which ends in a scale of its own.

    x ─ RMSNormalization(Scale) ─ affine ─ y        before
    x ─ RMSNormalization(Scale') ─ y                after

    Scale' = scale * Scale

1. What is said of Scale and of the affine's axis in ``layer_norm`` holds.
2. There is no bias: the affine has no shift.
"""

from __future__ import annotations

from folding.absorbers.base import Absorbed, Absorber, Layer, refuse
from folding.absorbers.layer_norm import scale_taken
from folding.affine import ChannelAffine
from folding.plan import Kept, Reason


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    if not affine.is_scale:
        return refuse(Reason.HAS_NO_BIAS, layer)
    scaled = scale_taken(layer, affine)
    return scaled if isinstance(scaled, Kept) else scaled[0]


RULE = Absorber("RMSNormalization", at_output)
