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

    x ─ affine ─ MatMul(W) ─ y               before
    x ─ MatMul(W') ─ Add(shift') ─ y         after

    W'[k, n] = scale[k] * W[k, n]            shift'[n] = sum of W[k, n] * shift[k]

7. The affine acts along K, over which the two are summed: the last axis of the data on the left,
   the last but one of the data on the right, or the only one of a vector. Which it is must be
   known there.
8. N, or with W on the left M, stands on that axis of the output: the shift is along it. A vector W
   has neither, and with batch axes the shift would be a matrix: with a shift both are refused.
9. Below opset 7 a shift is refused here too.
"""

from __future__ import annotations

from math import prod

from folding.absorbers.base import Absorbed, Absorber, Layer, for_channels, no_constant, refuse
from folding.affine import ChannelAffine
from folding.factor import Factor, along
from folding.plan import Kept, Reason

_MATRIX = 2
_BROADCASTS_SINCE = 7


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    slot = 1 if layer.is_constant(1) else 0 if layer.is_constant(0) else None
    if slot is None:
        return no_constant(layer, (1, 0))
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
    if axis < -_MATRIX and weight.dims[axis] == 1 != affine.channels:
        return refuse(Reason.OPERAND_GROWS, layer)
    channels = for_channels(affine, layer, axis, weight.dims[axis])
    if isinstance(channels, Kept):
        return channels
    shift = None if channels.shift.equals(0) else channels.shift
    if shift is not None and layer.opset < _BROADCASTS_SINCE:
        return refuse(Reason.OLD_OPSET, layer)
    factor = Factor(along(axis, weight.dims), channels.scale)
    return Absorbed({slot: factor}, shift=shift, shift_axis=axis)


def at_input(layer: Layer, affine: ChannelAffine, slot: int) -> Absorbed | Kept:
    if not layer.is_constant(1 - slot):
        return no_constant(layer, (1 - slot,))
    weight = layer.weight(1 - slot)
    if isinstance(weight, Kept):
        return weight
    dims, axis = weight.dims, _summed_axis(layer, affine, slot)
    if not dims:
        return refuse(Reason.BAD_LAYER, layer)
    if axis is None:
        return refuse(Reason.MISSING_AXES, layer)
    depth = max(len(dims) - _MATRIX, 0) if slot == 0 else len(dims) - 1
    whole = for_channels(affine, layer, axis, dims[depth], Reason.NOT_INPUT_CHANNELS)
    if isinstance(whole, Kept):
        return whole
    channel = along(depth, dims)
    factors = {1 - slot: Factor(channel, whole.scale)}
    if whole.is_scale:
        return Absorbed(factors)
    if layer.opset < _BROADCASTS_SINCE:
        return refuse(Reason.OLD_OPSET, layer)
    if len(dims) < _MATRIX or prod(dims[:-_MATRIX]) != 1:
        return refuse(Reason.HAS_NO_BIAS, layer)
    added = layer.summed(1 - slot, Factor(channel, whole.shift), (depth,))
    if isinstance(added, Kept):
        return added
    shift = None if added.equals(0) else added.reshape(added.size)
    return Absorbed(factors, shift=shift, shift_axis=axis)


def _summed_axis(layer: Layer, affine: ChannelAffine, slot: int) -> int | None:
    """The axis of the data that is summed over, from the right; None if it is not known."""
    if slot == 0:
        return -1
    shape = layer.shape(layer.node.input[1])
    if shape is not None:
        return -min(len(shape), _MATRIX)
    has_more = affine.axis is not None and affine.axis < -1
    return -_MATRIX if has_more else None


RULE = Absorber("MatMul", at_output, at_input)
