"""Normalisations by statistics of the run: of a layer, a group, an instance, or root mean squares.

    y = (x - mean) / root * scale + bias,        root = sqrt(variance + epsilon)

All statistics are computed in float64 from the elements themselves, never estimated. If every x[i]
is off by an error of at most u * m[i], m being its magnitude, then to first order

    mean is off by at most      u * mean(m)
    root is off by at most      u * mean(|x - mean| * m) / root  <=  u * rms(m)
    and so y by at most         u * |scale| * (m + mean(m) + |x - mean| / root * rms(m)) / root

The first inequality of the second line is the derivative of the variance; the second follows from
Cauchy and Schwarz, as the root mean square of x - mean is no larger than root. What is in the last
line's brackets, with the bias added, is the magnitude. The roundings of the mean, the root and the
quotient are each of the size of one of its terms. A runtime that takes the variance as the
difference of two means loses more where the mean is far from zero; that shows in the reference.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.equivalence.sampling.elementwise import same_place
from folding.equivalence.sampling.moves import axis_of
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.rows import distinct
from folding.equivalence.sampling.values import Coordinates, Dims, Floats, Sampled, require
from folding.protos import integer, number

_EPSILON = float(np.float32(1e-5))
_SPATIAL = 2
_BY_CHANNEL_SINCE = 21


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of each row: the mean, and the sum of the squares of what differs from it.

    ``sizes`` and ``squared_sizes`` are the sums of the magnitudes and of their squares.
    """

    count: int
    mean: Floats
    squares: Floats
    sizes: Floats
    squared_sizes: Floats

    def __add__(self, other: _Moments) -> _Moments:
        """Those of longer rows (Chan, Golub and LeVeque, 1983)."""
        count, apart = self.count + other.count, other.mean - self.mean
        between = apart**2 * (self.count * other.count / count)
        return _Moments(
            count,
            self.mean + apart * (other.count / count),
            self.squares + other.squares + between,
            self.sizes + other.sizes,
            self.squared_sizes + other.squared_sizes,
        )


def _moments(rows: Sampled) -> _Moments:
    mean = rows.value.mean(1)
    squares = np.square(rows.value - mean[:, None]).sum(1)
    sizes, squared_sizes = rows.magnitude.sum(1), np.square(rows.magnitude).sum(1)
    return _Moments(rows.value.shape[1], mean, squares, sizes, squared_sizes)


def _normalised(
    pull: Pull,
    node: NodeProto,
    coords: Coordinates,
    origins: Coordinates,
    lengths: Dims,
    *,
    centred: bool = True,
) -> Sampled:
    """Elements, normalised by the rows that begin at ``origins``; without the mean if not centred.

    Each row is read once, however many elements of it are wanted.
    """
    x = same_place(pull, node, coords)
    name = node.input[0]
    rows, row = distinct(name, origins, lengths, pull.shape(name))
    mean, variance, typical, square = np.zeros((4, len(rows.origins)), pull.wide)
    for some, found in rows.reduced(pull, _moments, operator.add):
        mean[some], variance[some] = found.mean, found.squares / found.count
        typical[some], square[some] = found.sizes / found.count, found.squared_sizes / found.count
    if not centred:
        variance += mean**2
        mean[:], typical[:] = 0, 0
    root = np.sqrt(variance + number(node, "epsilon", _EPSILON))[row]
    value = (x.value - mean[row]) / root
    magnitude = x.magnitude + typical[row] + np.abs(value) * np.sqrt(square)[row]
    return Sampled(value, magnitude / root)


def _from_axis(
    pull: Pull, node: NodeProto, slot: int, coords: Coordinates, *, centred: bool
) -> Sampled:
    """Elements, normalised over all axes from one on, and scaled."""
    require(slot == 0, f"not supported: the statistics of {node.op_type}")
    shape = pull.shape(node.input[0])
    axis = axis_of(node, -1, len(shape))
    origins = coords.copy()
    origins[:, axis:] = 0
    lengths = (*(1,) * axis, *shape[axis:])
    x = _normalised(pull, node, coords, origins, lengths, centred=centred)
    return x * pull.broadcast(node.input[1], coords, shape)


def layer_normalization(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """LayerNormalization without its statistics; the bias may be missing."""
    scaled = _from_axis(pull, node, slot, coords, centred=True)
    name = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004
    return scaled + pull.broadcast(name, coords, pull.shape(node.input[0])) if name else scaled


def rms_normalization(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """RMSNormalization: the mean counts as zero, and there is no bias."""
    return _from_axis(pull, node, slot, coords, centred=False)


def _of_channels(
    pull: Pull, node: NodeProto, coords: Coordinates, width: int, index: npt.NDArray[np.int64]
) -> Sampled:
    """Elements, normalised over so many channels in a row, with a scale and a bias by index."""
    shape = pull.shape(node.input[0])
    origins = np.zeros_like(coords)
    origins[:, 0], origins[:, 1] = coords[:, 0], coords[:, 1] // width * width
    x = _normalised(pull, node, coords, origins, (1, width, *shape[_SPATIAL:]))
    scale, bias = (pull.at(name, index[:, None]) for name in node.input[1:3])
    return x * scale + bias


def _check_parameters(pull: Pull, node: NodeProto, count: int) -> None:
    fits = all(pull.shape(name) == (count,) for name in node.input[1:3])
    require(fits, f"the parameters of {node.op_type} do not fit")


def instance_normalization(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """InstanceNormalization: each channel of each sample by itself."""
    _check_parameters(pull, node, pull.shape(node.input[0])[1])
    return _of_channels(pull, node, coords, 1, coords[:, 1])


def group_normalization(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """GroupNormalization: as many channels in a row as make a group, together."""
    channels, groups = pull.shape(node.input[0])[1], integer(node, "num_groups", 0)
    require(
        groups > 0 and channels % groups == 0, "'num_groups' of GroupNormalization does not fit"
    )
    width, by_channel = channels // groups, pull.opset >= _BY_CHANNEL_SINCE
    _check_parameters(pull, node, channels if by_channel else groups)
    channel = coords[:, 1]
    return _of_channels(pull, node, coords, width, channel if by_channel else channel // width)
