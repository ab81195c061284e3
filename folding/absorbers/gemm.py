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
"""

from __future__ import annotations

import numpy as np

from folding.absorbers.base import Absorbed, Absorber, Layer, for_channels, refuse
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.plan import Kept, Reason
from folding.protos import integer, number

_B, _C = 1, 2
_NEEDS_C_BELOW = 11
_BROADCASTS_SINCE = 7


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    if layer.opset < _BROADCASTS_SINCE:
        return refuse(Reason.OLD_OPSET, layer)
    weight = layer.weight(_B)
    if isinstance(weight, Kept):
        return weight
    if len(weight.dims) != 2:  # noqa: PLR2004
        return refuse(Reason.BAD_LAYER, layer)
    axis = 0 if integer(layer.node, "transB", 0) else 1
    width = weight.dims[axis]
    channels = for_channels(affine, layer, -1, width)
    bias = layer.bias(_C)
    if isinstance(channels, Kept):
        return channels
    if isinstance(bias, Kept):
        return bias
    if bias is not None and bias.shape and bias.shape[-1] not in (1, width):
        return refuse(Reason.BAD_LAYER, layer)
    shifted = _shifted(channels, bias, number(layer.node, "beta", 1.0))
    constants = {} if shifted is None else {_C: shifted}
    factor = Factor(along(axis, weight.dims), channels.scale)
    return Absorbed({_B: factor}, constants, {"beta": 1.0})


def _shifted(affine: ChannelAffine, bias: Doubled | None, beta: float) -> Doubled | None:
    if bias is None:
        return None if affine.shift.equals(0) else affine.shift
    if beta == 0:
        # Not 0 * C, which is NaN where C is infinite.
        bias = Doubled.exact(np.zeros(bias.shape))
    shape = np.broadcast_shapes(bias.shape, affine.scale.shape)
    whole = bias.broadcast_to(shape) * Doubled.exact(np.float64(beta))
    return affine.scale * whole + affine.shift


RULE = Absorber("Gemm", at_output)
