"""What an absorber is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.inference import Shape
from folding.plan import Kept, Reason
from folding.protos import title

Index = npt.NDArray[np.intp]


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


@dataclass(frozen=True, slots=True)
class Absorbed:
    """How a layer changes.

    The element of the weight at ``slot`` is multiplied by the ``scale``, [C], of the output channel
    that ``channel`` gives for it; ``channel`` has the weight's rank and broadcasts against it.
    ``constants`` are new values of other slots, ``attributes`` of float attributes. ``shift`` is
    what the layer has no room for, [C] along ``shift_axis`` from the right: it becomes an Add.
    """

    slot: int
    channel: Index
    scale: Doubled
    constants: dict[int, Doubled] = field(default_factory=dict)
    attributes: dict[str, float] = field(default_factory=dict)
    shift: Doubled | None = None
    shift_axis: int = -1


@dataclass(frozen=True, slots=True)
class Absorber:
    """One operator. ``at_output`` says how it takes in an affine that stands behind it.

    The affine given has one scale and shift for each channel of the layer, or is a scalar.
    """

    operator: str
    at_output: Callable[[Layer, ChannelAffine], Absorbed | Kept]


def along(axis: int, dims: tuple[int, ...]) -> Index:
    """The indices of one axis, shaped to broadcast against ``dims``."""
    shape = [1] * len(dims)
    shape[axis] = dims[axis]
    return np.arange(dims[axis]).reshape(shape)


def refuse(reason: Reason, layer: Layer) -> Kept:
    return Kept(reason, title(layer.node), layer.node.op_type)


def for_channels(
    affine: ChannelAffine, layer: Layer, axis: int, channels: int
) -> ChannelAffine | Kept:
    """The affine with one number a channel, or Kept if it acts along another axis.

    ``axis`` is where the layer's channels stand in its output, from the right.
    """
    if affine.axis is None:
        return affine.spread(channels)
    if affine.axis != axis:
        return refuse(Reason.NOT_OUTPUT_CHANNELS, layer)
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
    bias = layer.bias(_CONVOLUTION_BIAS)
    if isinstance(whole, Kept):
        return whole
    if isinstance(bias, Kept):
        return bias
    if bias is None:
        constants = {} if whole.shift.equals(0) else {_CONVOLUTION_BIAS: whole.shift}
    elif bias.shape != (channels,):
        return refuse(Reason.BAD_LAYER, layer)
    else:
        constants = {_CONVOLUTION_BIAS: whole.scale * bias + whole.shift}
    return Absorbed(1, channel, whole.scale, constants)


def has_groups(weight: Weight, group: int) -> bool:
    """Whether a convolution's weight has a kernel, and rows that divide into the groups."""
    return len(weight.dims) > _CONVOLUTION_BIAS and group > 0 and weight.dims[0] % group == 0


_CONVOLUTION_BIAS = 2
