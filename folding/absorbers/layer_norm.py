"""LayerNormalization, which ends in a scale and a bias of its own.

    x ─ LayerNormalization(Scale, B) ─ affine ─ y          before
    x ─ LayerNormalization(Scale', B') ─ y                 after

    Scale' = scale * Scale        B' = scale * B + shift

Scale and B broadcast to the output, so their axes are the output's, counted from the right. One
that lacks the affine's axis, or has a length of 1 there, grows along it.

1. The affine acts along a normalised axis, ``axis`` or one to its right, which is what runtimes
   let a Scale have; the rank of x is needed where ``axis`` is counted from the left.
2. Scale is a float constant with an axis of its own, B absent (empty or missing) or constant.
3. Both have the affine's channels on its axis, or one element there, or no such axis.
4. B is created only if there is something to put into it, in the shape of Scale'.

Mean and InvStdDev are those of x, whatever Scale and B are: they may be read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from folding.absorbers.base import Absorbed, Absorber, Layer, Weight, refuse
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.plan import Kept, Reason
from folding.protos import integer

_SCALE, _BIAS = 1, 2


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    scaled = scale_taken(layer, affine)
    if isinstance(scaled, Kept):
        return scaled
    answer, dims = scaled
    bias = layer.bias(_BIAS)
    if isinstance(bias, Kept):
        return bias
    if bias is None and affine.is_scale:
        return answer
    if bias is None:
        bias = Doubled.exact(np.zeros(dims))
    if not _fits(bias.shape, affine):
        return refuse(Reason.BAD_LAYER, layer)
    shifted = _aligned(affine.scale, affine) * bias + _aligned(affine.shift, affine)
    return replace(answer, constants={**answer.constants, _BIAS: shifted})


def scale_taken(layer: Layer, affine: ChannelAffine) -> tuple[Absorbed, tuple[int, ...]] | Kept:
    """How Scale changes, and the shape that it has then."""
    weight = layer.weight(_SCALE)
    if isinstance(weight, Kept):
        return weight
    if not weight.dims:
        return refuse(Reason.UNUSUAL_FORM, layer)
    reason = _off_the_normalised(layer, affine)
    if reason is not None:
        return refuse(reason, layer)
    if not _fits(weight.dims, affine):
        return refuse(Reason.BAD_LAYER, layer)
    scale = _aligned(affine.scale, affine)
    dims = np.broadcast_shapes(weight.dims, scale.shape)
    if dims == weight.dims:
        return Absorbed({_SCALE: _factor(weight, affine)}), dims
    whole = layer.summed(_SCALE, _unit(len(weight.dims)), ())
    return whole if isinstance(whole, Kept) else (Absorbed(constants={_SCALE: scale * whole}), dims)


def _off_the_normalised(layer: Layer, affine: ChannelAffine) -> Reason | None:
    """Why it is not certain that the affine acts along a normalised axis."""
    first = integer(layer.node, "axis", -1)
    if affine.axis is None or first <= affine.axis:
        return None
    if first < 0:
        return Reason.NOT_OUTPUT_CHANNELS
    shape = layer.shape(layer.node.input[0])
    if shape is None:
        return Reason.MISSING_AXES
    return None if first - len(shape) <= affine.axis else Reason.NOT_OUTPUT_CHANNELS


def _fits(dims: tuple[int, ...], affine: ChannelAffine) -> bool:
    """Whether an operand of that shape broadcasts against the affine."""
    if affine.axis is None or -affine.axis > len(dims):
        return True
    return dims[affine.axis] in (1, affine.channels)


def _aligned(part: Doubled, affine: ChannelAffine) -> Doubled:
    """The scale or the shift of an affine, shaped to broadcast against Scale and B."""
    if affine.axis is None:
        return part
    whole = part.broadcast_to((affine.channels or 1,))
    return whole.reshape(whole.size, *[1] * (-1 - affine.axis))


def _factor(weight: Weight, affine: ChannelAffine) -> Factor:
    """The affine's scale as the factor of a Scale that has its axis."""
    axis = -1 if affine.axis is None else affine.axis
    scale = affine.scale.broadcast_to((weight.dims[axis],))
    return Factor(along(axis, weight.dims), scale)


def _unit(rank: int) -> Factor:
    return Factor(np.zeros([1] * rank, np.intp), Doubled.exact(np.ones(1)))


RULE = Absorber("LayerNormalization", at_output)
