"""Where the windows of a pooling operator lie.

    positions of the taps = i * stride - begin + j * dilation      for i < count, j < kernel
    count = (size + begin + end - (kernel - 1) * dilation - 1) / stride + 1

The division rounds down, or up with ``ceil_mode``; then the last window may reach beyond the end of
the padding. If it even *starts* behind the input, it is left out since opset 22, and was not before
(to the text: onnxruntime has always left it out). VALID is no padding: to the text it never rounds
up, which only makes fewer windows, but onnxruntime does.

In an input that is shorter than the window there is none, but onnxruntime, whose division rounds
towards zero, has one if the stride is longer than what is missing. That is heeded where the size is
known; where it is not, a shorter input is taken for one that the model is not meant for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from folding.carriers.base import Passage, stay
from folding.plan import Kept, Reason
from folding.protos import attribute, integer, integers

_LATE_WINDOWS_LEFT_OUT = 22
_SAME = (b"SAME_UPPER", b"SAME_LOWER")


@dataclass(frozen=True, slots=True)
class Windows:
    """Those along one spatial axis.

    ``size`` is the input's length, None if it is not known; so are ``begin`` and ``end`` where they
    follow from it (SAME). ``ceil`` is whether the count is rounded up, ``drops`` whether a window
    that starts behind the input is left out.
    """

    size: int | None
    kernel: int
    stride: int
    dilation: int
    begin: int | None
    end: int | None
    ceil: bool
    drops: bool

    @property
    def reach(self) -> int:
        """From the first tap of a window to its last."""
        return (self.kernel - 1) * self.dilation

    def emptiness(self) -> Reason | None:
        """Why a window may hold nothing of the input, None if each holds something.

        One that starts before the input and ends in it has a tap among the first ``dilation``
        elements, if there are so many.
        """
        if self.size == 0:
            return Reason.EMPTY_WINDOW
        if self.begin is None or self.end is None:  # SAME pads no more than the reach.
            return None if self.dilation == 1 or self.kernel == 1 else Reason.SIZES_UNKNOWN
        if self.begin > self.reach:
            return Reason.EMPTY_WINDOW
        if not self.drops and (late := self._lateness(self.begin, self.end)) is not None:
            return late
        if self.begin == 0 or self.dilation == 1:
            return None
        if self.size is None:
            return Reason.SIZES_UNKNOWN
        return Reason.EMPTY_WINDOW if self.dilation > self.size else None

    def overhang(self) -> Reason | None:
        """Why a window may hold something outside of the input, None if none does."""
        if self.begin is None or self.end is None:
            return None if self.kernel == 1 else Reason.SIZES_UNKNOWN
        if self.begin or self.end:
            return Reason.PADS
        if self.size is not None and 0 < self.reach + 1 - self.size < self.stride:
            return Reason.PADS
        if not self.ceil or self.stride == 1 or (self.drops and self.kernel == 1):
            return None
        if self.size is None:
            return Reason.SIZES_UNKNOWN
        last = self._last(self.size, 0, 0)
        is_none = last < 0 or (self.drops and last >= self.size)
        return None if is_none or last + self.reach < self.size else Reason.PADS

    def _lateness(self, begin: int, end: int) -> Reason | None:
        """Why a window may start behind the input."""
        if self.size is None:
            slack = self.stride - 1 if self.ceil else 0
            return Reason.SIZES_UNKNOWN if end + slack > self.reach else None
        return Reason.EMPTY_WINDOW if self._last(self.size, begin, end) >= self.size else None

    def _last(self, size: int, begin: int, end: int) -> int:
        """Where the last window starts, none left out."""
        room = size + begin + end - self.reach - 1
        return (-(-room // self.stride) if self.ceil else room // self.stride) * self.stride - begin


def kernel_of(passage: Passage) -> tuple[int, ...]:
    """The window's length along each spatial axis; () if that makes no sense."""
    kernel = integers(passage.node, "kernel_shape") or ()
    return kernel if all(length > 0 for length in kernel) else ()


def windows_of(passage: Passage) -> tuple[Windows, ...] | Kept:
    """The windows of a pooling node along each spatial axis."""
    node, kernel = passage.node, kernel_of(passage)
    count = len(kernel)
    strides = integers(node, "strides") or (1,) * count
    dilations = integers(node, "dilations") or (1,) * count
    pads = integers(node, "pads") or (0,) * (2 * count)
    shape = passage.around.shape(node.input[0]) or (None,) * (count + 2)
    padding = attribute(node, "auto_pad")
    mode = b"NOTSET" if padding is None else padding.s
    lengths = len(strides), len(dilations), len(pads) - count, len(shape) - 2
    sound = min(strides + dilations) > 0 and min(pads) >= 0
    # With both, some go by the one and some by the other.
    clear = mode == b"NOTSET" or (mode in (b"VALID", *_SAME) and not any(pads))
    if lengths != (count,) * 4 or not sound or not clear:
        return stay(Reason.UNUSUAL_FORM, passage)
    same = mode in _SAME
    ceil = bool(integer(node, "ceil_mode", 0)) and not same
    drops = ceil and passage.around.opset >= _LATE_WINDOWS_LEFT_OUT
    columns = zip(shape[2:], kernel, strides, dilations, pads[:count], pads[count:], strict=True)
    windows = [
        Windows(size, taps, stride, dilation, begin, end, ceil, drops)
        for size, taps, stride, dilation, begin, end in columns
    ]
    return tuple(map(_padded, windows) if same else windows)


def _padded(windows: Windows) -> Windows:
    """The same with so much padding that the output is as long as the input, over the stride.

    Whether the odd one stands before or behind the input makes no difference to what is asked.
    """
    if windows.size is None:
        return replace(windows, begin=None, end=None)
    last = (windows.size - 1) // windows.stride * windows.stride
    total = max(last + windows.reach + 1 - windows.size, 0)
    return replace(windows, begin=total // 2, end=total - total // 2)
