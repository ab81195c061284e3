"""MatMul with a constant on either side, of any rank.

    x ─ MatMul(W) ─ affine ─ y               before
    x ─ MatMul(W') ─ Add(shift) ─ y          after

MatMul has no bias, so the shift becomes an Add right behind it; an Add that is there already is
part of the affine, and comes back as that one. (It never becomes a Gemm: rank, quantizers and
kernels depend on it.)

1. Constant on the right, W[..., K, N]: the columns N are the output's last axis.
2. Constant on the left, W[..., M, K]: the rows M are the output's last axis but one.
3. A batch axis of W is the same axis of the output, if W has its full length there.
4. Axes -2 and above are as in W only if the other side has two axes or more: a vector loses one.
5. A constant of one axis has no channels.
6. Below opset 7 an Add broadcasts by an attribute: with a shift it is refused.
"""

from __future__ import annotations

from folding.absorbers.base import Absorbed, Absorber, Layer, for_channels, refuse
from folding.affine import ChannelAffine
from folding.factor import Factor, along
from folding.plan import Kept, Reason

_MATRIX = 2
_BROADCASTS_SINCE = 7


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    slot = 1 if layer.is_constant(1) else 0 if layer.is_constant(0) else None
    if slot is None:
        return refuse(Reason.RUNTIME_WEIGHT, layer)
    weight = layer.weight(slot)
    if isinstance(weight, Kept):
        return weight
    rank = len(weight.dims)
    axis = affine.axis if affine.axis is not None else -1 - (slot == 0)
    summed = -2 if slot == 1 else -1
    if rank < _MATRIX or -axis > rank or axis == summed:
        return refuse(Reason.NOT_OUTPUT_CHANNELS, layer)
    other = layer.shape(layer.node.input[1 - slot])
    if (other is None or len(other) < _MATRIX) and (slot, axis) != (1, -1):
        return refuse(Reason.NOT_OUTPUT_CHANNELS, layer)
    channels = for_channels(affine, layer, axis, weight.dims[axis])
    if isinstance(channels, Kept):
        return channels
    shift = None if channels.shift.equals(0) else channels.shift
    if shift is not None and layer.opset < _BROADCASTS_SINCE:
        return refuse(Reason.OLD_OPSET, layer)
    factor = Factor(along(axis, weight.dims), channels.scale)
    return Absorbed({slot: factor}, shift=shift, shift_axis=axis)


RULE = Absorber("MatMul", at_output)
