"""Gather from a constant table: an embedding.

    indices ─ Gather(T) ─ affine ─ y         before
    indices ─ Gather(T') ─ y                 after

    T'[..., c, ...] = scale[c] * T[..., c, ...] + shift[c]

What is gathered is one of the table's rows as it stands there (an index outside of them is an
error), so the table may be shifted, too: it is then stored as new numbers.

1. The table is a float constant of one axis or more. One that others read, such as the layer at the
   end of a language model, is stored twice: whether that is too much is decided elsewhere.
2. The affine acts along an axis of the table other than ``axis``. The output has the axes of the
   indices instead of that one, so an axis to its left is moved by their number, less one.
3. How many these are must be known, unless the axis is on the right of them.
4. The affine has as many channels as the table there.
5. With a shift the table has at most 2^20 elements.
"""

from __future__ import annotations

from math import prod

from folding.absorbers.base import Absorbed, Absorber, Layer, Weight, for_channels, refuse
from folding.affine import ChannelAffine
from folding.constant_ops import MOST_ELEMENTS
from folding.factor import Factor, along
from folding.plan import Kept, Reason
from folding.protos import integer


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    table = layer.weight(0)
    if isinstance(table, Kept):
        return table
    if not table.dims:
        return refuse(Reason.BAD_LAYER, layer)
    axis = _table_axis(layer, affine, len(table.dims))
    if isinstance(axis, Reason):
        return refuse(axis, layer)
    whole = for_channels(affine.along(axis), layer, axis, table.dims[axis])
    if isinstance(whole, Kept):
        return whole
    factor = Factor(along(axis, table.dims), whole.scale)
    return Absorbed({0: factor}) if whole.is_scale else _shifted(layer, table, factor, whole, axis)


def _table_axis(layer: Layer, affine: ChannelAffine, rank: int) -> int | Reason:
    """The axis of the table that the affine acts along, from the right."""
    if affine.axis is None:
        return -1
    gathered = integer(layer.node, "axis", 0)
    gathered -= rank if gathered >= 0 else 0
    if affine.axis > gathered:
        return affine.axis
    indices = layer.shape(layer.node.input[1])
    if indices is None:
        return Reason.MISSING_AXES
    axis = affine.axis + len(indices) - 1
    return axis if -rank <= axis < gathered else Reason.NOT_OUTPUT_CHANNELS


def _shifted(
    layer: Layer, table: Weight, factor: Factor, affine: ChannelAffine, axis: int
) -> Absorbed | Kept:
    if prod(table.dims) > MOST_ELEMENTS:
        return refuse(Reason.HAS_NO_BIAS, layer)
    scaled = layer.summed(0, factor, ())
    if isinstance(scaled, Kept):
        return scaled
    shift = affine.shift.reshape(affine.shift.size, *[1] * (-1 - axis))
    return Absorbed(constants={0: scaled + shift})


RULE = Absorber("Gather", at_output)
