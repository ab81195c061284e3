"""Gemm, ``Y = alpha * A' * B' + beta * C``.

    x ─ Gemm(B, C, alpha, beta) ─ affine ─ y        before
    x ─ Gemm(B', C', alpha, 1) ─ y                  after

    B'[k, n] = B[k, n] * scale[n]        C'[m, n] = scale[n] * beta * C[m, n] + shift[n]

1. The channels are the last axis of the output. They are the columns of B, its rows if ``transB``.
2. B is a float constant and C absent or constant; ``alpha`` stays as it is.
3. ``beta`` is multiplied into C and becomes 1; with ``beta`` 0, C counts as zero.
4. C broadcasts to [M, N]: with one column (or none) it gets N of them.
5. A constant A would need the other axis; it is refused as a weight that is not there.
6. Below opset 7 the broadcast of C is an attribute: refused.

    x ─ affine ─ Gemm(B, C, alpha, beta) ─ y        before
    x ─ Gemm(B', C', alpha, 1) ─ y                  after

    B'[k, n] = scale[k] * B[k, n]        C'[m, n] = beta * C[m, n] + alpha * sum of B[k, n] shift[k]

7. The affine stands before A with a constant B, or before B with a constant A, which is scaled
   instead; it acts along K, over which the two are summed, and which ``transA`` and ``transB`` put
   on one axis or the other. Along the other axis, or before C, nothing can take it in.
8. Without a shift C and ``beta`` stay, whatever C is. With one, 2 to 4 and 6 hold for C, to which
   a row [N] is added, or a column [M, 1] where A is constant.
"""

from __future__ import annotations

import numpy as np

from folding.absorbers.base import Absorbed, Absorber, Layer, for_channels, refuse
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.plan import Kept, Reason
from folding.protos import integer, number

_A, _B, _C = 0, 1, 2
_MATRIX = 2
_BROADCASTS_SINCE = 7


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    if layer.opset < _BROADCASTS_SINCE:
        return refuse(Reason.OLD_OPSET, layer)
    weight = layer.weight(_B)
    if isinstance(weight, Kept):
        return weight
    if len(weight.dims) != _MATRIX:
        return refuse(Reason.BAD_LAYER, layer)
    axis = 1 - _transposed(layer, _B)
    channels = for_channels(affine, layer, -1, weight.dims[axis])
    if isinstance(channels, Kept):
        return channels
    constants = _new_c(layer, channels.scale, channels.shift)
    if isinstance(constants, Kept):
        return constants
    factor = Factor(along(axis, weight.dims), channels.scale)
    return Absorbed({_B: factor}, constants, {"beta": 1.0})


def at_input(layer: Layer, affine: ChannelAffine, slot: int) -> Absorbed | Kept:
    if slot not in (_A, _B):
        return refuse(Reason.NOT_INPUT_CHANNELS, layer)
    kept = 1 - slot
    weight = layer.weight(kept)
    if isinstance(weight, Kept):
        return weight
    if len(weight.dims) != _MATRIX:
        return refuse(Reason.BAD_LAYER, layer)
    # Where K is in A and in B, from the left.
    summed = 1 - _transposed(layer, _A), _transposed(layer, _B)
    depth, reason = weight.dims[summed[kept]], Reason.NOT_INPUT_CHANNELS
    whole = for_channels(affine, layer, summed[slot] - _MATRIX, depth, reason)
    if isinstance(whole, Kept):
        return whole
    channel = along(summed[kept], weight.dims)
    factors = {kept: Factor(channel, whole.scale)}
    if whole.is_scale:
        return Absorbed(factors)
    if layer.opset < _BROADCASTS_SINCE:
        return refuse(Reason.OLD_OPSET, layer)
    added = layer.summed(kept, Factor(channel, whole.shift), (summed[kept],))
    if isinstance(added, Kept):
        return added
    shift = added * Doubled.exact(number(layer.node, "alpha", 1.0))
    constants = _new_c(layer, Doubled.exact(1.0), shift if kept else shift.reshape(shift.size, 1))
    return constants if isinstance(constants, Kept) else Absorbed(factors, constants, {"beta": 1.0})


def _transposed(layer: Layer, slot: int) -> bool:
    return integer(layer.node, ("transA", "transB")[slot], 0) != 0


def _new_c(layer: Layer, scale: Doubled, shift: Doubled) -> dict[int, Doubled] | Kept:
    """``scale * beta * C + shift``, by its slot; nothing if C is absent and nothing is added."""
    c, beta, rank = layer.bias(_C), number(layer.node, "beta", 1.0), len(shift.shape)
    if isinstance(c, Kept):
        return c
    if c is None:
        return {} if shift.equals(0) else {_C: shift}
    if len(c.shape) >= rank and c.shape[-rank] not in (1, shift.size):
        return refuse(Reason.BAD_LAYER, layer)
    whole = c.broadcast_to(np.broadcast_shapes(c.shape, shift.shape))
    return {_C: scale * (whole * Doubled.exact(beta)) + shift}


RULE = Absorber("Gemm", at_output, at_input)
