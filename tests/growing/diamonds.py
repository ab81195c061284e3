"""Ways that part at a value and meet again."""

from __future__ import annotations

import numpy as np

from growing.affines import AFFINES
from growing.branching import relu
from growing.grower import Given, Grower, Rule, Unfit
from growing.shaping import same, slice_, transpose
from growing.windows import global_pool, reduce

#: The size of an axis that may be open.
_BATCH = 2


def diamond(g: Grower, x: str) -> str:
    """The same value on two or three ways, which another node joins."""
    arms = g.pick(_like, _like, _pooled, _pooled, _sliced, _turned, _any)(g, x)
    if g.one_in(4):
        arms = [g.any_of(arm, *AFFINES) if g.flip() else arm for arm in arms]
    if g.one_in(6):
        arms.append(g.any_of(g.pick(*arms), relu))
    return _meeting(g, g.random.sample(arms, len(arms)))


def _like(g: Grower, x: str) -> list[str]:
    """Nodes that leave the shape alone, or none."""
    return [g.any_of(x, same, _window) if g.one_in(3) else _window(g, x), g.pick(x, same(g, x))]


def _window(g: Grower, x: str) -> str:
    sizes = g.shape(x, least=3)[2:]
    operator = g.pick("MaxPool", "AveragePool")
    given: Given = {"kernel_shape": [2] * len(sizes), "auto_pad": "SAME_UPPER"}
    return g.add(operator, x, **given)


def _pooled(g: Grower, x: str) -> list[str]:
    """Numbers for each channel, joined with each other or with the value itself."""
    one = g.any_of(x, global_pool, global_pool, reduce)
    return [one, g.pick(x, global_pool(g, x), global_pool(g, x))]


def _sliced(g: Grower, x: str) -> list[str]:
    """Every other row, as at the start of some detectors; or parts that have little in common."""
    if g.one_in(4):
        return [slice_(g, x), slice_(g, x)]
    shape = g.shape(x, least=3)
    axis = g.upto(len(shape) - 1, 2)
    # An open batch may have another size, with halves that differ: onnxruntime joins what is empty.
    if g.net.opset < 10 or shape[axis] % 2 or shape[axis] == _BATCH:
        raise Unfit
    ends = [g.net.integers(shape[axis]), g.net.integers(axis), g.net.integers(2)]
    return [g.add("Slice", x, g.net.integers(begin), *ends) for begin in (0, 1)]


def _turned(g: Grower, x: str) -> list[str]:
    """Two equal moves of the axes."""
    perm = g.order(len(g.shape(x, least=2)))
    hint = perm.index(g.hints.get(x, 1) % len(perm))
    return [g.add("Transpose", x, perm=perm, hint=hint) for _ in range(2)]


def _any(g: Grower, x: str) -> list[str]:
    rules: tuple[Rule, ...] = (same, transpose, slice_, global_pool, relu, _window)
    return [g.any_of(x, *rules), g.any_of(x, *rules)]


def _meeting(g: Grower, arms: list[str]) -> str:
    """A Concat along an axis on which the arms may differ, or an operator of equal shapes."""
    first, *others = (g.values[arm].shape for arm in arms)
    ranks = {len(first), *map(len, others)}
    differ = {
        a for shape in others for a in range(len(shape)) if first[a : a + 1] != shape[a : a + 1]
    }
    if len(ranks) == 1 and len(differ) < 2 and ranks != {0} and g.flip():
        hint = g.hints.get(arms[0], 1)
        axis = g.pick(*(differ or {*range(len(first)), hint}))
        return g.add("Concat", *arms, axis=g.spelled(axis, len(first), 11))
    try:
        np.broadcast_shapes(first, *others)
    except ValueError as error:
        raise Unfit from error
    operator = g.pick("Add", "Add", "Sub", "Sum", "Mean", "Mul", "Max", "Min")
    return g.add(operator, *(arms[:2] if operator in ("Add", "Sub", "Mul") else arms))


DIAMONDS: tuple[Rule, ...] = (diamond,)
