"""Formulas that are still in the graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graphs import Net
from linting import codes, conv, image


def normalised(net: Net, root: str) -> list[str]:
    """The lints of a convolution that is divided by a root of constants."""
    scale = net.node("Div", net.positive(4, 1, 1), root)
    y = net.node("Mul", conv(net, image(net)), scale)
    return codes(net.model(net.node("Relu", net.node("Add", y, net.weight(4, 1, 1)))))


def variance(net: Net) -> str:
    return net.positive(4, 1, 1)


def as_it_should_be(net: Net) -> str:
    return net.node("Sqrt", net.node("Add", variance(net), net.store(1e-3)))


def by_a_power(net: Net) -> str:
    spread = net.node("Add", variance(net), net.store(1e-3))
    return net.node("Reciprocal", net.node("Pow", spread, net.store(-0.5)))


def two_variances(net: Net) -> str:
    """A product of two is no square."""
    product = net.node("Mul", variance(net), variance(net))
    return net.node("Sqrt", net.node("Add", product, net.store(1e-3)))


def shifted(net: Net) -> str:
    """What is added is too much for an epsilon."""
    return net.node("Add", net.node("Sqrt", variance(net)), net.store(1.0))


def added_vector(net: Net) -> str:
    return net.node("Add", net.node("Sqrt", variance(net)), net.positive(4, 1, 1))


@pytest.mark.parametrize(
    "make", [as_it_should_be, by_a_power, two_variances, shifted, added_vector]
)
def test_sound_formulas_are_silent(make: Callable[[Net], str]) -> None:
    """The usual one, and those that only look like a mistake."""
    net = Net()
    assert normalised(net, make(net)) == []


def squared(net: Net) -> str:
    v = variance(net)
    return net.node("Sqrt", net.node("Add", net.node("Mul", v, v), net.store(1e-3)))


def squared_by_a_power(net: Net) -> str:
    square = net.node("Pow", variance(net), net.store(2.0))
    return net.node("Sqrt", net.node("Add", net.store(1e-3), square))


@pytest.mark.parametrize("make", [squared, squared_by_a_power])
def test_a_squared_variance_is_found(make: Callable[[Net], str]) -> None:
    """By a product with itself, or a power of 2."""
    net = Net()
    assert normalised(net, make(net)) == ["VARIANCE_SQUARED"]


def test_a_square_is_not_compared_with_the_epsilon() -> None:
    """It is smaller than that where the variance is not."""
    net = Net()
    v = net.store(np.full((4, 1, 1), 0.02))
    root = net.node("Sqrt", net.node("Add", net.node("Mul", v, v), net.store(1e-3)))
    assert normalised(net, root) == ["VARIANCE_SQUARED"]


def test_an_epsilon_outside_of_the_root_is_found() -> None:
    """``sqrt(v) + epsilon``, but not where there is one below the root, too."""
    net = Net()
    root = net.node("Sqrt", variance(net))
    assert normalised(net, net.node("Add", root, net.store(1e-3))) == ["EPSILON_OUTSIDE_ROOT"]
    both = Net()
    root = as_it_should_be(both)
    assert normalised(both, both.node("Add", root, both.store(1e-3))) == []


def test_epsilon_and_variance_are_looked_at_where_they_are_left() -> None:
    """As in a node."""
    net = Net()
    root = net.node("Sqrt", net.node("Add", variance(net), net.store(0.1)))
    assert normalised(net, root) == ["UNUSUAL_EPSILON"]
    dead = Net()
    numbers = np.array([1e-6, 1.0, 1.0, 1.0]).reshape(4, 1, 1)
    root = dead.node("Sqrt", dead.node("Add", dead.store(numbers), dead.store(1e-3)))
    assert normalised(dead, root) == ["EPSILON_DOMINATES"]


def test_dead_formulas_and_live_ones_are_silent() -> None:
    """A root that nothing reads, and one of what is computed at run time."""
    net = Net()
    squared(net)
    assert codes(net.model(net.node("Relu", conv(net, image(net))))) == []
    live = Net()
    y = live.node("ReduceMean", conv(live, image(live)), axes=(2, 3))
    root = live.node("Sqrt", live.node("Add", live.node("Mul", y, y), live.store(1e-3)))
    assert codes(live.model(root)) == []
