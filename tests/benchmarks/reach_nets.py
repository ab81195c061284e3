"""Whole networks, as deep as they were published and an eighth to a quarter as wide.

Each function adds a network's layers behind ``x``, up to its pooling, and names the value and its
channels; how a normalisation is spelled is the affair of the ``Network``. Weights are random,
gammas positive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import architectures
from reach_nasnet import nasnet_mobile
from workloads import Network, normal

Build = Callable[[Network], tuple[str, int]]
_CLASSES = 10

#: Kernel, repeats, channels (a quarter of them), expansion and stride of the blocks.
_EFFICIENTNET_B0 = (
    (3, 1, 4, 1, 1),
    (3, 2, 6, 6, 2),
    (5, 2, 10, 6, 2),
    (3, 3, 20, 6, 2),
    (5, 3, 28, 6, 1),
    (5, 4, 48, 6, 2),
    (3, 1, 80, 6, 1),
)


class Spelled(Network):
    """Normalisations as Keras 3 writes them."""

    def norm(self, data: str, channels: int) -> str:
        """A product and a sum."""
        scale = self.constant((1, channels, 1, 1), normal(0.2, 1.0), "scale")
        shift = self.constant((1, channels, 1, 1), normal(0.3), "shift")
        return self.node("Add", self.node("Mul", data, scale), shift)


@dataclass(frozen=True, slots=True)
class Net:
    """A network, how its normalisations are spelled, and the size of its images."""

    name: str
    build: Build
    kind: type[Network] = Network
    size: int = 64
    group: str = "networks"

    def save(self, path: Path) -> None:
        """Write the model."""
        net = self.kind(("N", 3, self.size, self.size))
        data, channels = self.build(net)
        flat = net.node("Flatten", net.node("GlobalAveragePool", data))
        net.save(path, net.dense(flat, channels, _CLASSES), ("N", _CLASSES))


def _relu_norm(net: Network, data: str, channels: int) -> str:
    return net.node("Relu", net.norm(data, channels))


def mobilenet_v2(net: Network) -> tuple[str, int]:
    """Sandler et al. 2018: expansion, depthwise convolution, projection, residual."""
    limits = [net.constant((), normal(0.0, limit), "limit") for limit in (0.0, 6.0)]

    def layer(data: str, channels: int, inputs: int, size: int = 1, **more: Any) -> str:
        return net.norm(net.conv(data, (channels, inputs, size, size), **more), channels)

    data, inputs = net.node("Clip", layer("x", 8, 3, 3, strides=[2, 2]), *limits), 8
    for expansion, full, repeats, first in architectures._INVERTED_RESIDUALS:
        channels = full // 4
        for stride in [first] + [1] * (repeats - 1):
            start, wide = data, inputs * expansion
            if expansion > 1:
                data = net.node("Clip", layer(data, wide, inputs), *limits)
            deep = layer(data, wide, 1, 3, group=wide, strides=[stride, stride])
            data = layer(net.node("Clip", deep, *limits), channels, wide)
            if stride == 1 and inputs == channels:
                data = net.node("Add", start, data)
            inputs = channels
    return net.node("Clip", layer(data, 320, inputs), *limits), 320


def resnet50_v2(net: Network) -> tuple[str, int]:
    """He et al. 2016, as in Keras: normalised before each block, padded apart."""
    pads = net.node("Constant", value_ints=[0, 0, 1, 1, 0, 0, 1, 1])
    data = net.node("Pad", net.conv("x", (8, 3, 7, 7), strides=[2, 2]), pads)
    data, inputs = net.node("MaxPool", data, kernel_shape=[3, 3], strides=[2, 2]), 8
    for width, repeats, last in ((8, 3, 2), (16, 4, 2), (32, 6, 2), (64, 3, 1)):
        for index in range(repeats):
            stride = last if index == repeats - 1 else 1
            before = _relu_norm(net, data, inputs)
            if index == 0:
                data = net.conv(before, (4 * width, inputs, 1, 1))
            elif stride > 1:
                data = net.node("MaxPool", data, kernel_shape=[1, 1], strides=[stride, stride])
            deep = _relu_norm(net, net.conv(before, (width, inputs, 1, 1)), width)
            deep = net.conv(deep, (width, width, 3, 3), strides=[stride, stride])
            deep = net.conv(_relu_norm(net, deep, width), (4 * width, width, 1, 1))
            data, inputs = net.node("Add", data, deep), 4 * width
    return _relu_norm(net, data, inputs), inputs


def densenet121(net: Network, growth: int = 8) -> tuple[str, int]:
    """Huang et al. 2017: every layer reads all before it."""
    inputs = 2 * growth
    data = _relu_norm(net, net.conv("x", (inputs, 3, 7, 7), strides=[2, 2]), inputs)
    data = net.node("MaxPool", data, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, repeats in enumerate((6, 12, 24, 16)):
        if stage:
            inputs, before = inputs // 2, _relu_norm(net, data, inputs)
            data = net.conv(before, (inputs, 2 * inputs, 1, 1))
            data = net.node("AveragePool", data, kernel_shape=[2, 2], strides=[2, 2])
        for _ in range(repeats):
            deep = net.conv(_relu_norm(net, data, inputs), (4 * growth, inputs, 1, 1))
            deep = net.conv(_relu_norm(net, deep, 4 * growth), (growth, 4 * growth, 3, 3))
            data, inputs = net.node("Concat", data, deep, axis=1), inputs + growth
    return _relu_norm(net, data, inputs), inputs


def efficientnet_b0(net: Network) -> tuple[str, int]:
    """Tan and Le 2019, as in Keras: the images are normalised in the network, too."""

    def swish(data: str) -> str:
        return net.node("Mul", data, net.node("Sigmoid", data))

    def layer(data: str, channels: int, inputs: int, size: int = 1, **more: Any) -> str:
        return net.norm(net.conv(data, (channels, inputs, size, size), **more), channels)

    def excited(data: str, wide: int, narrow: int) -> str:
        gate = net.node("GlobalAveragePool", data)
        gate = swish(net.conv(gate, (narrow, wide, 1, 1)))
        return net.node("Mul", data, net.node("Sigmoid", net.conv(gate, (wide, narrow, 1, 1))))

    means, deviations = (net.constant((1, 3, 1, 1), normal(0.01, m), "image") for m in (0.45, 0.23))
    data = net.node("Div", net.node("Sub", "x", means), deviations)
    data, inputs = swish(layer(data, 8, 3, 3, strides=[2, 2])), 8
    for size, repeats, channels, expansion, first in _EFFICIENTNET_B0:
        for stride in [first] + [1] * (repeats - 1):
            start, wide = data, inputs * expansion
            if expansion > 1:
                data = swish(layer(data, wide, inputs))
            data = swish(layer(data, wide, 1, size, group=wide, strides=[stride, stride]))
            data = layer(excited(data, wide, max(1, inputs // 4)), channels, wide)
            if stride == 1 and inputs == channels:
                data = net.node("Add", start, data)
            inputs = channels
    return swish(layer(data, 320, inputs)), 320


_BUILDS: dict[str, Build] = {
    "MobileNetV2": mobilenet_v2,
    "ResNet50V2": resnet50_v2,
    "DenseNet121": densenet121,
    "EfficientNetB0": efficientnet_b0,
    "NASNetMobile": nasnet_mobile,
}
NETS = [
    *(Net(name, build) for name, build in _BUILDS.items()),
    *(Net(f"{name}, as Mul and Add", build, Spelled) for name, build in _BUILDS.items()),
]
