"""A model for each thing that may stand in the way of an affine that travels, by its reason."""

from __future__ import annotations

from typing import Any

import quantising
from graphs import FLOAT, Net
from onnx import ModelProto

from folding.plan import Reason


def behind(operator: str, *more: str, net: Net | None = None, **given: Any) -> ModelProto:
    """A batch norm to ``y`` behind an operator that reads a Conv's ``v`` of shape [2, 4, 4]."""
    net = net or Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 2), out="v")
    net.node(operator, "v", *more, out="w", **given)
    net.batch_norm("w", 4, "y")
    return net.model("y")


def scaled(operator: str, scale: list[list[float]], *more: str, **given: Any) -> ModelProto:
    """The same with a Mul in place of the batch norm."""
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 2), out="v")
    net.node(operator, "v", *more, out="w", **given)
    net.node("Mul", "w", net.store(scale), out="y")
    return net.model("y")


def before(operator: str, *more: str, net: Net, out: str = "y", **given: Any) -> ModelProto:
    """A batch norm of the input, and an operator behind it that is the model's end."""
    net.batch_norm(net.input(2, 4, 5), 4, "n")
    net.node(operator, "n" if out else "x", *more, out="y", **given)
    return net.model("y")


def obstacles() -> dict[Reason, ModelProto]:
    """One model each, the last affine of which stays for that reason."""
    found: dict[Reason, ModelProto] = {}
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 2), out="v")
    net.node("MaxPool", "v", out="w,indices", kernel_shape=[2])
    net.batch_norm("w", 4, "y")
    found[Reason.OUTPUT_USED] = net.model("y", "indices")
    found[Reason.NO_RULE] = behind("Softmax")
    found[Reason.NEGATIVE_SCALE] = scaled(
        "MaxPool", [[1.0], [-1.0], [2.0], [3.0]], kernel_shape=[2]
    )
    found[Reason.SHIFT_BLOCKED] = behind("Relu")
    net = Net()
    found[Reason.PADS] = behind("Pad", net.integers(0, 0, 1, 0, 0, 1), net=net)
    found[Reason.EMPTY_WINDOW] = behind(
        "AveragePool", kernel_shape=[2], strides=[3], pads=[2, 2], count_include_pad=0
    )
    found[Reason.MIXES_CHANNELS] = _mixed()
    found[Reason.SIZES_UNKNOWN] = _gathered()
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 2), out="v")
    net.batch_norm(net.node("Sub", "v", "v"), 4, "y")
    found[Reason.UNUSUAL_FORM] = net.model("y")
    found[Reason.OPERAND_GROWS] = _growing()
    found[Reason.MORE_NODES] = _more_nodes()
    found[Reason.HAS_NO_BIAS] = _without_bias()
    found[Reason.UNREAD] = before("Identity", net=Net(), out="")
    found[Reason.OTHER_BRANCH] = before("Add", "x", net=Net())
    net = Net()
    net.batch_norm(net.input(2, 4, 5), 4, "n")
    net.node("Add", "n", net.node("Neg", "n"), out="y")
    found[Reason.BRANCHES_DIFFER] = net.model("y")
    found[Reason.TOO_MANY_WAYS] = _many_ways()
    net = Net()
    found[Reason.NOT_INPUT_CHANNELS] = before("MatMul", net.weight(5, 3), net=net)
    net = Net()
    found[Reason.PADS_ZEROS] = before("Conv", net.weight(3, 4, 3), net=net, pads=[1, 1])
    return found | quantising.obstacles()


def _many_ways() -> ModelProto:
    net = Net()
    value = net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1))
    both = net.node("Concat", *(net.node("Identity", value) for _ in range(33)), axis=2)
    net.batch_norm(both, 4, "y")
    return net.model("y")


def _mixed() -> ModelProto:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 2), out="v")
    net.node("Reshape", "v", net.integers(2, 2, 8), out="w")
    net.node("Mul", "w", net.weight(8), out="y")
    return net.model("y")


def _gathered() -> ModelProto:
    net = Net()
    v = net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 2))
    w = net.node("Gather", v, net.input(4, name="at", elem_type=7), axis=1)
    net.batch_norm(w, 4, "y")
    return net.model("y")


def _growing() -> ModelProto:
    net = Net()
    x = net.input(2, 3, 5)
    one, all_channels = net.weight(1, 3, 2), net.weight(4, 3, 2)
    both = net.node("Add", net.node("Conv", x, one), net.node("Conv", x, all_channels))
    net.batch_norm(both, 4, "y")
    return net.model("y")


def _more_nodes() -> ModelProto:
    """Two products without a bias behind one batch norm would need two Adds."""
    net = Net()
    net.batch_norm(net.input(2, 4), 4, "n")
    outputs = [net.node("MatMul", "n", net.weight(4, 3)) for _ in range(2)]
    return net.model(*outputs)


def _without_bias() -> ModelProto:
    """Behind an RMS normalisation nothing is added."""
    net = Net(FLOAT, opset=23, ir_version=11)
    net.node("RMSNormalization", net.input(2, 4), net.weight(4), out="w")
    net.batch_norm("w", 4, "y")
    return net.model("y")
