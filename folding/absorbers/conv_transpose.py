"""ConvTranspose, with any number of spatial axes and groups.

    x ─ ConvTranspose(W, b) ─ affine ─ y        before
    x ─ ConvTranspose(W', b') ─ y               after

W is stored [in, out / group, *kernel]. Its rows come in ``group`` blocks, and column ``j`` of
block ``g`` makes output channel ``g * (out / group) + j``. So the scale is looked up by block and
column; by row or by column alone it is right for one group only, and silently wrong else.

1. The channels are axis 1 of the output, which has the rank of W.
2. The weight is a float constant, the bias absent (empty or missing) or a constant [out].
3. ``group`` divides the rows.
4. A bias is created only if there is something to put into it.

    x ─ affine ─ ConvTranspose(W, b) ─ y        before
    x ─ ConvTranspose(W', b') ─ y               after

    W'[c, ...] = W[c, ...] * scale[c]        b'[o] = b[o] + sum of W[c, j, ...] * shift[c]

The sum for output channel ``o = g * (out / group) + j`` is over the rows ``c`` of block ``g``.

5. The affine stands before the data, input 0, along its axis 1; the data has the rank of W.
6. 2 and 3 hold; without a shift the bias does not matter.
7. A shift gives each element of the output the same only if each receives all taps: ``strides``
   are 1, nothing is added by ``output_padding``, and both sides of each axis are cut by the
   ``dilation * (kernel - 1)`` elements that receive fewer. ``auto_pad`` and ``output_shape`` may
   cut less: refused.
"""

from __future__ import annotations

from functools import partial

from onnx import NodeProto

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
from folding.totals import total


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    found = grouped(layer)
    if isinstance(found, Kept):
        return found
    dims, group = found
    return convolution(layer, affine, columns_of(dims, group), group * dims[1])


def at_input(layer: Layer, affine: ChannelAffine, slot: int) -> Absorbed | Kept:
    found = grouped(layer) if slot == 0 else refuse(Reason.NOT_INPUT_CHANNELS, layer)
    if isinstance(found, Kept):
        return found
    dims, group = found
    added = partial(_added, layer, dims, group)
    return convolution_input(layer, affine, along(0, dims), dims[0], added)


def _added(layer: Layer, dims: tuple[int, ...], group: int, shift: Factor) -> Doubled | Kept:
    if not _fills_every_element(layer.node, dims[2:]):
        return refuse(Reason.PADS_ZEROS, layer)
    taps = layer.summed(1, shift, tuple(range(2, len(dims))))
    if isinstance(taps, Kept):
        return taps
    rows, columns = dims[:2]
    blocks = taps.reshape(group, rows // group, columns)
    return total(blocks, (1,)).reshape(group * columns)


def _fills_every_element(node: NodeProto, taps: tuple[int, ...]) -> bool:
    """Whether each element of the output receives every tap."""
    mode, ones = attribute(node, "auto_pad"), (1,) * len(taps)
    strides, dilations = (integers(node, name) or ones for name in ("strides", "dilations"))
    if any(stride != 1 for stride in strides) or attribute(node, "output_shape") is not None:
        return False
    if any(integers(node, "output_padding") or ()) or not (mode is None or mode.s == b"NOTSET"):
        return False
    pads = integers(node, "pads") or (0,) * 2 * len(taps)
    lost = [dilation * (tap - 1) for dilation, tap in zip(dilations, taps, strict=True)]
    return all(pad >= edge for pad, edge in zip(pads, lost * 2, strict=True))


RULE = Absorber("ConvTranspose", at_output, at_input)
