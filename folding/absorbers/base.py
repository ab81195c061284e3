"""What an absorber is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from onnx import NodeProto

from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.factor import Factor, Index, along
from folding.inference import Shape
from folding.plan import Kept, Reason
from folding.protos import integer, title


@dataclass(frozen=True, slots=True)
class Weight:
    """What is known of a constant weight without reading it."""

    dims: tuple[int, ...]
    elem_type: int


class Layer(Protocol):
    """A node that may absorb, and its constants as they are after the folds decided so far."""

    @property
    def node(self) -> NodeProto: ...

    @property
    def opset(self) -> int: ...

    def shape(self, name: str) -> Shape | None: ...

    def is_constant(self, slot: int) -> bool:
        """Whether an input slot holds a constant."""
        ...

    def weight(self, slot: int) -> Weight | Kept:
        """The weight in an input slot, or why it cannot be scaled."""
        ...

    def bias(self, slot: int) -> Doubled | Kept | None:
        """The small constant in an input slot; None if the slot is empty."""
        ...

    def summed(self, slot: int, factor: Factor, axes: tuple[int, ...]) -> Doubled | Kept:
        """The weight in a slot times a factor, summed over some axes, which disappear.

        Kept if a number of the weight is not finite.
        """
        ...


@dataclass(frozen=True, slots=True)
class Absorbed:
    """How a layer changes.

    ``factors`` are what the weights in its slots are multiplied by, ``constants`` the new values of
    other slots, and ``attributes`` those of float attributes. ``shift`` is what the layer has no
    room for, [C] along ``shift_axis`` of its output from the right: it becomes an Add.
    """

    factors: Mapping[int, Factor] = field(default_factory=dict)
    constants: Mapping[int, Doubled] = field(default_factory=dict)
    attributes: Mapping[str, float] = field(default_factory=dict)
    shift: Doubled | None = None
    shift_axis: int = -1


AtOutput = Callable[[Layer, ChannelAffine], Absorbed | Kept]
AtInput = Callable[[Layer, ChannelAffine, int], Absorbed | Kept]


@dataclass(frozen=True, slots=True)
class Absorber:
    """One operator.

    ``at_output(layer, affine)`` says how it takes in an affine that stands behind its first output,
    ``at_input(layer, affine, slot)`` one that stands before an input slot; None if it never does.
    The affine's axis is any; it may be a scalar.
    """

    operator: str
    at_output: AtOutput | None = None
    at_input: AtInput | None = None


def refuse(reason: Reason, layer: Layer) -> Kept:
    return Kept(reason, title(layer.node), layer.node.op_type)


def no_constant(layer: Layer, slots: tuple[int, ...]) -> Kept:
    """Why no operand is a constant: all may come at run time, or one is not evaluated."""
    found = (layer.weight(slot) for slot in slots if slot < len(layer.node.input))
    refused = (answer for answer in found if isinstance(answer, Kept))
    others = (answer for answer in refused if answer.reason is not Reason.RUNTIME_WEIGHT)
    return next(others, refuse(Reason.RUNTIME_OPERANDS, layer))


def for_channels(
    affine: ChannelAffine,
    layer: Layer,
    axis: int,
    channels: int,
    other: Reason = Reason.NOT_OUTPUT_CHANNELS,
) -> ChannelAffine | Kept:
    """The affine with one number a channel, or Kept if it acts along another axis.

    ``axis`` is where the layer's channels stand in its output or input, from the right; ``other``
    is why it is refused if it acts along another one, and not on all alike.
    """
    if affine.axis is None:
        return affine.spread(channels)
    if affine.axis != axis:
        narrow = affine.narrowed()
        return narrow.spread(channels) if narrow.axis is None else refuse(other, layer)
    if affine.channels != channels:
        return refuse(Reason.BAD_LAYER, layer)
    is_spread = affine.scale.shape == affine.shift.shape == (channels,)
    return affine if is_spread else affine.spread(channels)


def convolution(
    layer: Layer, affine: ChannelAffine, channel: Index, channels: int
) -> Absorbed | Kept:
    """The answer of Conv and ConvTranspose, which differ only in where a channel's weights are.

    The bias, input 2, is absent (empty or missing) or a constant [channels]; one is created only
    if there is something to put into it.
    """
    whole = for_channels(affine, layer, 1 - channel.ndim, channels)
    if isinstance(whole, Kept):
        return whole
    constants = convolution_bias(layer, whole.scale, whole.shift)
    if isinstance(constants, Kept):
        return constants
    return Absorbed({1: Factor(channel, whole.scale)}, constants)


def convolution_input(
    layer: Layer,
    affine: ChannelAffine,
    channel: Index,
    channels: int,
    added: Callable[[Factor], Doubled | Kept],
) -> Absorbed | Kept:
    """Their answer to an affine before the data.

    ``added`` says what it adds to each output channel when the weight's input channels are shifted.
    """
    whole = for_channels(affine, layer, 1 - channel.ndim, channels, Reason.NOT_INPUT_CHANNELS)
    if isinstance(whole, Kept):
        return whole
    factors = {1: Factor(channel, whole.scale)}
    if whole.is_scale:
        return Absorbed(factors)
    shift = added(Factor(channel, whole.shift))
    if isinstance(shift, Kept):
        return shift
    constants = convolution_bias(layer, Doubled.exact(1.0), shift)
    return constants if isinstance(constants, Kept) else Absorbed(factors, constants)


def convolution_bias(layer: Layer, scale: Doubled, shift: Doubled) -> dict[int, Doubled] | Kept:
    """``scale * bias + shift``, by its slot; nothing if there is no bias and nothing to put in."""
    bias = layer.bias(_CONVOLUTION_BIAS)
    if isinstance(bias, Kept):
        return bias
    if bias is None:
        return {} if shift.equals(0) else {_CONVOLUTION_BIAS: shift}
    if bias.shape != shift.shape:
        return refuse(Reason.BAD_LAYER, layer)
    return {_CONVOLUTION_BIAS: scale * bias + shift}


def grouped(layer: Layer) -> tuple[tuple[int, ...], int] | Kept:
    """The shape of a convolution's weight and its groups, or why it cannot be scaled.

    It has a kernel, and rows that divide into the groups.
    """
    weight = layer.weight(1)
    if isinstance(weight, Kept):
        return weight
    group = integer(layer.node, "group", 1)
    if len(weight.dims) <= _CONVOLUTION_BIAS or group <= 0 or weight.dims[0] % group:
        return refuse(Reason.BAD_LAYER, layer)
    return weight.dims, group


def columns_of(dims: tuple[int, ...], group: int) -> Index:
    """The channel of each row and column of a convolution's weight [rows, columns, *kernel].

    It is that of the columns: each group has its own. The rows are those of all groups.
    """
    if group == 1:
        return along(1, dims)
    rows, columns = dims[:2]
    block = np.arange(rows) // (rows // group)
    channel = block[:, None] * columns + np.arange(columns)
    return channel.reshape(rows, columns, *[1] * len(dims[2:]))


_CONVOLUTION_BIAS = 2
