"""Conv and ConvTranspose: each output is a sum over the taps and the channels of its group."""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import NodeProto

from folding.equivalence.sampling.contraction import Weight, contract
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Dims, Sampled, require, zeros
from folding.equivalence.sampling.windows import Sources, transposed_windows, windows
from folding.protos import integer

_LEAST_RANK = 3


def _shapes(pull: Pull, node: NodeProto) -> tuple[Dims, Dims, Dims, int]:
    """Of the data, the weight and the output; and the number of groups."""
    data, weight = pull.shape(node.input[0]), pull.shape(node.input[1])
    result, group = pull.shape(node.output[0]), integer(node, "group", 1)
    fits = _LEAST_RANK <= len(data) == len(weight) == len(result) and group > 0
    require(fits, f"the ranks of {node.op_type} do not fit")
    return data, weight, result, group


def _read(pull: Pull, name: str, weight: Weight, batch: Coordinates, sources: Sources) -> Sampled:
    """What the taps of some places read, of all channels; padding is zero."""
    where, inside = sources
    groups, inputs, taps = weight.sources
    place, tap = np.nonzero(inside)
    channels = np.arange(groups * inputs)
    coords = np.empty((len(channels), len(place), where.shape[-1] + 2), np.int64)
    coords[..., 0] = batch[place]
    coords[..., 1] = channels[:, None]
    coords[..., 2:] = where[place, tap]
    found = pull.at(name, coords.reshape(-1, coords.shape[-1]))
    read = zeros((len(channels), taps, len(batch)), pull.wide)
    read[:, tap, place] = found.reshape(*coords.shape[:2])
    return read.reshape(groups, inputs, taps, len(batch))


def _plus_bias(
    pull: Pull, node: NodeProto, total: Sampled, coords: Coordinates, count: int
) -> Sampled:
    name = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004
    if not name:
        return total
    require(pull.shape(name) == (count,), f"the bias of {node.op_type} does not fit")
    return total + pull.at(name, coords[:, 1:2])


def conv(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """A convolution with any number of axes and groups."""
    data, kernel, result, group = _shapes(pull, node)
    frame = windows(node, data[2:], kernel[2:])
    channels = kernel[0]
    fits = data[1] == group * kernel[1] and channels % group == 0
    require(fits, "the channels of Conv do not fit")
    require(result == (data[0], channels, *frame.outputs()), "the output of Conv does not fit")
    dims = group, channels // group, kernel[1], prod(kernel[2:])
    weight = Weight(pull.numbers(node.input[1]), dims, "goii")

    def fetch(places: Coordinates) -> Sampled:
        return _read(pull, node.input[0], weight, places[:, 0], frame.covered(places[:, 1:]))

    total = contract(pull, weight, coords, result, 1, fetch)
    return _plus_bias(pull, node, total, coords, channels)


def conv_transpose(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """A transposed convolution; its weight has its inputs first."""
    data, kernel, result, group = _shapes(pull, node)
    frame, spatial = transposed_windows(node, data[2:], kernel[2:])
    channels = kernel[1] * group
    fits = data[1] == kernel[0] and kernel[0] % group == 0
    require(fits, "the channels of ConvTranspose do not fit")
    require(result == (data[0], channels, *spatial), "the output of ConvTranspose does not fit")
    dims = group, kernel[0] // group, kernel[1], prod(kernel[2:])
    weight = Weight(pull.numbers(node.input[1]), dims, "gioi")

    def fetch(places: Coordinates) -> Sampled:
        return _read(pull, node.input[0], weight, places[:, 0], frame.spread(places[:, 1:]))

    total = contract(pull, weight, coords, result, 1, fetch)
    return _plus_bias(pull, node, total, coords, channels)
