"""What the operators that read a constant make of a number that was rounded otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Net
from onnx import ModelProto, numpy_helper

import folding
from folding.equivalence.foreign import Matched, NotEstablished
from folding.equivalence.foreign.check import compare
from folding.equivalence.foreign.result import Result
from folding.modelfile import in_memory


def dequantised() -> ModelProto:
    net = Net()
    net.input(2, 4)
    levels = net.store(np.arange(-12, 12).reshape(4, 6), elem_type=3)
    weight = net.node("DequantizeLinear", levels, net.positive(6), axis=1)
    net.node("Mul", net.node("MatMul", "x", weight), net.positive(6), out="y")
    return net.model("y")


def root_mean_square() -> ModelProto:
    net = Net(opset=23, ir_version=11)
    y = net.node("RMSNormalization", net.input(2, 4), net.weight(4), axis=-1)
    net.node("Mul", y, net.weight(4), out="y")
    return net.model("y")


def joined(operator: str, *shape: int, **attributes: Any) -> ModelProto:
    """A convolution, what joins it with a constant, and a positive scale behind both."""
    net = Net()
    y = net.node("Conv", net.input(1, 3, 5, 5), net.weight(4, 3, 1, 1))
    y = net.node(operator, y, net.weight(*shape), **attributes)
    net.node("Mul", y, net.positive(4, 1, 1), out="y")
    return net.model("y")


def recurrent(operator: str, gates: int, **attributes: Any) -> ModelProto:
    """A scale before a recurrent layer."""
    net = Net()
    x = net.node("Mul", net.input(3, 1, 4), net.weight(4))
    weights = net.weight(1, gates * 2, 4), net.weight(1, gates * 2, 2)
    net.node(operator, x, *weights, out="y", hidden_size=2, **attributes)
    return net.model("y")


def folded(source: ModelProto, factor: float) -> ModelProto:
    """A fold of which each number that was computed is off by a factor."""
    model = folding.fold_model(source, verify=False)[0]
    before = {tensor.name: tensor.SerializeToString() for tensor in source.graph.initializer}
    changed = [t for t in model.graph.initializer if before.get(t.name) != t.SerializeToString()]
    assert changed
    for tensor in changed:
        array = numpy_helper.to_array(tensor) * np.float32(factor)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


def judged(source: ModelProto, factor: float) -> Result:
    return compare(in_memory(source), in_memory(folded(source, factor)))


@pytest.mark.parametrize(
    "source",
    [
        dequantised(),
        root_mean_square(),
        joined("Concat", 1, 4, 1, 5, axis=2),
        joined("Max", 4, 1, 1),
        joined("Min", 4, 1, 1),
        recurrent("LSTM", 4),
        recurrent("GRU", 3),
        recurrent("RNN", 1),
    ],
    ids=["quantised", "root mean square", "Concat", "Max", "Min", "LSTM", "GRU", "RNN"],
)
def test_what_multiplies_or_passes_on_may_be_off_by_a_rounding(source: ModelProto) -> None:
    """Numbers that a tool has computed are compared as those that a layer multiplies."""
    assert isinstance(judged(source, 1 + 2.0**-22), Matched)
    assert not isinstance(judged(source, 1.001), Matched)


def test_a_recurrent_layer_that_decides_is_told() -> None:
    """A threshold gives another number where one is off by a last bit."""
    found = judged(recurrent("RNN", 1, activations=["ThresholdedRelu"]), 1 + 2.0**-22)
    assert isinstance(found, NotEstablished)
    assert found.why.endswith("is rounded otherwise, and RNN 'y' may decide by a last bit")


@pytest.mark.parametrize("outputs", [("product", "order"), ("order", "product"), ("product",)])
def test_each_reader_of_one_constant_asks_it_anew(outputs: tuple[str, ...]) -> None:
    """To a product a last bit is nothing, to a comparison it may be all."""
    factors = [np.full(4, number, np.float32) for number in (0.7, 3.0, 1.1)]
    computing, storing = Net(), Net()
    first = computing.node("Mul", *map(computing.store, factors[:2]))
    computing.node("Mul", first, computing.store(factors[2]), out="k")
    storing.store(np.prod(factors, 0, np.float64), "k")
    for net in (computing, storing):
        net.input(2, 4)
        net.node("Mul", "x", "k", out="product")
        net.node("Greater", "x", "k", out="order")

    found = compare(*(in_memory(net.model(*outputs)) for net in (computing, storing)))

    assert isinstance(found, NotEstablished if "order" in outputs else Matched)
    if isinstance(found, NotEstablished):
        assert "Greater 'order' may decide by a last bit" in found.why
