"""What a small model computes, by the text of the ONNX specification, in float64.

Written as loops over output elements and taps, to share nothing with the code under test, nor with
any runtime. Conversions between float types are not rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from definitions import DEFINITIONS
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Attributes = dict[str, Any]


def evaluate(model: ModelProto, feed: dict[str, Array]) -> list[Array]:
    """The outputs of a model."""
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    return _graph(model.graph, {name: wide(value) for name, value in feed.items()}, opset)


def wide(value: Array) -> Array:
    """Floats in float64, all else as it is."""
    return value if value.dtype.kind in "biu" else value.astype(np.float64)


def _graph(graph: GraphProto, outer: dict[str, Array], opset: int) -> list[Array]:
    values = {t.name: wide(numpy_helper.to_array(t)) for t in graph.initializer} | outer
    for node in graph.node:
        found = compute(node, values, opset)
        values.update(zip(node.output, found, strict=False))
    return [values[output.name] for output in graph.output]


def compute(node: NodeProto, values: dict[str, Array], opset: int) -> Sequence[Array]:
    """The outputs of a node, all values around it being given."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    inputs = [values[name] if name else None for name in node.input]
    if node.op_type == "If":
        condition = values[node.input[0]]
        return _graph(given["then_branch" if condition.all() else "else_branch"], values, opset)
    if node.op_type == "Loop":
        return _loop(given["body"], inputs, values, opset)
    if node.op_type == "Scan":
        return _scan(given["body"], inputs, values, opset)
    if node.op_type in DEFINITIONS:
        return DEFINITIONS[node.op_type](given, inputs, opset)
    return [_OPERATORS[node.op_type](given, inputs)]


def _loop(
    body: GraphProto, inputs: Sequence[Any], outer: dict[str, Array], opset: int
) -> Sequence[Array]:
    """Up to M times, as long as the condition holds: what it carries, then what it collects."""
    trips, condition, *carried = inputs
    holds, collected = condition is None or bool(condition), list[list[Array]]()
    for trip in range(int(trips.item())):
        if not holds:
            break
        given = [np.array(trip), np.array(holds), *carried]
        names = [value.name for value in body.input]
        going, *found = _graph(body, outer | dict(zip(names, given, strict=True)), opset)
        holds, carried = bool(going.all()), found[: len(carried)]
        collected.append(found[len(carried) :])
    return [*carried, *(np.stack(rows) for rows in zip(*collected, strict=True))]


def _scan(
    body: GraphProto, inputs: Sequence[Any], outer: dict[str, Array], opset: int
) -> Sequence[Array]:
    """One input, taken apart along its first axis, and no state."""
    (x,) = inputs
    rows = [_graph(body, outer | {body.input[0].name: row}, opset) for row in x]
    return [np.stack(found) for found in zip(*rows, strict=True)]


def _windows(given: Attributes, taps: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    count = len(taps)
    strides = given.get("strides", [1] * count)
    dilations = given.get("dilations", [1] * count)
    return strides, dilations, given.get("pads", [0] * 2 * count)


def conv(given: Attributes, inputs: Sequence[Any]) -> Array:
    """Every output element is the sum of its window, channel by channel of its group."""
    x, w = inputs[:2]
    bias = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(len(w))
    taps, group = w.shape[2:], given.get("group", 1)
    strides, dilations, pads = _windows(given, taps)
    sides = [(pads[i], pads[i + len(taps)]) for i in range(len(taps))]
    x = np.pad(x, [(0, 0), (0, 0), *sides])
    size = [
        (x.shape[i + 2] - dilations[i] * (taps[i] - 1) - 1) // strides[i] + 1
        for i in range(len(taps))
    ]
    y = np.zeros((len(x), len(w), *size))
    for batch, channel, *place in product(*map(range, y.shape)):
        total = bias[channel]
        first = channel // (len(w) // group) * w.shape[1]
        for column, *tap in product(*map(range, w.shape[1:])):
            at = [p * s + t * d for p, s, t, d in zip(place, strides, tap, dilations, strict=True)]
            total += w[(channel, column, *tap)] * x[(batch, first + column, *at)]
        y[(batch, channel, *place)] = total
    return y


def conv_transpose(given: Attributes, inputs: Sequence[Any]) -> Array:
    """Every input element is spread over its window."""
    x, w = inputs[:2]
    taps, group = w.shape[2:], given.get("group", 1)
    channels = w.shape[1] * group
    bias = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(channels)
    strides, dilations, pads = _windows(given, taps)
    extra = given.get("output_padding", [0] * len(taps))
    full = [
        strides[i] * (x.shape[i + 2] - 1) + extra[i] + (taps[i] - 1) * dilations[i] + 1
        for i in range(len(taps))
    ]
    y = np.zeros((len(x), channels, *full))
    for batch, row, *place in product(*map(range, x.shape)):
        block = row // (len(w) // group)
        for column, *tap in product(*map(range, w.shape[1:])):
            at = [p * s + t * d for p, s, t, d in zip(place, strides, tap, dilations, strict=True)]
            channel = block * w.shape[1] + column
            y[(batch, channel, *at)] += x[(batch, row, *place)] * w[(row, column, *tap)]
    cut = [slice(pads[i], full[i] - pads[i + len(taps)]) for i in range(len(taps))]
    result: Array = y[(slice(None), slice(None), *cut)] + bias.reshape(-1, *[1] * len(taps))
    return result


def gemm(given: Attributes, inputs: Sequence[Any]) -> Array:
    """``alpha * A' * B' + beta * C``, element by element."""
    a = inputs[0].T if given.get("transA", 0) else inputs[0]
    b = inputs[1].T if given.get("transB", 0) else inputs[1]
    c = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(())
    beta = given.get("beta", 1.0)
    y = np.zeros((a.shape[0], b.shape[1]))
    c = np.broadcast_to(c, y.shape)
    for m, n in product(*map(range, y.shape)):
        product_sum = sum(a[m, k] * b[k, n] for k in range(a.shape[1]))
        y[m, n] = given.get("alpha", 1.0) * product_sum + (beta * c[m, n] if beta else 0.0)
    return y


def matmul(given: Attributes, inputs: Sequence[Any]) -> Array:
    """As numpy.matmul is documented, one dot product at a time."""
    a, b = inputs
    left = a.reshape(1, -1) if a.ndim == 1 else a
    right = b.reshape(-1, 1) if b.ndim == 1 else b
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, (*batch, *left.shape[-2:]))
    right = np.broadcast_to(right, (*batch, *right.shape[-2:]))
    y = np.zeros((*batch, left.shape[-2], right.shape[-1]))
    for *where, m, n in product(*map(range, y.shape)):
        row, column = left[tuple(where)][m], right[tuple(where)][:, n]
        y[(*where, m, n)] = sum(p * q for p, q in zip(row, column, strict=True))
    if a.ndim == 1:
        y = y[..., 0, :]
    return y[..., 0] if b.ndim == 1 else y


