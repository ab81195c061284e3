"""Carriers that compute with neighbours: pooling, reductions, padding, resizing."""

from __future__ import annotations

import numpy as np
from graphs import BFLOAT, HALF

from growing.grower import Given, Grower, Rule, Unfit

_AXES_ARE_INPUT = 18
_SUMS_SHORT_FLOATS = 14
_HAS_NO_EMPTY_SCALES = 13


def pool(g: Grower, x: str) -> str:
    operator = g.pick("MaxPool", "AveragePool", "LpPool")
    sizes = g.shape(x, least=3)[2:]
    kernel = [g.upto(min(2, size), 1) for size in sizes]
    given: Given = {"kernel_shape": kernel}
    if g.one_in(3):
        given["pads"] = [g.upto(size - 1) for size in kernel] * 2
        if operator == "AveragePool" and g.flip():
            given["count_include_pad"] = 1
    elif g.one_in(4):
        given["auto_pad"] = g.pick("SAME_UPPER", "SAME_LOWER", "VALID")
    if g.one_in(3):
        given["strides"] = [g.upto(2, 1) for _ in sizes]
    if g.net.opset >= 10 and operator != "LpPool" and g.one_in(4) and "auto_pad" not in given:
        given["ceil_mode"] = 1
    return g.add(operator, x, **given)


def global_pool(g: Grower, x: str) -> str:
    g.shape(x, least=3)
    return g.add(g.pick("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"), x)


def reduce(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1)
    mean, total, largest, smallest = "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"
    operator = g.pick(mean, total, largest, smallest, "ReduceL1", "ReduceL2")
    hint, axis = g.hints.get(x, 1), g.axis(x)
    keeps = g.flip()
    since = 13 if operator == total else _AXES_ARE_INPUT
    more, given = g.listed("axes", [g.spelled(axis, len(shape), 11)], since)
    if g.one_in(8):
        more, given, axis = [], {}, 0
    moved = hint - (axis < hint and not keeps)
    return g.add(operator, x, *more, keepdims=int(keeps), hint=moved, **given)


def absolute(g: Grower, x: str) -> str:
    return g.add("Abs", x)


def pad(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1)
    mode = g.pick("constant", "constant", "reflect", "edge", "wrap")
    if mode == "wrap" and g.net.opset < 19:
        raise Unfit
    axis = g.axis(x)
    begin, end = g.upto(1), g.pick(0, 1, -1)
    if mode == "reflect" and shape[axis] < 3:
        raise Unfit
    end = max(end, 1 - shape[axis])
    pads = [0] * len(shape) * 2
    pads[axis], pads[axis + len(shape)] = begin, end
    value = g.pick(0.0, 0.0, 0.5)
    if g.net.opset < 11:
        return g.add("Pad", x, mode=mode, pads=pads, value=value)
    more = [g.net.store(np.array(value), elem_type=g.kind(x))] if g.flip() else []
    if g.net.opset >= _AXES_ARE_INPUT and g.flip():
        pads = [begin, end]
        more = [more[0] if more else "", g.net.integers(g.spelled(axis, len(shape)))]
    return g.add("Pad", x, g.net.integers(*pads), *more, mode=mode)


def resize(g: Grower, x: str) -> str:
    shape = g.shape(x, least=3, most=4)
    scales = np.ones(len(shape), np.float32)
    scales[g.upto(len(shape) - 1, 2)] = g.pick(2.0, 1.5)
    mode = g.pick("nearest", "linear", "cubic") if len(shape) == 4 else g.pick("nearest", "linear")
    given: Given = {"mode": mode}
    if g.net.opset < 10:
        raise Unfit
    if g.net.opset < 11:
        given["mode"] = "nearest"
        return g.add("Resize", x, g.net.store(scales, elem_type=1), **given)
    modes = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    given["coordinate_transformation_mode"] = g.pick(*modes)
    if g.flip():
        return g.add("Resize", x, "", g.net.store(scales, elem_type=1), **given)
    sizes = [int(size * scale) for size, scale in zip(shape, scales, strict=True)]
    if g.one_in(4) and g.net.opset >= _HAS_NO_EMPTY_SCALES and given["mode"] != "cubic":
        given["coordinate_transformation_mode"] = "tf_crop_and_resize"
        ends = np.array([[0.0] * len(shape), [1.0] * len(shape)], np.float32)
        ends[:, g.upto(len(shape) - 1, 1)] = g.pick((-0.25, 1.5), (0.25, 0.75), (0.0, 1.0))
        roi = g.net.store(ends.ravel(), elem_type=1)
        return g.add("Resize", x, roi, "", g.net.integers(*sizes), **given)
    return g.add("Resize", x, "", "", g.net.integers(*sizes), **given)


def linear(g: Grower, x: str) -> str:
    """Sums along an axis, or a triangle of a matrix."""
    rank = len(g.shape(x, least=1))
    if rank > 1 and g.flip():
        diagonal = [g.net.store(np.array(g.upto(1, -1)), elem_type=0)] if g.flip() else []
        return g.add("Trilu", x, *diagonal, upper=g.upto(1))
    if g.kind(x) in (HALF, BFLOAT) and g.net.opset < _SUMS_SHORT_FLOATS:
        raise Unfit
    axis = g.net.store(np.array(g.spelled(g.axis(x), rank)), elem_type=0)
    return g.add("CumSum", x, axis, exclusive=int(g.one_in(4)), reverse=int(g.one_in(4)))


def grid_sample(g: Grower, x: str) -> str:
    """At places inside and outside of a picture."""
    batch, _, *sizes = g.shape(x, least=4, most=4)
    places = g.net.random.uniform(-1.5, 1.5, (batch, *(min(size, 2) for size in sizes), 2))
    given: Given = {"mode": "nearest"} if g.flip() else {}
    if g.flip():
        given["padding_mode"] = g.pick("zeros", "border", "reflection")
    grid = g.net.store(places, elem_type=1)
    return g.add("GridSample", x, grid, align_corners=g.upto(1), **given)


def depth_and_space(g: Grower, x: str) -> str:
    _, channels, *sizes = g.shape(x, least=4, most=4)
    if channels % 4 == 0 and g.flip():
        given: Given = {"mode": g.pick("DCR", "CRD")} if g.net.opset >= 11 else {}
        return g.add("DepthToSpace", x, blocksize=2, **given)
    if any(size % 2 for size in sizes):
        raise Unfit
    return g.add("SpaceToDepth", x, blocksize=2)


WINDOWS: tuple[Rule, ...] = (
    pool,
    pool,
    global_pool,
    reduce,
    reduce,
    absolute,
    pad,
    pad,
    resize,
    linear,
    grid_sample,
    depth_and_space,
    depth_and_space,
)
