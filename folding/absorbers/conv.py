"""Conv, with any number of spatial axes and groups.

    x ─ Conv(W, b) ─ affine ─ y        before
    x ─ Conv(W', b') ─ y               after

    W'[o, ...] = scale[o] * W[o, ...]        b'[o] = scale[o] * b[o] + shift[o]

W is stored [out, in / group, *kernel]: its rows are the output channels, whatever the groups.

1. The channels are axis 1 of the output, which has the rank of W.
2. The weight is a float constant, the bias absent (empty or missing) or a constant [out].
3. ``group`` divides the channels.
4. A bias is created only if there is something to put into it.
"""

from __future__ import annotations

from folding.absorbers.base import Absorbed, Absorber, Layer, convolution, has_groups, refuse
from folding.affine import ChannelAffine
from folding.factor import along
from folding.plan import Kept, Reason
from folding.protos import integer


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    weight = layer.weight(1)
    if isinstance(weight, Kept):
        return weight
    group = integer(layer.node, "group", 1)
    if not has_groups(weight, group):
        return refuse(Reason.BAD_LAYER, layer)
    return convolution(layer, affine, along(0, weight.dims), weight.dims[0])


RULE = Absorber("Conv", at_output)
