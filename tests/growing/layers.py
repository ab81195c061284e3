"""What takes an affine in."""

from __future__ import annotations

from math import prod

import numpy as np
from graphs import BFLOAT, FLOAT, INT64

from growing.grower import Given, Grower, Rule, Unfit


def conv(g: Grower, x: str) -> str:
    _, channels, *sizes = g.shape(x, least=3)
    group = g.pick(*[n for n in (1, 2, 3) if channels % n == 0])
    taps = [g.upto(min(2, size), 1) for size in sizes]
    columns = g.upto(2, 1)
    weight = g.weight(group * columns, channels // group, *taps)
    bias = [g.weight(group * columns)] if g.flip() else []
    given: Given = {"group": group} if group > 1 or g.flip() else {}
    if g.one_in(4):
        given["pads"] = [g.upto(1) for _ in sizes] * 2
    if g.one_in(5):
        given["strides"] = [g.upto(2, 1) for _ in sizes]
    return g.add("Conv", x, weight, *bias, hint=1, **given)


def conv_transpose(g: Grower, x: str) -> str:
    _, channels, *sizes = g.shape(x, least=3)
    group = g.pick(*[n for n in (1, 2, 3) if channels % n == 0])
    columns = g.upto(2, 1)
    taps = [g.upto(2, 1) for _ in sizes]
    weight = g.weight(channels, columns, *taps)
    bias = [g.weight(group * columns)] if g.flip() else []
    given: Given = {"group": group} if group > 1 or g.flip() else {}
    if all(size + tap > 3 * (tap - 1) for size, tap in zip(sizes, taps, strict=True)) and g.flip():
        given["pads"] = [tap - 1 for tap in taps] * 2
    elif g.one_in(4):
        given["strides"] = [g.upto(2, 1) for _ in sizes]
    return g.add("ConvTranspose", x, weight, *bias, hint=1, **given)


def gemm(g: Grower, x: str) -> str:
    shape = g.shape(x, least=2, most=2)
    given: Given = {}
    if g.one_in(3):
        given |= {"alpha": g.pick(0.5, -1.0), "beta": g.pick(0.0, 0.5, 1.0)}
    on_left = g.one_in(4)
    if on_left:
        flips, depth, turned = g.flip(), g.upto(3, 1), g.flip()
        inner = shape[1] if turned else shape[0]
        given |= {"transA": int(flips), "transB": int(turned)}
        weight = g.weight(*((inner, depth) if flips else (depth, inner)))
        rows, columns = depth, shape[0] if turned else shape[1]
    else:
        width = g.upto(3, 1)
        flips, turned = g.one_in(4), g.flip()
        given |= {"transA": int(flips), "transB": int(turned)}
        inner, rows, columns = (shape[0], shape[1], width) if flips else (shape[1], shape[0], width)
        weight = g.weight(*((columns, inner) if turned else (inner, columns)))
    forms = [(), (1,), (columns,), (1, columns), (rows, 1)]
    bias = [g.weight(*g.pick(*forms))] if g.flip() else []
    pair, hint = ([weight, x], 0) if on_left else ([x, weight], 1)
    return g.add("Gemm", *pair, *bias, hint=hint, **given)


def matmul(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1, most=4)
    width = g.upto(3, 1)
    more = shape[:-2] if g.one_in(3) else ()
    if len(shape) == 1 or not g.one_in(3):
        weight = g.weight(*more, shape[-1], width)
        return g.add("MatMul", x, weight, hint=max(len(shape) - 1, 0))
    weight = g.weight(*more, width, shape[-2])
    return g.add("MatMul", weight, x, hint=len(shape) - 2)


def square(g: Grower, x: str) -> str:
    """A dense layer that keeps the shape."""
    shape = g.shape(x, least=1)
    if len(shape) >= 3 and g.flip():
        ones = [1] * (len(shape) - 2)
        bias = [g.weight(shape[1])] if g.flip() else []
        return g.add("Conv", x, g.weight(shape[1], shape[1], *ones), *bias, hint=1)
    return g.add("MatMul", x, g.weight(shape[-1], shape[-1]), hint=len(shape) - 1)


def einsum(g: Grower, x: str) -> str:
    if g.net.elem_type == BFLOAT:
        raise Unfit
    shape = g.shape(x, least=2, most=3)
    width = g.upto(3, 1)
    letters = "abc"[: len(shape)]
    inner = g.upto(len(shape) - 1, 1)
    term = g.pick(f"{letters[inner]}z", f"z{letters[inner]}")
    result = letters.replace(letters[inner], "z")
    if g.one_in(4):
        result = result[::-1]
    sizes = {"z": width, letters[inner]: shape[inner]}
    weight = g.weight(*(sizes[letter] for letter in term))
    hint = result.index("z")
    if g.flip():
        return g.add("Einsum", x, weight, equation=f"{letters},{term}->{result}", hint=hint)
    return g.add("Einsum", weight, x, equation=f"{term},{letters}->{result}", hint=hint)


def layer_norm(g: Grower, x: str) -> str:
    shape = g.shape(x, least=2)
    operator = "LayerNormalization"
    if g.net.opset >= 23 and g.flip():
        operator = "RMSNormalization"
    elif g.net.opset < 17:
        raise Unfit
    axis = g.upto(len(shape) - 1, 1)
    _has_spread(g, x, tuple(range(axis, len(shape))))
    scale = shape[axis:] if not g.one_in(3) else shape[-1:]
    more = [g.weight(*scale)] if g.flip() and operator == "LayerNormalization" else []
    given = g.spelled(axis, len(shape))
    return g.add(operator, x, g.weight(*scale), *more, axis=given, hint=len(shape) - 1)


def channel_norm(g: Grower, x: str) -> str:
    """GroupNormalization or InstanceNormalization."""
    shape = g.shape(x, least=3)
    if g.net.opset >= 18 and g.flip():
        groups = g.pick(*[n for n in (1, 2, 3) if shape[1] % n == 0])
        count = groups if g.net.opset < 21 else shape[1]
        parts = g.values[x].reshape(shape[0], groups, -1)
        _spread(parts.std(axis=-1))
        pair = g.weight(count), g.weight(count)
        return g.add("GroupNormalization", x, *pair, num_groups=groups, hint=1)
    _has_spread(g, x, tuple(range(2, len(shape))))
    return g.add("InstanceNormalization", x, g.weight(shape[1]), g.weight(shape[1]), hint=1)


def _has_spread(g: Grower, x: str, axes: tuple[int, ...]) -> None:
    """Refuse to divide rounding errors by their own size."""
    if prod(g.values[x].shape[a] for a in axes) > 1:
        _spread(g.values[x].std(axis=axes))


def _spread(deviations: np.typing.NDArray[np.float64]) -> None:
    if deviations.min() < 0.05:
        raise Unfit


def embedding(g: Grower, x: str) -> str:
    """A table read by the indices that the model is given; what was grown before stays aside."""
    if "ids" not in g.values:
        g.input([2], np.array([2, 0]), "ids", INT64)
    width = g.upto(4, 1)
    table = g.net.weight(3, width)
    return g.add("Gather", table, "ids", like=x, hint=1)


def recurrent(g: Grower, x: str) -> str:
    """A recurrent layer over the last axis, in one direction or both."""
    if g.net.elem_type != FLOAT or g.net.opset < 7:
        raise Unfit
    size = g.shape(x, least=3, most=3)[-1]
    operator, gates = g.pick(("RNN", 1), ("GRU", 3), ("LSTM", 4))
    direction = g.pick("forward", "reverse", "bidirectional")
    directions, hidden = 1 + (direction == "bidirectional"), g.upto(2, 1)
    weights = [g.weight(directions, gates * hidden, n) for n in (size, hidden)]
    bias = [g.weight(directions, 2 * gates * hidden)] if g.flip() else []
    given: Given = {"hidden_size": hidden, "direction": direction}
    if operator == "GRU" and g.flip():
        given["linear_before_reset"] = 1
    return g.add(operator, x, *weights, *bias, hint=3, **given)


LAYERS: tuple[Rule, ...] = (
    conv,
    conv,
    conv,
    conv_transpose,
    gemm,
    gemm,
    matmul,
    matmul,
    einsum,
    layer_norm,
    channel_norm,
    embedding,
    recurrent,
)
