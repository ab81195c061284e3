"""Pooling: MaxPool, AveragePool, LpPool, and GlobalMaxPool, GlobalAveragePool, GlobalLpPool.

    x ─ Pool ─ affine ─ y        before, upward; after, downward
    x ─ affine ─ Pool ─ y        after, upward; before, downward

Each channel of each sample is pooled by itself, so the affine is the same on both sides.

1. The channels are on axis 0 or 1. The spatial axes are as many as the kernel has, or all but two
   of a known rank.
2. The largest number stays the largest only if no scale is negative.
3. A MaxPool's second output, where in the input the largest were found, has no reader: rounding
   may make two numbers equal that were not.
4. No window of a MaxPool lies wholly outside of the input: its largest number would be some
   constant. With a shift no window of an AveragePool does.
5. An AveragePool is passed by every scale. By a shift only if the weights of each window sum to
   one: ``count_include_pad`` is not set, or there is nothing to count.
6. A norm is passed as ``Abs`` is; ``p`` is at least 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from folding.affine import ChannelAffine
from folding.carriers import absolute
from folding.carriers.base import Carrier, Passage, stay
from folding.carriers.windows import Windows, kernel_of, windows_of
from folding.plan import Kept, Reason
from folding.protos import integer

_Rule = Callable[[ChannelAffine, Passage], ChannelAffine | Kept]


def _beside_windows(pooled: _Rule, affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    kernel = kernel_of(passage)
    if not kernel:
        return stay(Reason.UNUSUAL_FORM, passage)
    return _beside(len(kernel), pooled, affine, passage)


def _beside_all(pooled: _Rule, affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    shape = passage.around.shape(passage.node.input[0])
    if shape is None and affine.axis is not None:
        return stay(Reason.MISSING_AXES, passage)
    return _beside(len(shape or ()) - 2, pooled, affine, passage)


def _beside(
    spatial: int, pooled: _Rule, affine: ChannelAffine, passage: Passage
) -> ChannelAffine | Kept:
    """What a rule says of an affine whose channels stand before so many spatial axes."""
    if affine.axis is not None and -affine.axis <= spatial:
        return stay(Reason.MIXES_CHANNELS, passage)
    return pooled(affine, passage)


def _largest(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    return affine if affine.keeps_order else stay(Reason.NEGATIVE_SCALE, passage)


def _largest_in_windows(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if any(passage.around.is_read(name) for name in passage.node.output[1:]):
        return stay(Reason.OUTPUT_USED, passage)
    return _fault(Windows.emptiness, passage) or _largest(affine, passage)


def _mean(affine: ChannelAffine, passage: Passage) -> ChannelAffine:
    return affine


def _mean_of_windows(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if affine.is_scale:
        return affine
    counts_pads = integer(passage.node, "count_include_pad", 0)
    return _fault(Windows.overhang if counts_pads else Windows.emptiness, passage) or affine


def _fault(found: Callable[[Windows], Reason | None], passage: Passage) -> Kept | None:
    """What is found to be wrong with the windows along any axis."""
    windows = windows_of(passage)
    if isinstance(windows, Kept):
        return windows
    reason = next(filter(None, map(found, windows)), None)
    return stay(reason, passage) if reason else None


def _norm(moved: _Rule, affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    if integer(passage.node, "p", 2) < 1:
        return stay(Reason.UNUSUAL_FORM, passage)
    return moved(affine, passage)


def _carrier(operator: str, over: Callable[..., ChannelAffine | Kept], *pooled: _Rule) -> Carrier:
    """A rule for each direction, or one for both."""
    return Carrier(
        (operator,), partial(over, pooled[0]), partial(over, pooled[-1]), keeps_numbers=True
    )


_NORMS = partial(_norm, absolute.up), partial(_norm, absolute.down)

RULE = _carrier("MaxPool", _beside_windows, _largest_in_windows)
AVERAGE = _carrier("AveragePool", _beside_windows, _mean_of_windows)
NORM = _carrier("LpPool", _beside_windows, *_NORMS)
GLOBAL_MAX = _carrier("GlobalMaxPool", _beside_all, _largest)
GLOBAL_AVERAGE = _carrier("GlobalAveragePool", _beside_all, _mean)
GLOBAL_NORM = _carrier("GlobalLpPool", _beside_all, *_NORMS)
