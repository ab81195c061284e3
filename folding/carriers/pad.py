"""Pad.

    x ─ Pad(pads, p) ─ affine ─ y                       before
    x ─ affine ─ Pad(pads, scale·p + shift) ─ y         after

    x ─ affine ─ Pad(pads, p) ─ y                       before
    x ─ Pad(pads, (p - shift) / scale) ─ affine ─ y     after

The modes reflect, edge and wrap repeat what is there, so every affine passes.

1. The axis of the channels must not be padded or cropped itself, which asks for known pads; a
   scalar and an affine that is the same for all channels have no axis. The pads are an attribute
   below opset 11 and an input since, for the axes of a further input since opset 18.
2. A mode that ONNX does not know is refused, and opset 1, which has other attributes.
3. What is padded with must be known, and become one finite number for all channels; there is none
   downward where a scale is 0, unless it stays as it is. If nothing is padded, only cropped, it
   does not matter.
4. Below opset 11 that number is an attribute, which must not have to change.
5. Downward only from before the data.
"""

from __future__ import annotations

from collections.abc import Callable

from folding.affine import ChannelAffine
from folding.carriers.axes import axes_from_right
from folding.carriers.base import Carrier, Moved, Passage, stay
from folding.doubled import Doubled
from folding.plan import Kept, Reason
from folding.protos import attribute, integers, number

_PADS_ARE_NAMED, _INPUTS = 2, 11
_PADS, _VALUE, _AXES = 1, 2, 3
_REPEATING = frozenset({b"edge", b"reflect", b"wrap"})


def _input(slot: int, passage: Passage) -> str:
    """The name of an input that may be absent."""
    inputs = passage.node.input
    return inputs[slot] if len(inputs) > slot else ""


def _pads(passage: Passage) -> dict[int, tuple[int, int]] | None:
    """Begin and end by the axis from the right, None if they are not known."""
    node, around = passage.node, passage.around
    if around.opset < _INPUTS:
        pads, name = integers(node, "pads"), ""
    else:
        pads, name = around.integers(_input(_PADS, passage)), _input(_AXES, passage)
    if pads is None:
        return None
    count = len(pads) // 2
    given = around.integers(name) if name else tuple(range(-count, 0))
    axes = axes_from_right(given, passage) if given is not None else None
    if axes is None or len(set(axes)) != count:
        return None
    return dict(zip(axes, zip(pads[:count], pads[count:], strict=False), strict=True))


def _value(passage: Passage) -> Doubled | None:
    """The one number that is padded with, None if it is not known."""
    if passage.around.opset < _INPUTS:
        return Doubled.exact(number(passage.node, "value", 0.0))
    name = _input(_VALUE, passage)
    value = passage.around.numbers(name) if name else Doubled.exact(0.0)
    return value if value is not None and value.size == 1 else None


def _over(
    affine: ChannelAffine, passage: Passage, change: Callable[[Doubled], Doubled]
) -> Moved | Kept:
    """The answer for an affine beside which ``change`` is what becomes of the number."""
    found = attribute(passage.node, "mode")
    mode = b"constant" if found is None else found.s
    if passage.around.opset < _PADS_ARE_NAMED or mode not in {b"constant", *_REPEATING}:
        return stay(Reason.UNUSUAL_FORM, passage)
    affine = affine.narrowed()
    pads = _pads(passage)
    if affine.axis is not None:
        if pads is None:
            return stay(Reason.SIZES_UNKNOWN, passage)
        if any(pads.get(affine.axis, ())):
            return stay(Reason.PADS, passage)
    if mode in _REPEATING or (pads is not None and max(map(max, pads.values()), default=0) <= 0):
        return Moved({0: affine})
    return _with_value(affine, passage, change)


def _with_value(
    affine: ChannelAffine, passage: Passage, change: Callable[[Doubled], Doubled]
) -> Moved | Kept:
    old = _value(passage)
    if old is None:
        return stay(Reason.PADS, passage)
    if old.is_same(affine.scale * old + affine.shift):
        return Moved({0: affine})
    new = change(old)
    first = new.reshape(new.size)[0]
    if passage.around.opset < _INPUTS or not new.is_finite() or not new.is_uniform():
        return stay(Reason.PADS, passage)
    return Moved({0: affine}, {_VALUE: first.reshape(*old.shape)})


def up(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    return _over(affine, passage, lambda p: affine.scale * p + affine.shift)


def down(affine: ChannelAffine, passage: Passage) -> Moved | Kept:
    if passage.place:
        return stay(Reason.UNUSUAL_FORM, passage)
    return _over(affine, passage, lambda p: (p - affine.shift) / affine.scale)


RULE = Carrier(("Pad",), up, down)
