"""Right folds that a comparison of outputs may easily take for wrong ones.

Each is a model of some seed, with inputs of its own where made-up ones do not show what it is for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from graphs import DOUBLE, FLOAT, HALF, Net
from onnx import ModelProto

Array = npt.NDArray[Any]
Feed = dict[str, Array]

_TERMS = 100_000


@dataclass(frozen=True, slots=True)
class Case:
    """A model, and inputs to run it on besides those that are made up."""

    model: ModelProto
    feeds: tuple[Feed, ...] = ()


def _image(net: Net, *shape: int) -> str:
    return net.input(*(shape or (2, 3, 12, 12)))


def _layer(net: Net, data: str = "x", channels: int = 8, inputs: int = 3, size: int = 3) -> str:
    """Conv and BatchNormalization."""
    weight = net.weight(channels, inputs, size, size)
    return net.batch_norm(net.node("Conv", data, weight, pads=[size // 2] * 4), channels)


def softmax(elem_type: int, seed: int) -> Case:
    """Saturated: one class has everything."""
    net = Net(elem_type, seed=seed)
    hidden = net.node("Relu", _layer(net, _image(net)))
    pooled = net.node("Flatten", net.node("GlobalAveragePool", hidden))
    logits = net.batch_norm(net.node("MatMul", pooled, net.weight(8, 10)), 10)
    large = net.node("Mul", logits, net.store(100.0))
    net.node("Softmax", large, axis=1, out="y")
    return Case(net.model("y"))


def tanh(elem_type: int, seed: int) -> Case:
    """Saturated: nearly all are 1 or -1."""
    net = Net(elem_type, seed=seed)
    large = net.node("Mul", _layer(net, _image(net)), net.store(50.0))
    net.node("Tanh", large, out="y")
    return Case(net.model("y"))


def argmax(elem_type: int, seed: int) -> Case:
    """Discrete outputs, some of them nearly tied."""
    net = Net(elem_type, seed=seed)
    net.node("ArgMax", _layer(net, _image(net), 32), axis=1, out="y")
    return Case(net.model("y"))


def top_k(elem_type: int, seed: int) -> Case:
    """Values and their places, with what is computed from both."""
    net = Net(elem_type, seed=seed)
    rows = net.node("Flatten", net.node("Relu", _layer(net, _image(net))))
    net.node("TopK", rows, net.integers(200), axis=1, out="v,i")
    net.node("Exp", net.node("Neg", "v"), out="z")
    return Case(net.model("v", "i", "z"))


def long_sums(elem_type: int, seed: int) -> Case:
    """Sums of 100,000 positive terms."""
    net = Net(elem_type, seed=seed)
    net.input(2, _TERMS)
    scale = 0.05 if elem_type == HALF else 1.0
    net.store(net.random.uniform(0.0, scale, (_TERMS, 4)), "w")
    data = net.node("MatMul", net.node("Abs", "x"), "w")
    net.node("Relu", net.batch_norm(data, 4), out="y")
    return Case(net.model("y"))


def constant_weights(elem_type: int, seed: int) -> Case:
    """All weights of a layer are the same number, and so are the statistics."""
    net = Net(elem_type, seed=seed)
    conv = net.node("Conv", _image(net), net.store(np.full((8, 3, 3, 3), 0.1 + seed)))
    parameters = [net.store(np.full(8, value)) for value in (0.7, 0.3, 1.1 + seed, 0.9)]
    net.node("Relu", net.node("BatchNormalization", conv, *parameters), out="y")
    return Case(net.model("y"))


def one_channel(elem_type: int, seed: int) -> Case:
    """One channel in, one out, and layers of one weight."""
    net = Net(elem_type, seed=seed)
    first = net.node("Relu", _layer(net, _image(net, 1, 1, 9, 9), 1, 1))
    net.node("GlobalAveragePool", _layer(net, first, 1, 1, 1), out="y")
    return Case(net.model("y"))


def average(elem_type: int, seed: int) -> Case:
    """The mean of a large picture: what is the same in all of it does not cancel."""
    net = Net(elem_type, seed=seed)
    picture = net.node("Abs", _image(net, 1, 3, 256, 256))
    net.node("GlobalAveragePool", _layer(net, picture), out="y")
    return Case(net.model("y"))


def without_noise(elem_type: int, seed: int) -> Case:
    """Every number is a small integer or a power of two, so that nothing is rounded at all."""
    net = Net(elem_type, seed=seed)
    weight = net.store(net.random.integers(-3, 4, (8, 3, 3, 3)))
    conv = net.node("Conv", _image(net), weight)
    gamma, beta, mean = (net.store(net.random.integers(-2, 3, 8) * 1.0) for _ in range(3))
    variance = net.store(np.full(8, 0.25))
    net.node("BatchNormalization", conv, gamma, beta, mean, variance, epsilon=0.0, out="y")
    whole = net.random.integers(-4, 5, (2, 2, 3, 12, 12)).astype(net.stored[weight].dtype)
    return Case(net.model("y"), tuple({"x": feed} for feed in whole))


def dead(elem_type: int, seed: int) -> Case:
    """Nothing of a fold arrives: all is cut off behind it."""
    net = Net(elem_type, seed=seed)
    low = net.node("Sub", net.node("Tanh", _layer(net, _image(net))), net.store(2.0))
    net.node("Relu", low, out="y")
    return Case(net.model("y"))


def near_the_maximum(elem_type: int, seed: int) -> Case:
    """Inputs next to the largest number of their type, with and without an overflow behind."""
    net = Net(elem_type, seed=seed)
    exponent = 15 if elem_type == HALF else 127
    weight = net.store(net.random.uniform(-1, 1, (8, 3, 3, 3)) * 2.0**-6)
    conv = net.node("Conv", _image(net), weight)
    net.node("Relu", net.batch_norm(conv, 8), out="y")
    dtype = net.stored[weight].dtype
    drawn = net.random.uniform(-1, 1, (3, 2, 3, 12, 12))
    scales = 2.0 ** (exponent - np.array([0, 3, 6])).reshape(-1, 1, 1, 1, 1)
    return Case(net.model("y"), tuple({"x": feed.astype(dtype)} for feed in drawn * scales))


def resize(elem_type: int, seed: int) -> Case:
    """Operators that take constants which no rounding may touch."""
    net = Net(elem_type, seed=seed)
    hidden = net.node("Relu", _layer(net, _image(net)))
    scales = net.store(np.array([1, 1, 2, 2]), elem_type=FLOAT)
    large = net.node("Resize", hidden, "", scales, mode="nearest")
    half = net.node("Floor", net.store(np.full((8, 1, 1), 3.0)))
    power = net.node("Pow", net.node("Add", large, half), net.node("Floor", net.store(2.0)))
    net.node("Mul", power, net.node("Pow", net.store(2.0), net.store(-3.0)), out="y")
    return Case(net.model("y"))


def floor(elem_type: int, seed: int) -> Case:
    """What is between a fold and the output jumps."""
    net = Net(elem_type, seed=seed)
    net.node("Mul", net.node("Floor", _layer(net, _image(net))), net.store(0.5), out="y")
    return Case(net.model("y"))


def biased(elem_type: int, seed: int) -> Case:
    """The source is inaccurate itself: bias and mean are 1e4, the signal between them 1e-2."""
    net = Net(elem_type, seed=seed)
    signal = net.node("Mul", _image(net), net.store(1e-2))
    bias = 1e4 + net.random.uniform(-1e-2, 1e-2, 8)
    conv = net.node("Conv", signal, net.weight(8, 3, 3, 3), net.store(bias))
    variance = net.store(np.full(8, 1e-4))
    parameters = [net.weight(8), net.weight(8), net.store(np.full(8, 1e4)), variance]
    net.node("Relu", net.node("BatchNormalization", conv, *parameters, epsilon=1e-7), out="y")
    return Case(net.model("y"))


def deep(elem_type: int, seed: int) -> Case:
    """Rounding errors of thirty layers add up."""
    net = Net(elem_type, seed=seed)
    data = net.node("Relu", _layer(net, _image(net)))
    for _ in range(30):
        weight = net.store(net.random.normal(size=(8, 8, 3, 3)) / 6)
        conv = net.node("Conv", data, weight, pads=[1] * 4)
        data = net.node("Relu", net.batch_norm(conv, 8))
    net.nodes[-1].output[0] = "y"
    return Case(net.model("y"))


def recent(elem_type: int, seed: int) -> Case:
    """An operator set for which onnxruntime draws no random numbers."""
    net = Net(elem_type, opset=22, ir_version=10, seed=seed)
    net.node("Relu", _layer(net, _image(net)), out="y")
    return Case(net.model("y"))


def overflowing(elem_type: int, seed: int) -> Case:
    """The numbers grow from layer to layer, so that some overflow on some inputs."""
    net = Net(elem_type, seed=seed)
    data = net.node("Relu", _layer(net, _image(net)))
    for _ in range(3 if elem_type == HALF else 30):
        data = net.node("Relu", _layer(net, data, 8, 8))
    net.nodes[-1].output[0] = "y"
    return Case(net.model("y"))


#: Every case, with the types in which onnxruntime has its operators.
CASES: dict[str, tuple[Callable[[int, int], Case], tuple[int, ...]]] = {
    "Softmax, saturated": (softmax, (FLOAT, HALF)),
    "Tanh, saturated": (tanh, (FLOAT, HALF)),
    "ArgMax": (argmax, (FLOAT, HALF)),
    "TopK": (top_k, (FLOAT, HALF)),
    "sums of 100,000 positive terms": (long_sums, (FLOAT, DOUBLE)),
    "constant weights": (constant_weights, (FLOAT, HALF)),
    "one channel": (one_channel, (FLOAT, HALF)),
    "the mean of a large picture": (average, (FLOAT, HALF)),
    "nothing is rounded": (without_noise, (FLOAT, HALF)),
    "nothing arrives": (dead, (FLOAT, HALF)),
    "inputs near the type's maximum": (near_the_maximum, (FLOAT, HALF)),
    "Resize, Pow, Floor on constants": (resize, (FLOAT, HALF)),
    "Floor behind a fold": (floor, (FLOAT, HALF)),
    "bias and mean 1e4, signal 1e-2": (biased, (FLOAT, HALF)),
    "thirty layers": (deep, (FLOAT, HALF)),
    "operator set 22": (recent, (FLOAT, HALF)),
    "an overflow on the way": (overflowing, (FLOAT, HALF)),
}
