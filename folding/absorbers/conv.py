"""Conv, with any number of spatial axes and groups.

    x ─ Conv(W, b) ─ affine ─ y        before
    x ─ Conv(W', b') ─ y               after

    W'[o, ...] = scale[o] * W[o, ...]        b'[o] = scale[o] * b[o] + shift[o]

W is stored [out, in / group, *kernel]: its rows are the output channels, whatever the groups.

1. The channels are axis 1 of the output, which has the rank of W.
2. The weight is a float constant, the bias absent (empty or missing) or a constant [out].
3. ``group`` divides the channels.
4. A bias is created only if there is something to put into it.

    x ─ affine ─ Conv(W, b) ─ y        before
    x ─ Conv(W', b') ─ y               after

    W'[o, j, ...] = W[o, j, ...] * scale[c]        b'[o] = b[o] + sum of W[o, j, ...] * shift[c]

Output channel ``o`` of group ``g`` sees the input channels ``c = g * (in / group) + j``.

5. The affine stands before the data, input 0, along its axis 1; the data has the rank of W.
6. 2 and 3 hold; without a shift the bias does not matter.
7. A shift would have to reach the zeros of the padding: there is none. SAME_UPPER and SAME_LOWER
   pad nothing where one tap, or the data's known size, needs nothing.
"""

from __future__ import annotations

from functools import partial

from folding.absorbers.base import (
    Absorbed,
    Absorber,
    Layer,
    columns_of,
    convolution,
    convolution_input,
    grouped,
    refuse,
)
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.plan import Kept, Reason
from folding.protos import attribute, integers


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    found = grouped(layer)
    if isinstance(found, Kept):
        return found
    dims, _ = found
    return convolution(layer, affine, along(0, dims), dims[0])


def at_input(layer: Layer, affine: ChannelAffine, slot: int) -> Absorbed | Kept:
    found = grouped(layer) if slot == 0 else refuse(Reason.NOT_INPUT_CHANNELS, layer)
    if isinstance(found, Kept):
        return found
    dims, group = found
    channel, added = columns_of(dims, group), partial(_added, layer, dims)
    return convolution_input(layer, affine, channel, group * dims[1], added)


def _added(layer: Layer, dims: tuple[int, ...], shift: Factor) -> Doubled | Kept:
    if _may_pad(layer, dims[2:]):
        return refuse(Reason.PADS_ZEROS, layer)
    return layer.summed(1, shift, tuple(range(1, len(dims))))


def _may_pad(layer: Layer, taps: tuple[int, ...]) -> bool:
    """Whether a window may reach beyond the data."""
    node = layer.node
    if any(integers(node, "pads") or ()):
        return True
    mode = attribute(node, "auto_pad")
    if mode is None or mode.s in (b"NOTSET", b"VALID"):
        return False
    shape, ones = layer.shape(node.input[0]), (1,) * len(taps)
    sizes = shape[2:] if shape is not None else (None,) * len(taps)
    strides, dilations = (integers(node, name) or ones for name in ("strides", "dilations"))
    return any(map(_same_pads, sizes, taps, strides, dilations))


def _same_pads(size: int | None, taps: int, stride: int, dilation: int) -> bool:
    """Whether SAME padding, which makes ceil(size / stride) windows, may add anything."""
    extent = dilation * (taps - 1) + 1
    return extent > 1 and (size is None or (size - 1) // stride * stride + extent > size)


RULE = Absorber("Conv", at_output, at_input)
