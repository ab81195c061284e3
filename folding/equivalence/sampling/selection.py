"""Operators that turn elements round, leave some out, put zeros there, or add some up."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from folding.equivalence.sampling.elementwise import same_place
from folding.equivalence.sampling.moves import axis_of
from folding.equivalence.sampling.numbers import unravelled
from folding.equivalence.sampling.pull import Pull
from folding.equivalence.sampling.values import Coordinates, Sampled, require, zeros
from folding.protos import attribute, integer


def reverse_sequence(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """ReverseSequence: of each batch so many elements are in reverse order."""
    shape, lengths = pull.shape(node.input[0]), pull.integers(node.input[1])
    time, batch = integer(node, "time_axis", 0), integer(node, "batch_axis", 1)
    fits = (time, batch) in ((0, 1), (1, 0)) and lengths.shape == (shape[batch],)
    fits = fits and shape == pull.shape(node.output[0])
    within = bool(((lengths >= 0) & (lengths <= shape[time])).all()) if fits else False
    require(within, "the lengths of ReverseSequence do not fit")
    source, length = coords.copy(), lengths[coords[:, batch]]
    turned = coords[:, time] < length
    source[turned, time] = (length - 1 - coords[:, time])[turned]
    return pull.at(node.input[0], source)


def compress(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Compress: what the condition takes, along an axis or of all elements in their order."""
    shape = pull.shape(node.input[0])
    taken = np.flatnonzero(pull.integers(node.input[1]))
    if attribute(node, "axis") is None:
        return pull.at(node.input[0], unravelled(taken[coords[:, 0]], shape))
    axis, source = axis_of(node, 0, len(shape)), coords.copy()
    source[:, axis] = taken[coords[:, axis]]
    return pull.at(node.input[0], source)


def trilu(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Trilu: zeros on one side of a diagonal of the last two axes."""
    diagonal = int(pull.integers(node.input[1]).item()) if any(node.input[1:]) else 0
    beside = coords[:, -1] - coords[:, -2] - diagonal
    kept = beside >= 0 if integer(node, "upper", 1) else beside <= 0
    found = zeros((len(coords),), pull.wide)
    found[kept] = same_place(pull, node, coords[kept])
    return found


def cum_sum(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """CumSum: each element, or none, and all before it, or behind it."""
    shape = pull.shape(node.input[0])
    axis = int(pull.integers(node.input[1]).item())
    require(shape == pull.shape(node.output[0]), "the output of CumSum has another shape")
    ends, is_reverse = coords[:, axis], bool(integer(node, "reverse", 0))
    shut = int(bool(integer(node, "exclusive", 0)))
    found = zeros((len(coords),), pull.wide)
    for place in range(shape[axis]):
        distance = place - ends if is_reverse else ends - place
        rows = np.flatnonzero(distance >= shut)
        source = coords[rows]
        source[:, axis] = place
        found[rows] = found[rows] + pull.at(node.input[0], source)
    return found
