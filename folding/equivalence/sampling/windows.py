"""Which elements of the input a window covers: strides, dilations and every kind of padding.

Of a convolution or pool, output place o sees under tap t of an axis the input ``o * stride - pad +
t * dilation``. A transposed convolution has it the other way round: input i goes through tap t to
the output ``i * stride - pad + t * dilation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.values import Coordinates, Dims, require
from folding.protos import attribute, integers

_LARGEST = 1 << 40

#: Coordinates along the spatial axes for each place and tap; and which of them are inside.
Sources = tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of one node, axis by axis; ``dims`` are those of its input."""

    dims: Dims
    kernel: Dims
    strides: Dims
    dilations: Dims
    heads: Dims
    tails: Dims

    @property
    def extents(self) -> Dims:
        """How far a window reaches, holes included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def _starts(self, places: Coordinates) -> npt.NDArray[np.int64]:
        """Where the windows of outputs begin."""
        starts: npt.NDArray[np.int64] = places * np.array(self.strides) - np.array(self.heads)
        return starts

    @property
    def _taps(self) -> npt.NDArray[np.int64]:
        """How far each tap is from the beginning."""
        grid = np.indices(self.kernel).reshape(len(self.kernel), -1).T
        taps: npt.NDArray[np.int64] = grid * np.array(self.dilations)
        return taps

    def covered(self, places: Coordinates) -> Sources:
        """The inputs under each tap of the windows of some outputs."""
        found = self._starts(places)[:, None] + self._taps
        return found, self._is_inside(found)

    def spread(self, places: Coordinates) -> Sources:
        """The inputs that reach some outputs through each tap, transposed."""
        moved = (places + np.array(self.heads))[:, None] - self._taps
        found, rest = np.divmod(moved, np.array(self.strides))
        return found, self._is_inside(found) & (rest == 0).all(-1)

    def _is_inside(self, found: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return np.asarray(((found >= 0) & (found < np.array(self.dims))).all(-1))

    def padded(self, found: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which places are inside or in the padding."""
        ends = np.array(self.dims) + np.array(self.tails)
        return np.asarray(((found >= -np.array(self.heads)) & (found < ends)).all(-1))

    def outputs(self, *, ceil: bool = False) -> Dims:
        """How many windows there are along each axis."""
        spare = [
            head + size + tail - extent
            for head, size, tail, extent in zip(
                self.heads, self.dims, self.tails, self.extents, strict=True
            )
        ]
        return tuple(
            (-(-rest // stride) if ceil else rest // stride) + 1
            for rest, stride in zip(spare, self.strides, strict=True)
        )


def _each(node: NodeProto, name: str, default: Sequence[int], least: int) -> Dims:
    """An attribute of several numbers; ``default`` stands for it if it is missing."""
    found = integers(node, name) or tuple(default)
    fits = all(least <= number < _LARGEST for number in found)
    require(fits, f"'{name}' of {node.op_type} does not fit")
    return found


def _unpadded(node: NodeProto, dims: Dims, kernel: Dims) -> Windows:
    require(len(dims) == len(kernel) > 0, f"the kernel of {node.op_type} has another rank")
    given = integers(node, "kernel_shape")
    require(given in (None, kernel), f"'kernel_shape' of {node.op_type} does not fit")
    ones, none = (1,) * len(dims), (0,) * len(dims)
    strides = _each(node, "strides", ones, 1)
    return Windows(dims, kernel, strides, _each(node, "dilations", ones, 1), none, none)


def _padded(base: Windows, heads: Sequence[int], tails: Sequence[int]) -> Windows:
    return replace(base, heads=tuple(heads), tails=tuple(tails))


def _mode(node: NodeProto) -> str:
    """How pads are found. VALID means none, and none may be given besides."""
    found = attribute(node, "auto_pad")
    return found.s.decode("ascii", "replace") if found is not None else "NOTSET"


def _given_pads(node: NodeProto, rank: int) -> tuple[Dims, Dims]:
    pads = _each(node, "pads", (0,) * 2 * rank, 0)
    return pads[:rank], pads[rank:]


def _halves(total: Sequence[int], mode: str) -> tuple[list[int], list[int]]:
    """What of the padding is before and behind; of an odd one, SAME_UPPER puts more behind."""
    less, more = [size // 2 for size in total], [size - size // 2 for size in total]
    return (less, more) if mode == "SAME_UPPER" else (more, less)


def windows(node: NodeProto, dims: Dims, kernel: Dims) -> Windows:
    """The windows of a convolution or pool."""
    base, mode = _unpadded(node, dims, kernel), _mode(node)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        return _padded(base, *_given_pads(node, len(dims)))
    total = [
        max(0, (-(-size // stride) - 1) * stride + extent - size)
        for size, stride, extent in zip(dims, base.strides, base.extents, strict=True)
    ]
    return _padded(base, *_halves(total, mode))


def transposed_windows(node: NodeProto, dims: Dims, kernel: Dims) -> tuple[Windows, Dims]:
    """The windows of a transposed convolution, and the spatial shape of its output."""
    base, mode, rank = _unpadded(node, dims, kernel), _mode(node), len(dims)
    extra = _each(node, "output_padding", (0,) * rank, 0)
    full = [
        stride * (size - 1) + more + extent
        for stride, size, more, extent in zip(base.strides, dims, extra, base.extents, strict=True)
    ]
    wanted = integers(node, "output_shape")
    if wanted is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(map(min, full, np.multiply(dims, base.strides).tolist()))
    if wanted is None:
        heads, tails = _given_pads(node, rank)
        cut = [f - head - tail for f, head, tail in zip(full, heads, tails, strict=True)]
        return _padded(base, heads, tails), tuple(cut)
    require(len(wanted) == rank, "'output_shape' of ConvTranspose does not fit")
    total = [max(0, f - size) for f, size in zip(full, wanted, strict=True)]
    return _padded(base, *_halves(total, mode)), wanted
