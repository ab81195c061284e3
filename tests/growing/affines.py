"""Affines in all spellings."""

from __future__ import annotations

import numpy as np
from graphs import DOUBLE, FLOAT

from growing.grower import Grower, Rule


def _numbers(g: Grower, *shape: int, like: str, may_vanish: bool = False, idle: float = 1.0) -> str:
    """Constants for an affine: of one sign or two, all alike or with a zero among them.

    ``idle`` is the number that leaves a channel as it is, which some have.
    """
    signs = g.net.random.choice([-1.0, 1.0], shape) if g.one_in(4) else 1.0
    numbers = np.asarray(signs * g.net.random.uniform(0.25, 1.75, shape))
    if g.one_in(6):
        numbers = np.full(shape, numbers.flat[0])
    if shape and g.one_in(4):
        numbers[g.net.random.random(shape) < 0.5] = idle
    if may_vanish and g.one_in(8):
        numbers.flat[-1] = 0.0
    return g.net.store(numbers, elem_type=g.kind(like))


def batch_norm(g: Grower, x: str) -> str:
    shape = g.shape(x, least=2)
    channels = shape[1]
    gamma = _numbers(g, channels, like=x, may_vanish=True)
    nothing = g.flip()
    zeros = g.net.store(np.zeros(channels), elem_type=g.kind(x))
    beta, mean = (zeros if nothing else g.net.weight(channels, elem_type=g.kind(x)) for _ in "bm")
    variance = g.net.positive(channels, elem_type=g.kind(x))
    out = g.add("BatchNormalization", x, gamma, beta, mean, variance)
    g.counted.append(out)
    return out


def scale(g: Grower, x: str) -> str:
    return _arithmetic(g, x, g.pick("Mul", "Mul", "Div"))


def shift(g: Grower, x: str) -> str:
    return _arithmetic(g, x, g.pick("Add", "Sub"))


def scale_and_shift(g: Grower, x: str) -> str:
    return shift(g, scale(g, x)) if g.flip() else scale(g, shift(g, x))


def negation(g: Grower, x: str) -> str:
    return g.add("Neg", x)


def _arithmetic(g: Grower, x: str, operator: str) -> str:
    shape = g.shape(x)
    vector: tuple[int, ...] = ()
    if shape and not g.one_in(5):
        axis = g.hints.get(x, 0) if not g.one_in(5) else g.axis(x)
        size = 2 if shape[axis] == 1 and g.one_in(8) else shape[axis]
        vector = (size, *[1] * (len(shape) - 1 - axis))
        vector = (*[1] * g.upto(axis), *vector)
    idle = 1.0 if operator in ("Mul", "Div") else 0.0
    constant = _numbers(g, *vector, like=x, may_vanish=operator == "Mul", idle=idle)
    pair = [x, constant] if operator == "Div" or g.flip() else [constant, x]
    out = g.add(operator, *pair)
    if operator in ("Mul", "Div") and max(vector, default=1) > 1:
        g.counted.append(out)
    return out


def widened(g: Grower, x: str) -> str:
    """An affine between a Cast to a wider type and one back."""
    kind = g.kind(x)
    if kind == DOUBLE:
        return g.any_of(x, batch_norm, scale)
    wide = g.add("Cast", x, to=DOUBLE if kind == FLOAT else FLOAT)
    inner = g.any_of(wide, batch_norm, scale)
    return g.add("Cast", inner, to=kind)


def run(g: Grower, x: str) -> str:
    """Affines in a row, more often than not behind what none passes, and before."""
    x = g.add("Sigmoid", x) if not g.one_in(3) else x
    for _ in range(g.upto(5, 2)):
        x = g.any_of(x, batch_norm, scale, scale, shift, shift, negation)
    return g.add("Sigmoid", x) if not g.one_in(3) else x


AFFINES: tuple[Rule, ...] = (
    *[batch_norm] * 4,
    *[scale] * 5,
    *[scale_and_shift] * 2,
    shift,
    negation,
    widened,
)
RUNS: tuple[Rule, ...] = (run,)
