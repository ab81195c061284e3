"""Activations before a normalisation: operators and the formulas of some."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphs import Net
from linting import conv, ended, image, normed

from .test_placement import ACTIVATION


def test_a_gate_is_an_activation() -> None:
    """``x * sigmoid(x)``; but not a product of two ways."""
    net = Net()
    y = conv(net, image(net))
    assert ended(net, normed(net, net.node("Mul", net.node("Sigmoid", y), y))) == [ACTIVATION]
    gated = Net()
    x = image(gated)
    y, other = conv(gated, x), conv(gated, x)
    assert ended(gated, normed(gated, gated.node("Mul", gated.node("Sigmoid", other), y))) == []


def gelu(net: Net, x: str) -> str:
    """By the error function, halved at the end."""
    gate = net.node("Erf", net.node("Div", x, net.store(2**0.5)))
    product = net.node("Mul", x, net.node("Add", gate, net.store(1.0)))
    return net.node("Mul", product, net.store(0.5))


def gelu_halved_first(net: Net, x: str) -> str:
    """As TensorFlow writes it."""
    gate = net.node("Erf", net.node("Mul", x, net.store(0.5**0.5)))
    half = net.node("Mul", net.store(0.5), x)
    return net.node("Mul", half, net.node("Add", net.store(1.0), gate))


def gelu_by_tanh(net: Net, x: str) -> str:
    cube = net.node("Mul", net.node("Pow", x, net.store(3.0)), net.store(0.044715))
    gate = net.node("Tanh", net.node("Mul", net.node("Add", x, cube), net.store(0.7978846)))
    return net.node("Mul", x, net.node("Add", gate, net.store(1.0)))


def mish(net: Net, x: str) -> str:
    return net.node("Mul", x, net.node("Tanh", net.node("Softplus", x)))


def hard_swish(net: Net, x: str) -> str:
    shifted = net.node("Add", x, net.store(3.0))
    gate = net.node("Clip", shifted, net.store(0.0), net.store(6.0))
    return net.node("Mul", net.node("Div", gate, net.store(6.0)), x)


def maximum(net: Net, x: str) -> str:
    return net.node("Max", x, net.store(0.0))


def softmax(net: Net, x: str) -> str:
    return net.node("Softmax", x, axis=1)


@pytest.mark.parametrize(
    "make", [gelu, gelu_halved_first, gelu_by_tanh, mish, hard_swish, maximum, softmax]
)
def test_activations_that_exporters_write_as_formulas_are_found(
    make: Callable[[Net, str], str],
) -> None:
    """Each as some exporter writes it."""
    net = Net()
    assert ended(net, normed(net, make(net, conv(net, image(net))))) == [ACTIVATION]


def square(net: Net, x: str) -> str:
    """Nothing in it squashes."""
    return net.node("Mul", x, x)


def attention(net: Net, x: str) -> str:
    """A gate of the whole image is a layer of its own."""
    mean = net.node("ReduceMean", x, axes=[2, 3])
    return net.node("Mul", x, net.node("Sigmoid", mean))


def larger_of_two(net: Net, x: str) -> str:
    return net.node("Max", x, net.node("Neg", x))


def gated_by_another(net: Net, x: str) -> str:
    """What else has a part in the gate may be anything."""
    other = net.node("Add", x, net.input("N", 4, 6, 6, name="other"))
    return net.node("Mul", x, net.node("Sigmoid", other))


@pytest.mark.parametrize("make", [square, attention, larger_of_two, gated_by_another])
def test_other_products_are_no_activations(make: Callable[[Net, str], str]) -> None:
    """Nor is the walk sure what stands before them."""
    net = Net()
    assert ended(net, normed(net, make(net, conv(net, image(net))))) == []
