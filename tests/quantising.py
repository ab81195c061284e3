"""Weights behind DequantizeLinear, for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from graphs import FLOAT, Net
from onnx import ModelProto, TensorProto

from folding.plan import Reason

INT8, UINT8 = TensorProto.INT8, TensorProto.UINT8
FLOAT8 = (TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2)
KINDS = (
    *(INT8, UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT4, TensorProto.UINT4),
    *FLOAT8,
)
RANGES: dict[int, tuple[int, int]] = {
    INT8: (-99, 99),
    UINT8: (0, 200),
    TensorProto.UINT16: (0, 9),
    TensorProto.UINT4: (0, 15),
}


def net_of(opset: int = 21, **given: Any) -> Net:
    return Net(opset=opset, ir_version=10, **given)


def quantised(
    net: Net,
    *dims: int,
    scales: tuple[int, ...] = (),
    kind: int = INT8,
    zero: int | None = 3,
    scale_type: int = FLOAT,
    **given: Any,
) -> str:
    """A weight behind DequantizeLinear, with so many scales."""
    low, high = RANGES.get(kind, (-7, 8))
    data = net.store(net.random.integers(low, high, dims), f"q{len(net.stored)}", kind)
    scale = net.positive(*scales, name=f"s{len(net.stored)}", elem_type=scale_type)
    points = net.random.integers(0, zero + 1, scales) if zero and scales else np.full(scales, zero)
    zeros = [] if zero is None else [net.store(points, f"z{len(net.stored)}", kind)]
    return net.node("DequantizeLinear", data, scale, *zeros, name=f"dq{len(net.nodes)}", **given)


def obstacles() -> dict[Reason, ModelProto]:
    """One model each, the only affine of which stays for that reason."""
    found: dict[Reason, ModelProto] = {}
    net = net_of()
    found[Reason.POSITIVE_ONLY] = _scaled(net, quantised(net, 4, 3, 2), [1.0, 2.0, -1.0, 3.0])
    net = net_of()
    blocked = quantised(net, 4, 3, 2, scales=(2, 3, 2), axis=0, block_size=2)
    found[Reason.OTHER_SCALES] = _scaled(net, blocked)
    net = net_of(12)
    found[Reason.ONE_SCALE] = _scaled(net, quantised(net, 4, 3, 2))
    net = net_of()
    net.node("MatMul", net.input(2, 3), quantised(net, 3, 4, scales=(1,)), out="v")
    net.node("Mul", "v", net.positive(4), out="y")
    found[Reason.ROUNDS_INPUT] = net.model("y")
    net = net_of()
    weight = quantised(net, 4, 3, 2)
    found[Reason.SHARED_WEIGHT] = _scaled(net, weight, more=[net.node("Relu", weight)])
    net = net_of()
    bias = quantised(net, 4, kind=TensorProto.INT32, zero=None)
    found[Reason.QUANTISED_BIAS] = _scaled(net, quantised(net, 4, 3, 2), bias=[bias])
    net = net_of()
    net.batch_norm(net.input(2, 3, 5), 3, "n")
    net.node("Conv", "n", quantised(net, 4, 3, 2), out="y")
    found[Reason.QUANTISED_SUM] = net.model("y")
    return found


def _scaled(
    net: Net,
    weight: str,
    scale: Sequence[float] = (1.0, 2.0, 0.5, 3.0),
    *,
    bias: Sequence[str] = (),
    more: Sequence[str] = (),
) -> ModelProto:
    """A Mul behind a Conv with that weight."""
    net.node("Conv", net.input(2, 3, 5), weight, *bias, out="v")
    net.node("Mul", "v", net.store(np.reshape(scale, (4, 1))), out="y")
    return net.model("y", *more)
