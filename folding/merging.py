"""Affines that go into others: what is left where neither comes to a layer.

    x ─ affine ─ carrier ─ affine ─ y         before
    x ─ affine' ─ carrier ─ y                 after

A Mul, Div, Add or Sub along the same axis is passed as any carrier with a constant operand: that
changes, and what is left goes on to the node before. A BatchNormalization takes in all of it:

    scale'[c] = s[c] * scale[c]        B'[c] = s[c] * B[c] + t[c]

The affine that stayed has other numbers then (see ``current``): it may go to a layer now, and what
met it may go over it. So this is done when all else is decided, and then all of that again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from folding.absorbers import Absorbed
from folding.absorbers.base import for_channels, refuse
from folding.affine import ChannelAffine
from folding.chains import Chain
from folding.doubled import Doubled
from folding.draft import Draft
from folding.layers import DraftLayer
from folding.plan import Kept, Reason
from folding.recognise import Step
from folding.tensors import constant_dims
from folding.way import Fork, Reached

_SCALE, _BIAS = 1, 2


def acts_along(draft: Draft, step: Step, affine: ChannelAffine) -> bool:
    """Whether an affine fits the constant of a Mul, Div, Add or Sub, which may be one number."""
    dims = constant_dims(draft, draft.node(step.node).input[1 - step.slot]) or ()
    wide = [axis - len(dims) for axis, size in enumerate(dims) if size != 1]
    return affine.axis is None or wide in ([], [affine.axis])


def hosts(reached: Reached, chain_of: Mapping[int, Chain]) -> Iterable[Chain]:
    """The affines that a fold has gone into."""
    ends = (line.end for line in reached.lines)
    nodes = (end.node for end in ends if not isinstance(end, Fork))
    return dict.fromkeys(chain_of[node] for node in nodes if node in chain_of)


def into_batch_norm(draft: Draft, index: int, affine: ChannelAffine) -> Absorbed | Kept:
    """How a BatchNormalization in inference form takes in an affine behind it."""
    layer = DraftLayer(draft, index)
    shape = layer.shape(layer.node.input[0])
    scale, bias = layer.bias(_SCALE), layer.bias(_BIAS)
    if shape is None or not isinstance(scale, Doubled) or not isinstance(bias, Doubled):
        return refuse(Reason.TOO_COMPLEX, layer)
    whole = for_channels(affine, layer, 1 - len(shape), scale.size)
    if isinstance(whole, Kept):
        return whole
    changed = {_SCALE: whole.scale.scaled(scale), _BIAS: whole.scale * bias + whole.shift}
    return Absorbed(constants=changed)
