"""ConvTranspose, with any number of spatial axes and groups.

    x ─ ConvTranspose(W, b) ─ affine ─ y        before
    x ─ ConvTranspose(W', b') ─ y               after

W is stored [in, out / group, *kernel]. Its rows come in ``group`` blocks, and column ``j`` of
block ``g`` makes output channel ``g * (out / group) + j``. So the scale is looked up by block and
column; by row or by column alone it is right for one group only, and silently wrong else.

1. The channels are axis 1 of the output, which has the rank of W.
2. The weight is a float constant, the bias absent (empty or missing) or a constant [out].
3. ``group`` divides the rows.
4. A bias is created only if there is something to put into it.
"""

from __future__ import annotations

import numpy as np

from folding.absorbers.base import Absorbed, Absorber, Layer, convolution, has_groups, refuse
from folding.affine import ChannelAffine
from folding.factor import Index
from folding.plan import Kept, Reason
from folding.protos import integer


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    weight = layer.weight(1)
    if isinstance(weight, Kept):
        return weight
    group = integer(layer.node, "group", 1)
    if not has_groups(weight, group):
        return refuse(Reason.BAD_LAYER, layer)
    return convolution(layer, affine, output_channels(weight.dims, group), group * weight.dims[1])


def output_channels(dims: tuple[int, ...], group: int) -> Index:
    """The output channel of each row and column of a weight [in, out / group, *kernel]."""
    rows, columns = dims[:2]
    block = np.arange(rows) // (rows // group)
    channel = block[:, None] * columns + np.arange(columns)
    return channel.reshape(rows, columns, *[1] * (len(dims) - 2))


RULE = Absorber("ConvTranspose", at_output)
