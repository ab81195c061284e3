"""Operators that compute each element from those in the same place.

What a function with a kink makes of an error is at most the error times its steepest slope, so the
magnitude passes Relu and its kin with that factor.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce

import numpy as np
from onnx import NodeProto

from folding.equivalence.sampling.pull import Operator, Pull
from folding.equivalence.sampling.values import Coordinates, Sampled, require
from folding.floats import FLOATS
from folding.protos import attribute, integer, number

_BROADCASTS_SINCE = 7
_ATTRIBUTES_ARE_INPUTS_SINCE = 11
_MODE_IS_ATTRIBUTE_SINCE = 14
_EPSILON = float(np.float32(1e-5))
_LEAKY_ALPHA = float(np.float32(0.01))


def _operands(pull: Pull, node: NodeProto, coords: Coordinates) -> list[Sampled]:
    """All inputs, broadcast to the shape of the output."""
    shape = pull.shape(node.output[0])
    shapes = [pull.shape(name) for name in node.input]
    require(np.broadcast_shapes(*shapes) == shape, f"the shapes of {node.op_type} do not fit")
    modern = pull.opset >= _BROADCASTS_SINCE or len(set(shapes)) == 1
    require(modern, f"not supported: {node.op_type} of opset {pull.opset} that broadcasts")
    return [pull.broadcast(name, coords, shape) for name in node.input]


def arithmetic(combine: Callable[[Sampled, Sampled], Sampled]) -> Operator:
    """An operator of two inputs, or of any number of them one after the other."""

    def combined(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
        return reduce(combine, _operands(pull, node, coords))

    return combined


def extreme(choose: np.ufunc) -> Operator:
    """Max or Min: wrong by no more than the one of its inputs that is most."""

    def combine(one: Sampled, other: Sampled) -> Sampled:
        magnitude = np.maximum(one.magnitude, other.magnitude)
        return Sampled(choose(one.value, other.value), magnitude)

    return arithmetic(combine)


def where(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Where: what the condition takes, which must be known."""
    condition, *branches = node.input
    shape = pull.shape(node.output[0])
    is_one = np.broadcast_to(pull.integers(condition), shape)[tuple(coords.T)] != 0
    one, other = (pull.broadcast(name, coords, shape) for name in branches)
    value = np.where(is_one, one.value, other.value)
    return Sampled(value, np.where(is_one, one.magnitude, other.magnitude))


def mean(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Mean of any number of inputs."""
    found = _operands(pull, node, coords)
    return reduce(operator.add, found).times(1 / len(found))


def same_place(pull: Pull, node: NodeProto, coords: Coordinates) -> Sampled:
    """The first input in the same places; it must have the shape of the output."""
    fits = pull.shape(node.input[0]) == pull.shape(node.output[0])
    require(fits, f"the output of {node.op_type} has another shape")
    return pull.at(node.input[0], coords)


def negative(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Neg."""
    return -same_place(pull, node, coords)


def absolute(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Abs."""
    x = same_place(pull, node, coords)
    return Sampled(np.abs(x.value), x.magnitude)


def identity(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Identity."""
    return same_place(pull, node, coords)


def cast(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Cast to a float type; nothing is rounded."""
    require(integer(node, "to", 0) in FLOATS, "not supported: Cast to what is no float type")
    return same_place(pull, node, coords)


def dropout(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Dropout in inference form."""
    require(slot == 0, "not supported: the mask of Dropout")
    if pull.opset < _BROADCASTS_SINCE:
        is_training = not integer(node, "is_test", 0)
    else:
        mode = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004
        is_training = bool(mode) and bool(pull.integers(mode).any())
    require(not is_training, "not supported: Dropout in training")
    return same_place(pull, node, coords)


def batch_normalization(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """BatchNormalization in inference form: ``x * s + (beta - mean * s)``."""
    if pull.opset < _BROADCASTS_SINCE:
        is_training = not integer(node, "is_test", 0)
    elif pull.opset < _MODE_IS_ATTRIBUTE_SINCE:
        is_training = any(node.output[1:])
    else:
        is_training = bool(integer(node, "training_mode", 0))
    require(not is_training and slot == 0, "not supported: BatchNormalization in training")
    spatial = integer(node, "spatial", 1)
    require(spatial == 1, "not supported: BatchNormalization with a number for each position")
    x = same_place(pull, node, coords)
    channels = pull.shape(node.input[0])[1]
    fits = all(pull.shape(name) == (channels,) for name in node.input[1:5])
    require(fits, "the parameters of BatchNormalization do not fit")
    gamma, beta, mean, variance = (pull.at(name, coords[:, 1:2]) for name in node.input[1:5])
    # A number below zero under the root is NaN, as it is for the runtime.
    root = np.sqrt(variance.value + number(node, "epsilon", _EPSILON))
    scale = gamma / Sampled(root, root)
    return x * scale + (beta - mean * scale)


def relu(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Relu."""
    x = same_place(pull, node, coords)
    return Sampled(np.maximum(x.value, 0), x.magnitude)


def _bent(x: Sampled, slope: Sampled) -> Sampled:
    """The identity, with another slope for numbers below zero."""
    value = np.where(x.value < 0, x.value * slope.value, x.value)
    return Sampled(value, x.magnitude * np.maximum(slope.magnitude, 1))


def leaky_relu(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """LeakyRelu."""
    alpha = np.full(len(coords), number(node, "alpha", _LEAKY_ALPHA), pull.wide)
    return _bent(same_place(pull, node, coords), Sampled(alpha, np.abs(alpha)))


def p_relu(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """PRelu, whose slope is broadcast to the data."""
    require(pull.opset >= _BROADCASTS_SINCE, f"not supported: PRelu of opset {pull.opset}")
    shape = pull.shape(node.output[0])
    return _bent(same_place(pull, node, coords), pull.broadcast(node.input[1], coords, shape))


def clip(pull: Pull, node: NodeProto, slot: int, coords: Coordinates) -> Sampled:
    """Clip; a limit that is missing is infinite. Where they cross, the upper one holds."""
    x = same_place(pull, node, coords)
    limits = {"min": -np.inf, "max": np.inf}
    for place, name in enumerate(limits, 1):
        if pull.opset < _ATTRIBUTES_ARE_INPUTS_SINCE:
            given = attribute(node, name)
            limits[name] = limits[name] if given is None else given.f
        elif len(node.input) > place and node.input[place]:
            require(pull.shape(node.input[place]) in ((), (1,)), f"'{name}' of Clip is no number")
            numbers = pull.numbers(node.input[place])
            limits[name] = float(numbers.read(0, 1).value[0])
    value = np.minimum(np.maximum(x.value, limits["min"]), limits["max"])
    return Sampled(value, np.maximum(x.magnitude, np.abs(value)))
