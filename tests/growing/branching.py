"""Activations, branches that meet again, and values that several nodes read."""

from __future__ import annotations

import numpy as np

from growing.grower import Given, Grower, Rule, Unfit
from growing.layers import LAYERS, square

#: Below that a divisor would make much of a rounding.
_LEAST = 0.2


def relu(g: Grower, x: str) -> str:
    return g.add("Relu", x)


def leaky_relu(g: Grower, x: str) -> str:
    return g.add("LeakyRelu", x, alpha=g.pick(0.1, 0.5))


def p_relu(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1)
    axis = g.hints.get(x, 0)
    slope = g.pick((1,), (shape[axis], *[1] * (len(shape) - 1 - axis)))
    return g.add("PRelu", x, g.net.weight(*slope, elem_type=g.kind(x)))


def clip(g: Grower, x: str) -> str:
    low, high = g.pick((0.0, None), (-1.0, 1.0), (0.0, 2.0), (None, 1.0))
    if g.net.opset < 11:
        bounds: Given = {"min": low, "max": high}
        bounds = {name: bound for name, bound in bounds.items() if bound is not None}
        return g.add("Clip", x, **bounds)
    names = [
        "" if value is None else g.net.store(np.array(value), elem_type=g.kind(x))
        for value in (low, high)
    ]
    return g.add("Clip", x, *names)


def join(g: Grower, x: str) -> str:
    """Two branches of one shape, each behind a layer of its own more often than not."""
    one = square(g, x) if not g.one_in(5) else x
    other = square(g, x) if not g.one_in(5) else _partner(g, one)
    return _joined(g, one, other)


def _partner(g: Grower, x: str) -> str:
    """A value that broadcasts to the shape of another: an older one, or a constant."""
    shape = g.values[x].shape
    fits = [
        y for y in g.floats() if g.kind(y) == g.kind(x) and _stretches(g.values[y].shape, shape)
    ]
    if g.one_in(4):
        constant = g.pick((), shape[-1:], shape)
        return g.net.weight(*constant, elem_type=g.kind(x))
    return g.pick(*fits)


def _stretches(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, large) == large
    except ValueError:
        return False


def _joined(g: Grower, one: str, other: str) -> str:
    pair = [one, other]
    if g.flip():
        pair.reverse()
    operator = g.pick("Add", "Add", "Sub", "Sum", "Mean", "Mul", "Div", "Max", "Min")
    divisor = g.values.get(pair[1])
    if operator == "Div" and (divisor is None or np.abs(divisor).min() < _LEAST):
        raise Unfit
    if operator == "Div" and "condition" in g.feed:  # It may be nothing in the other branch.
        raise Unfit
    if operator in ("Sum", "Mean", "Max", "Min") and g.one_in(4):
        pair.append(_partner(g, one))
    return g.add(operator, *pair)


def choice(g: Grower, x: str) -> str:
    """A branch here and another there, by a mask of any shape or a flag."""
    one = square(g, x) if not g.one_in(5) else x
    pair = [one, square(g, x) if g.flip() else _partner(g, one)]
    shape = g.values[one].shape
    if g.one_in(3):
        condition = g.flag()
    else:
        mask = g.net.random.random(g.pick(shape, shape[-1:], ())) < 0.5
        condition = g.net.store(mask, elem_type=0)
    return g.add("Where", condition, *(pair[::-1] if g.flip() else pair), like=one)


def residual(g: Grower, x: str) -> str:
    """Something, and around it the value itself."""
    inner = square(g, x)
    for _ in range(g.upto(2)):
        inner = g.any_of(inner, relu, square)
    return g.add(g.pick("Add", "Add", "Sub", "Mul"), *g.pick((inner, x), (x, inner)))


def excite(g: Grower, x: str) -> str:
    """Squeeze and excitation: each channel times a number made of them all."""
    shape = g.shape(x, least=3)
    axes = list(range(2, len(shape)))
    if g.flip():
        small = g.add("GlobalAveragePool", x)
    else:
        more, given = g.listed("axes", axes, 18)
        small = g.add("ReduceMean", x, *more, keepdims=1, **given)
    ones = [1] * len(axes)
    small = g.add("Conv", small, g.weight(shape[1], shape[1], *ones), hint=1)
    if g.flip():
        small = g.add("Sigmoid", small)
    return g.add("Mul", *g.pick((x, small), (small, x)))


def fork(g: Grower, x: str) -> str:
    """Another layer that reads the same value; both end in outputs of the model."""
    aside = g.any_of(x, *LAYERS, relu)
    if aside != x:
        g.outputs.append(aside)
    return x


def measure(g: Grower, x: str) -> str:
    """Something that only asks for the shape."""
    g.outputs.append(g.add(g.pick("Shape", "Size"), x))
    return x


ACTIVATIONS: tuple[Rule, ...] = (relu, leaky_relu, p_relu, clip)
JOINS: tuple[Rule, ...] = (join, join, join, choice, residual, excite)
ASIDES: tuple[Rule, ...] = (fork, measure)
