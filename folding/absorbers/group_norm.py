"""GroupNormalization, which ends in a scale and a bias of its own.

    x ─ GroupNormalization(scale, bias) ─ affine ─ y           before
    x ─ GroupNormalization(scale', bias') ─ y                  after

    scale'[c] = s[c] * scale[c]        bias'[c] = s[c] * bias[c] + t[c]

1. What is said in ``instance_norm`` holds: the channels are axis 1, scale and bias constants [C].
2. Below opset 21 they are [num_groups] instead, one number for a block of C / num_groups channels
   in a row: the affine has the same numbers throughout each block.
3. ``num_groups`` divides the channels.
"""

from __future__ import annotations

import numpy as np

from folding.absorbers import instance_norm
from folding.absorbers.base import Absorbed, Absorber, Layer, refuse
from folding.affine import ChannelAffine
from folding.plan import Kept, Reason
from folding.protos import integer

_BY_CHANNEL_SINCE = 21


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    if layer.opset >= _BY_CHANNEL_SINCE or affine.channels is None:
        return instance_norm.at_output(layer, affine)
    groups = integer(layer.node, "num_groups", 0)
    if groups < 1 or affine.channels % groups:
        return refuse(Reason.BAD_LAYER, layer)
    by_group = _by_group(affine, affine.channels, groups)
    if by_group is None:
        return refuse(Reason.NOT_OUTPUT_CHANNELS, layer)
    return instance_norm.at_output(layer, by_group)


def _by_group(affine: ChannelAffine, channels: int, groups: int) -> ChannelAffine | None:
    """The affine with one number for each group, None if a group has several."""
    whole = affine.spread(channels)
    first = np.repeat(np.arange(0, channels, channels // groups), channels // groups)
    if not all(part.is_same(part[first]) for part in (whole.scale, whole.shift)):
        return None
    return whole.of_channels(np.unique(first), affine.axis or -1)


RULE = Absorber("GroupNormalization", at_output)
