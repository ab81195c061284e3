"""Resize, and Upsample, which it replaced.

    x ─ Resize ─ affine ─ y        before
    x ─ affine ─ Resize ─ y        after, and the other way round

Every output element is an average of input elements whose weights sum to one: a nearest one; a
linear or cubic interpolation, whose samples outside are the edge's (their weights sum to one
whatever ``cubic_coeff_a`` is), or with ``exclude_outside`` left out and the others divided by their
sum; as with ``antialias``, too. So scale and shift pass, of any sign.

1. ``tf_crop_and_resize`` puts a number of its own outside: no shift passes, and a scale only if
   that number is 0. A mode or a transformation of coordinates that ONNX does not know is refused.
2. The axis of the channels must not be resized, by what is given: its scale is exactly 1, or its
   size the input's. An equal size is not enough where scales are given, since
   floor(4 · 1.1) = 4, nor where ``keep_aspect_ratio_policy`` overrules the sizes. A scalar and an
   affine that is the same for all channels have no axis.
3. ``tf_half_pixel_for_nn`` moves even an axis of scale 1 by half an element, which only the modes
   that round it down undo.
4. Scales or sizes that come at run time are known only by the shapes: an axis may be known to keep
   its size, not its scale. The axes that are resized must be known.
5. Nor may ``tf_crop_and_resize`` crop the axis of the channels: the region is constant, and goes
   from 0 to 1 there.
6. Upsample is refused below opset 7, where it has other attributes, and from 10, where it is gone.
7. Downward only from before the data, which must not be the scales as well.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.axes import axes_from_right, size
from folding.carriers.base import Answer, Carrier, Passage, Rule, stay
from folding.plan import Kept, Reason
from folding.protos import attribute, integers

_INTERPOLATING = frozenset({"nearest", "linear", "cubic"})
_HALF_PIXEL_FOR_NEAREST = "tf_half_pixel_for_nn"
_CROPPING = "tf_crop_and_resize"
_AVERAGING = frozenset(
    {
        "align_corners",
        "asymmetric",
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        _HALF_PIXEL_FOR_NEAREST,
    }
)
_ROUNDING_DOWN = frozenset({"round_prefer_floor", "floor"})
_HAS_SCALES, _SCALES_ARE_INPUT, _GONE, _HAS_SIZES = 7, 9, 10, 11


def _text(passage: Passage, name: str, default: str) -> str:
    found = attribute(passage.node, name)
    return default if found is None else found.s.decode(errors="replace")


def _input(slot: int, passage: Passage) -> str:
    """The name of an input, empty if it is absent or has no elements."""
    inputs = passage.node.input
    name = inputs[slot] if len(inputs) > slot else ""
    return "" if name and passage.around.shape(name) == (0,) else name


def _crops(passage: Passage) -> bool:
    return _text(passage, "coordinate_transformation_mode", "") == _CROPPING


def _obstacle(affine: ChannelAffine, passage: Passage) -> Reason | None:
    """What is in the way of all that is no average of input elements."""
    mode = _text(passage, "mode", "nearest")
    coordinates = _text(passage, "coordinate_transformation_mode", "half_pixel")
    if mode not in _INTERPOLATING or coordinates not in _AVERAGING | {_CROPPING}:
        return Reason.UNUSUAL_FORM
    if not _crops(passage):
        return None
    outside = attribute(passage.node, "extrapolation_value")
    if outside is not None and outside.f:
        return Reason.UNUSUAL_FORM
    return None if affine.is_scale else Reason.SHIFT_BLOCKED


def _is_whole(place: int, passage: Passage) -> bool | None:
    """Whether nothing is cropped on an axis, at this place among the region's; None if unknown."""
    name = _input(1, passage)
    region = passage.around.numbers(name) if name else None
    if region is None:
        return None
    starts, ends = region.high.reshape(2, -1)
    return bool(starts[place] == 0 and ends[place] == 1)


def _keeps_places(passage: Passage) -> bool:
    """Whether an axis of scale 1 stays as it is."""
    if _text(passage, "coordinate_transformation_mode", "") != _HALF_PIXEL_FOR_NEAREST:
        return True
    mode = _text(passage, "mode", "nearest")
    rounds = _text(passage, "nearest_mode", "round_prefer_floor")
    return mode == "nearest" and rounds in _ROUNDING_DOWN


def _scales(passage: Passage) -> tuple[tuple[float, ...] | None, str]:
    """The scales if they are known, and the name of their input if there is one."""
    opset = passage.around.opset
    if opset < _SCALES_ARE_INPUT:
        found = attribute(passage.node, "scales")
        return (None if found is None else tuple(found.floats)), ""
    name = _input(2 if opset >= _HAS_SIZES else 1, passage)
    numbers = passage.around.numbers(name) if name else None
    return (None if numbers is None else tuple(map(float, numbers.high.flat))), name


def _keeps_size(axis: int, place: int, passage: Passage) -> bool | None:
    """Whether an axis, at this place among the scales, is as long as before by what is given."""
    scales, name = _scales(passage)
    if scales is not None:
        return scales[place] == 1 if -len(scales) <= place < len(scales) else None
    if name:
        return None
    if _text(passage, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return False
    before = size(passage.node.input[0], axis, passage.around)
    after = size(passage.node.output[0], axis, passage.around)
    return None if before is None or after is None else before == after


def _refusal(axis: int, passage: Passage) -> Reason | None:
    """Why an affine along an axis stays, if it does."""
    place, given = axis, integers(passage.node, "axes")
    if given is not None:
        axes = axes_from_right(given, passage)
        if axes is None:
            return Reason.MISSING_AXES
        if axis not in axes:
            return None
        place = axes.index(axis)
        if axes.count(axis) > 1:
            return Reason.UNUSUAL_FORM
    keeps = _keeps_size(axis, place, passage)
    if keeps is None:
        return Reason.SIZES_UNKNOWN
    if not (keeps and _keeps_places(passage)):
        return Reason.MIXES_CHANNELS
    whole = _is_whole(place, passage) if _crops(passage) else True
    return None if whole else Reason.SIZES_UNKNOWN if whole is None else Reason.MIXES_CHANNELS


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    affine = affine.narrowed()
    refused = _obstacle(affine, passage)
    if refused is None and affine.axis is not None:
        refused = _refusal(affine.axis, passage)
    return affine if refused is None else stay(refused, passage)


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    inputs = passage.node.input
    if passage.place or inputs[0] in inputs[1:]:
        return stay(Reason.UNUSUAL_FORM, passage)
    return up(affine, passage)


def _of_upsample(rule: Rule) -> Rule:
    """The rule, in the versions of Upsample that it knows."""

    def checked(affine: ChannelAffine, passage: Passage) -> Answer:
        known = _HAS_SCALES <= passage.around.opset < _GONE
        return rule(affine, passage) if known else stay(Reason.UNUSUAL_FORM, passage)

    return checked


RULE = Carrier(("Resize",), up, down)
UPSAMPLE = Carrier(("Upsample",), _of_upsample(up), _of_upsample(down))
