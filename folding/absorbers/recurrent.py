"""LSTM, GRU and RNN, whose steps read ``X[t] * W^T + Wb + ...``.

    x ─ affine ─ LSTM(W, R, B) ─ y        before
    x ─ LSTM(W', R, B') ─ y               after

    W'[d, g, i] = W[d, g, i] * scale[i]        Wb'[d, g] = Wb[d, g] + sum of W[d, g, i] shift[i]

1. The affine acts along the last axis of X, the input size, whatever ``layout`` says of the others.
2. W [directions, gates * hidden, input size] is a float constant.
3. B [directions, 2 * gates * hidden] is absent (empty or missing) or constant: its first half is
   Wb, its second is added to what R makes and stays. It is created only for a shift.
4. No other input is the layer's data: before these, nothing can take an affine in.

Activations, ``clip`` and the steps beyond a sequence's length see the same sums as before. Behind
the layer they are in the way of everything.
"""

from __future__ import annotations

import numpy as np

from folding.absorbers.base import Absorbed, Absorber, Layer, for_channels, refuse
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.plan import Kept, Reason

_X, _W, _B = 0, 1, 3
_RANK_OF_W = 3


def at_input(layer: Layer, affine: ChannelAffine, slot: int) -> Absorbed | Kept:
    if slot != _X:
        return refuse(Reason.NO_RULE, layer)
    weight = layer.weight(_W)
    if isinstance(weight, Kept):
        return weight
    if len(weight.dims) != _RANK_OF_W:
        return refuse(Reason.BAD_LAYER, layer)
    whole = for_channels(affine, layer, -1, weight.dims[-1], Reason.NOT_INPUT_CHANNELS)
    if isinstance(whole, Kept):
        return whole
    channel = along(_RANK_OF_W - 1, weight.dims)
    factors = {_W: Factor(channel, whole.scale)}
    if whole.is_scale:
        return Absorbed(factors)
    added = layer.summed(_W, Factor(channel, whole.shift), (_RANK_OF_W - 1,))
    if isinstance(added, Kept):
        return added
    bias = _new_bias(layer, added)
    return bias if isinstance(bias, Kept) else Absorbed(factors, {_B: bias})


def _new_bias(layer: Layer, added: Doubled) -> Doubled | Kept:
    """B with what its first half gains."""
    old = layer.bias(_B)
    if isinstance(old, Kept):
        return old
    directions, rows = added.shape
    if old is not None and old.shape != (directions, 2 * rows):
        return refuse(Reason.BAD_LAYER, layer)
    gained = added.moved(lambda part: np.pad(part, ((0, 0), (0, rows))))
    return gained if old is None else old + gained


RULES = tuple(Absorber(operator, at_input=at_input) for operator in ("GRU", "LSTM", "RNN"))
