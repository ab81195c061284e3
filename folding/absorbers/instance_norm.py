"""InstanceNormalization, which ends in a scale and a bias of its own.

    x ─ InstanceNormalization(scale, B) ─ affine ─ y           before
    x ─ InstanceNormalization(scale', B') ─ y                  after

    scale'[c] = s[c] * scale[c]        B'[c] = s[c] * B[c] + t[c]

1. The channels are axis 1: the rank of x must be known, except for a scalar.
2. scale is a float constant [C] and B a constant of the same shape.
"""

from __future__ import annotations

from folding.absorbers.base import Absorbed, Absorber, Layer, for_channels, refuse
from folding.affine import ChannelAffine
from folding.factor import Factor, along
from folding.plan import Kept, Reason

_SCALE, _BIAS = 1, 2


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    weight = layer.weight(_SCALE)
    if isinstance(weight, Kept):
        return weight
    reason = off_the_channels(layer, affine)
    if reason is not None:
        return refuse(reason, layer)
    bias = layer.bias(_BIAS)
    if isinstance(bias, Kept):
        return bias
    if len(weight.dims) != 1 or bias is None or bias.shape != weight.dims:
        return refuse(Reason.BAD_LAYER, layer)
    whole = for_channels(affine, layer, affine.axis or -1, weight.dims[0])
    if isinstance(whole, Kept):
        return whole
    factor = Factor(along(0, weight.dims), whole.scale)
    return Absorbed({_SCALE: factor}, {_BIAS: whole.scale * bias + whole.shift})


def off_the_channels(layer: Layer, affine: ChannelAffine) -> Reason | None:
    """Why it is not certain that the affine acts along axis 1."""
    if affine.axis is None:
        return None
    shape = layer.shape(layer.node.input[0])
    if shape is None:
        return Reason.MISSING_AXES
    return None if affine.axis == 1 - len(shape) else Reason.NOT_OUTPUT_CHANNELS


RULE = Absorber("InstanceNormalization", at_output)
