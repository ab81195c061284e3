"""NASNet-A (Zoph et al. 2018) in its mobile size, laid out as in Keras."""

from __future__ import annotations

from workloads import Network

_FILTERS = 8  # 44 in the original.


class _Cells:
    """Values are named, and know how many channels and how fine a grid they have."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.channels: dict[str, int] = {}
        self.stride: dict[str, int] = {}

    def _noted(self, name: str, channels: int, stride: int) -> str:
        self.channels[name], self.stride[name] = channels, stride
        return name

    def _like(self, name: str, other: str) -> str:
        return self._noted(name, self.channels[other], self.stride[other])

    def relu(self, data: str) -> str:
        return self._like(self.net.node("Relu", data), data)

    def norm(self, data: str) -> str:
        return self._like(self.net.norm(data, self.channels[data]), data)

    def conv(self, data: str, channels: int, size: int = 1, stride: int = 1) -> str:
        shape = (channels, self.channels[data], size, size)
        out = self.net.conv(data, shape, strides=[stride, stride])
        return self._noted(out, channels, self.stride[data] * stride)

    def pool(self, data: str, kind: str, size: int = 3, stride: int = 1) -> str:
        pads, sizes = [size // 2] * 4, {"kernel_shape": [size] * 2, "strides": [stride] * 2}
        out = self.net.node(kind, data, pads=pads, **sizes)
        return self._noted(out, self.channels[data], self.stride[data] * stride)

    def separable(self, data: str, channels: int, size: int, stride: int = 1) -> str:
        """Twice: Relu, depthwise and pointwise convolution, normalisation."""
        for step in (stride, 1):
            inputs = self.channels[data]
            deep = self.net.conv(
                self.relu(data), (inputs, 1, size, size), group=inputs, strides=[step, step]
            )
            deep = self._noted(deep, inputs, self.stride[data] * step)
            data = self.norm(self.conv(deep, channels))
        return data

    def add(self, one: str, other: str) -> str:
        return self._like(self.net.node("Add", one, other), one)

    def concat(self, *parts: str) -> str:
        out = self.net.node("Concat", *parts, axis=1)
        return self._noted(out, sum(self.channels[part] for part in parts), self.stride[parts[0]])

    def _shifted(self, data: str) -> str:
        """One row and column less at the start, one more at the end."""
        lists = ([0] * 6 + [1, 1], [1, 1], [1 << 30] * 2, [2, 3])
        pads, *cut = (self.net.node("Constant", value_ints=values) for values in lists)
        padded = self.net.node("Pad", data, pads)
        return self._like(self.net.node("Slice", padded, *cut), data)

    def adjusted(self, before: str, data: str, channels: int) -> str:
        """The output of the cell before the last, as fine and as wide as that of the last."""
        if self.stride[before] != self.stride[data]:
            before = self.relu(before)
            one = self.conv(self.pool(before, "AveragePool", 1, 2), channels // 2)
            other = self.pool(self._shifted(before), "AveragePool", 1, 2)
            return self.norm(self.concat(one, self.conv(other, channels // 2)))
        if self.channels[before] != channels:
            return self.norm(self.conv(self.relu(before), channels))
        return before

    def normal(self, data: str, before: str, channels: int) -> str:
        p = self.adjusted(before, data, channels)
        h = self.norm(self.conv(self.relu(data), channels))
        return self.concat(
            p,
            self.add(self.separable(h, channels, 5), self.separable(p, channels, 3)),
            self.add(self.separable(p, channels, 5), self.separable(p, channels, 3)),
            self.add(self.pool(h, "AveragePool"), p),
            self.add(self.pool(p, "AveragePool"), self.pool(p, "AveragePool")),
            self.add(self.separable(h, channels, 3), h),
        )

    def reduction(self, data: str, before: str, channels: int) -> str:
        p = self.adjusted(before, data, channels)
        h = self.norm(self.conv(self.relu(data), channels))
        one = self.add(self.separable(h, channels, 5, 2), self.separable(p, channels, 7, 2))
        pooled = self.pool(h, "MaxPool", stride=2)
        two = self.add(pooled, self.separable(p, channels, 7, 2))
        mean = self.pool(h, "AveragePool", stride=2)
        three = self.add(mean, self.separable(p, channels, 5, 2))
        four = self.add(two, self.pool(one, "AveragePool"))
        five = self.add(self.separable(one, channels, 3), self.pool(h, "MaxPool", stride=2))
        return self.concat(two, three, four, five)


def nasnet_mobile(net: Network) -> tuple[str, int]:
    """Two cells that reduce, then three times four that do not, reduced in between."""
    cells = _Cells(net)
    cells.channels["x"], cells.stride["x"] = 3, 1
    before = data = cells.norm(cells.conv("x", 8, 3, 2))
    for width in (_FILTERS // 4, _FILTERS // 2):
        data, before = cells.reduction(data, before, width), data
    for stage in range(3):
        width = _FILTERS << stage
        if stage:
            data, before = cells.reduction(data, before, width), data
        for _ in range(4):
            data, before = cells.normal(data, before, width), data
    return cells.relu(data), cells.channels[data]
