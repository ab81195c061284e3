"""Weights behind DequantizeLinear: integers stay, and their scale is multiplied instead.

    q ─ DequantizeLinear(scale, zero) ─ w ─ layer ─ affine ─ y         before
    q ─ DequantizeLinear(scale', zero) ─ w' ─ layer' ─ y               after

    w = (q - zero) * scale        w' = (q - zero) * (scale * s)

1. The node reads constants, of which the scale is of a float type, and one layer alone reads ``w``.
   The integers stay, so they may be computed by any operators: by a QuantizeLinear of a float
   weight, as after training that is aware of quantisation, whose own scale stays too.
2. Every number of ``s`` is positive: runtimes demand positive scales, and negated integers may not
   fit.
3. What is the same for the whole weight goes into any scale. Else it differs along one axis of the
   weight: along two, as in a grouped ConvTranspose, it is refused.
4. A scale for each index of an axis takes in what differs along that axis.
5. A scale for each block (since opset 21) takes in what differs along any axis but that of its
   blocks.
6. One scale for the whole weight becomes one for each channel, and so does the zero point, which
   must be stored; ``axis`` says of which. Below opset 13 there was but one.
7. onnxruntime's default session must not round, from then on, what the layer reads: see ``fusing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from folding.absorbers import Weight
from folding.dequantised import Dequantised, before, dequantised
from folding.draft import Draft
from folding.factor import Factor
from folding.plan import Kept, Reason
from folding.protos import integer
from folding.recipes import Scaled
from folding.repeated import Repeated
from folding.tensors import constant_dims, scale_constant, store, weight_of
from folding.unevaluated import is_unevaluated

_DATA, _SCALE, _ZERO = 0, 1, 2
_AXIS_SINCE = 13
_DEFAULT_AXIS = 1


def is_stored(draft: Draft, index: int) -> bool:
    """Whether what a DequantizeLinear makes is the same in every run."""
    data, *others = draft.node(index).input
    is_same = draft.is_constant(data) or is_unevaluated(draft.constants, data)
    return is_same and all(draft.is_constant(name) for name in others if name)


def quantised_weight(draft: Draft, found: Dequantised, reader: int, slot: int) -> Weight | Kept:
    """What a DequantizeLinear makes for a slot of a layer, or why it cannot be scaled."""
    index, at = found.index, draft.title(reader)
    node, name = draft.node(index), draft.node(reader).input[slot]
    scale = weight_of(draft, node.input[_SCALE], at)
    if isinstance(scale, Kept):
        return scale
    for given in node.input:
        if given in draft.scope.overridable:
            return Kept(Reason.OVERRIDABLE, given)
    if not is_stored(draft, index):
        return Kept(Reason.RUNTIME_WEIGHT, at)
    dims, seen = constant_dims(draft, node.input[_DATA]), draft.shape(name)
    seen = seen if found.way else dims
    for made, next_one in zip((index, *found.way), (*found.way, reader), strict=True):
        value = draft.node(made).output[0]
        if draft.is_seen(value) or not draft.is_alone(next_one, value):
            return _refuse(Reason.SHARED_WEIGHT, draft, index)
    if dims is None or seen is None or not _fits(draft, node, scale.dims, dims):
        return _refuse(Reason.UNUSUAL_FORM, draft, index)
    known = tuple(size for size in seen if size is not None)
    if len(known) < len(seen):
        return _refuse(Reason.UNUSUAL_FORM, draft, index)
    return Weight(known, integer(node, "output_dtype", 0) or scale.elem_type)


@dataclass(frozen=True, slots=True)
class Rescaled:
    """What the scale of a DequantizeLinear is multiplied by, and the shape that it has then.

    ``axis`` is given if there was one number for the whole weight, and is one for each channel now.
    """

    node: int
    factor: Factor
    dims: tuple[int, ...]
    axis: int | None = None


def rescaled(draft: Draft, found: Dequantised, given: Factor) -> Rescaled | Kept:
    """How the scale of a DequantizeLinear takes in a factor of the weight, or why it cannot."""
    index, node = found.index, draft.node(found.index)
    dims, scale = (constant_dims(draft, node.input[slot]) for slot in (_DATA, _SCALE))
    assert dims is not None
    assert scale is not None
    if not (given.scale.high > 0).all():
        return _refuse(Reason.POSITIVE_ONLY, draft, index)
    axes = _axes(given)
    kept = (slice(None) if axis in axes else slice(1) for axis in range(given.channel.ndim))
    channel = given.channel[tuple(kept)]
    if not axes:
        one = given.scale[channel.reshape(1)]
        return Rescaled(index, Factor(np.zeros((1,) * len(scale), np.intp), one), scale)
    factor = before(draft, found, Factor(channel, given.scale)) if len(axes) == 1 else None
    if factor is None:
        return _refuse(Reason.OTHER_SCALES, draft, index)
    channel, axis = factor.channel, int(np.argmax(factor.channel.shape))
    if integer(node, "block_size", 0):
        is_blocked = _axis(node, len(dims)) == axis
        refusal = _refuse(Reason.OTHER_SCALES, draft, index)
        return refusal if is_blocked else Rescaled(index, Factor(channel, factor.scale), scale)
    along = Factor(channel.reshape(-1), factor.scale)
    if prod(scale) == 1:
        refused = _never_spread(draft, node)
        spread = Rescaled(index, along, (dims[axis],), axis)
        return spread if refused is None else _refuse(refused, draft, index)
    if _axis(node, len(dims)) != axis:
        return _refuse(Reason.OTHER_SCALES, draft, index)
    return Rescaled(index, along, scale)


def changed_slots(draft: Draft, change: Rescaled) -> tuple[int, ...]:
    """The slots of the DequantizeLinear that get other constants."""
    has_zero = change.axis is not None and _zero(draft.node(change.node))
    return (_SCALE, _ZERO) if has_zero else (_SCALE,)


def rescale(draft: Draft, reader: int, slot: int, change: Rescaled, because: str) -> None:
    """Change the scale behind a slot of a layer, and what the weight is called."""
    index, node = change.node, draft.edit(change.node)
    if change.axis is None:
        scale_constant(draft, index, _SCALE, change.factor, because)
    else:
        value = draft.numbers(node.input[_SCALE])
        assert value is not None  # It is a single number.
        every = value.reshape(1).broadcast_to(change.dims)
        recipe = Scaled(draft.constants, every, (change.factor,))
        store(draft, index, _SCALE, recipe, because)
        if _zero(node):
            array = np.broadcast_to(_number(draft, _zero(node)), change.dims)
            store(draft, index, _ZERO, Repeated(array), because)
        others = [found for found in node.attribute if found.name != "axis"]
        del node.attribute[:]
        node.attribute.extend([*others, helper.make_attribute("axis", change.axis)])
    way = dequantised(draft, draft.node(reader).input[slot])
    assert way is not None
    for made, (next_one, place) in zip(
        (index, *way.way), (*((i, _DATA) for i in way.way), (reader, slot)), strict=True
    ):
        new = draft.renamed_value(draft.node(made).output[0])
        draft.rename_output(made, new)
        draft.set_input(next_one, place, new)


def _never_spread(draft: Draft, node: NodeProto) -> Reason | None:
    """Why one scale for the whole weight cannot become one for each channel, if so."""
    if draft.opset < _AXIS_SINCE:
        return Reason.ONE_SCALE
    zero = _zero(node)
    if zero and draft.constants.stored(zero) is None:
        return Reason.UNUSUAL_FORM
    return None


def _zero(node: NodeProto) -> str:
    return node.input[_ZERO] if len(node.input) > _ZERO else ""


def _number(draft: Draft, name: str) -> npt.NDArray[Any]:
    """The single number of a stored constant."""
    stored = draft.constants.stored(name)
    assert stored is not None
    return draft.constants.load(stored).reshape(1)


def _axis(node: NodeProto, rank: int) -> int:
    axis = integer(node, "axis", _DEFAULT_AXIS)
    return axis + rank if axis < 0 else axis


def _fits(draft: Draft, node: NodeProto, scale: tuple[int, ...], dims: tuple[int, ...]) -> bool:
    """Whether a scale is one number, or has as many as the axis or the blocks of a weight."""
    axis, block = _axis(node, len(dims)), integer(node, "block_size", 0)
    if block:
        wanted = [-(-size // block) if i == axis else size for i, size in enumerate(dims)]
        return [*scale] == wanted
    if prod(scale) == 1:
        return len(scale) <= 1
    return draft.opset >= _AXIS_SINCE and axis < len(dims) and scale == (dims[axis],)


def _axes(factor: Factor) -> list[int]:
    """The axes of a weight along which the numbers of a factor differ."""
    numbers = np.stack((factor.scale.high, factor.scale.low))
    kinds = np.unique(numbers, axis=1, return_inverse=True)[1].reshape(-1)[factor.channel]
    return [i for i in range(kinds.ndim) if (kinds != kinds.take([0], i)).any()]


def _refuse(reason: Reason, draft: Draft, index: int) -> Kept:
    return Kept(reason, draft.title(index), draft.node(index).op_type)
