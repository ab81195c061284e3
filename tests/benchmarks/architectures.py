"""What the benchmark's models look like: one function each, which writes a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads import Network, Symbolic, normal

#: Writes a model to a path.
Make = Callable[[Path], None]

#: Expansion, channels, repeats and stride of the blocks of MobileNetV2 (Sandler et al. 2018).
_INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_CLASSES = 768


def _image(channels: int) -> Symbolic:
    return ("N", channels, "H", "W")


def _block(net: Network, data: str, channels: int, size: int) -> str:
    """Conv, BatchNormalization, Relu."""
    conv = net.conv(data, (channels, channels, size, size))
    return net.node("Relu", net.norm(conv, channels))


def cnn(layers: int, channels: int = 256) -> Make:
    """A chain of convolutions: 100 layers are 236 MB."""

    def make(path: Path) -> None:
        net, data = Network(_image(channels)), "x"
        for _ in range(layers):
            data = _block(net, data, channels, 3)
        net.save(path, data, _image(channels))

    return make


def mobilenet(path: Path) -> None:
    """MobileNetV2 with a head of 768 classes: 13 MB."""
    net = Network(_image(3))
    limits = [net.constant((), normal(0.0, limit), "limit") for limit in (0.0, 6.0)]

    def layer(data: str, channels: int, inputs: int, size: int = 1, **more: Any) -> str:
        conv = net.conv(data, (channels, inputs, size, size), gain=2.0, **more)
        return net.norm(conv, channels)

    def clipped(data: str) -> str:
        return net.node("Clip", data, *limits)

    data, inputs = clipped(layer("x", 32, 3, 3, strides=[2, 2])), 32
    for expansion, channels, repeats, first in _INVERTED_RESIDUALS:
        for stride in [first] + [1] * (repeats - 1):
            start, wide = data, inputs * expansion
            if expansion > 1:
                data = clipped(layer(data, wide, inputs))
            data = clipped(layer(data, wide, 1, 3, group=wide, strides=[stride, stride]))
            data = layer(data, channels, wide)
            if stride == 1 and inputs == channels:
                data = net.node("Add", start, data)
            inputs = channels
    data = net.node("GlobalAveragePool", clipped(layer(data, 1280, inputs)))
    weight = net.constant((_CLASSES, 1280), normal(0.04))
    bias = net.constant((_CLASSES,), normal(0.1), "bias")
    data = net.node("Gemm", net.node("Flatten", data), weight, bias, transB=1)
    net.save(path, data, ("N", _CLASSES))


def external(layers: int, width: int, channels: int = 512) -> Make:
    """Convolutions that are folded and large dense layers that are not, half of the bytes each.

    All weights are in one file beside the model; 160 layers and a width of 244,140 are 3 GB.
    """

    def make(path: Path) -> None:
        net, data = Network(_image(channels)), "x"
        for _ in range(layers):
            data = _block(net, data, channels, 3)
        data = net.node("Flatten", net.node("GlobalAveragePool", data))
        for inputs, outputs in ((channels, width), (width, channels), (channels, width)):
            data = net.node("Relu", net.dense(data, inputs, outputs))
        net.save(path, data, ("N", width), external=True)

    return make


def chain(nodes: int) -> Make:
    """Small layers one behind the other, three nodes each."""

    def make(path: Path) -> None:
        net, data = Network(_image(8)), "x"
        for _ in range(nodes // 3):
            data = _block(net, data, 8, 1)
        net.save(path, data, _image(8))

    return make


def readers(count: int) -> Make:
    """One value with so many readers, every other of them a normalisation that stays."""

    def make(path: Path) -> None:
        net = Network(_image(8))
        data = _block(net, "x", 8, 1)
        statistics = net.statistics(8)
        seen = [
            net.node("BatchNormalization", data, *statistics)
            if index % 2
            else net.node("Relu", data)
            for index in range(count)
        ]
        net.save(path, net.node("Sum", *seen), _image(8))

    return make


def initializers(count: int) -> Make:
    """So many small constants, a thousand for each node that adds them."""

    def make(path: Path) -> None:
        net = Network(_image(8))
        data = _block(net, "x", 8, 1)
        for _ in range(count // 1000):
            terms = [net.constant((8, 1, 1), normal(0.01), "term") for _ in range(1000)]
            data = net.node("Sum", data, *terms)
        net.save(path, data, _image(8))

    return make