def batch_norm(given: Attributes, inputs: Sequence[Any]) -> Array:
    x, gamma, beta, mean, variance = inputs
    epsilon = given.get("epsilon", float(np.float32(1e-5)))
    y = np.zeros(x.shape)
    for place in product(*map(range, x.shape)):
        c = place[1]
        y[place] = (x[place] - mean[c]) / np.sqrt(variance[c] + epsilon) * gamma[c] + beta[c]
    return y


def _squeeze(given: Attributes, inputs: Sequence[Any]) -> Array:
    axes = inputs[1].tolist() if len(inputs) > 1 else given.get("axes")
    return np.asarray(np.squeeze(inputs[0], None if axes is None else tuple(axes)))


def _unsqueeze(given: Attributes, inputs: Sequence[Any]) -> Array:
    axes = inputs[1].tolist() if len(inputs) > 1 else given["axes"]
    return np.asarray(np.expand_dims(inputs[0], tuple(axes)))


def _cast(given: Attributes, inputs: Sequence[Any]) -> Array:
    floating = given["to"] in (
        TensorProto.FLOAT,
        TensorProto.DOUBLE,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
    )
    dtype = np.dtype(np.float64) if floating else helper.tensor_dtype_to_np_dtype(given["to"])
    return np.asarray(inputs[0].astype(dtype))


def _constant(given: Attributes, inputs: Sequence[Any]) -> Array:
    name, value = next(iter(given.items()))
    if name == "value":
        return wide(numpy_helper.to_array(value))
    return wide(np.array(value, np.float32 if "float" in name else np.int64))


_OPERATORS: dict[str, Callable[[Attributes, Sequence[Any]], Array]] = {
    "Add": lambda _, v: np.asarray(v[0] + v[1]),
    "BatchNormalization": batch_norm,
    "Cast": _cast,
    "CastLike": lambda _, v: np.asarray(v[0].astype(v[1].dtype)),
    "Constant": _constant,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Div": lambda _, v: np.asarray(v[0] / v[1]),
    "Dropout": lambda _, v: np.asarray(v[0]),
    "Gemm": gemm,
    "Identity": lambda _, v: np.asarray(v[0]),
    "MatMul": matmul,
    "Mul": lambda _, v: np.asarray(v[0] * v[1]),
    "Neg": lambda _, v: np.asarray(-v[0]),
    "Pow": lambda _, v: np.asarray(v[0] ** v[1]),
    "Reciprocal": lambda _, v: np.asarray(1 / v[0]),
    "Reshape": lambda _, v: v[0].reshape(v[1]),
    "Relu": lambda _, v: np.maximum(v[0], 0.0),
    "Sigmoid": lambda _, v: np.asarray(1 / (1 + np.exp(-v[0]))),
    "Shape": lambda given, v: np.array(
        v[0].shape[given.get("start", 0) : given.get("end")], np.int64
    ),
    "Size": lambda _, v: np.array(v[0].size, np.int64),
    "Sqrt": lambda _, v: np.asarray(np.sqrt(v[0])),
    "Squeeze": _squeeze,
    "Sub": lambda _, v: np.asarray(v[0] - v[1]),
    "Transpose": lambda given, v: np.transpose(v[0], given.get("perm")),
    "Unsqueeze": _unsqueeze,
}
