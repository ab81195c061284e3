"""Statistics of the batch of a model's own input, told from data that are prepared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphs import Net
from linting import codes, image

from .test_batch import BATCH, normalised


def of_features(net: Net) -> str:
    """A dense network that normalises its input, with a gamma and a beta."""
    y = normalised(net, net.input("N", 40), (0,))
    return net.node("Add", net.node("Mul", y, net.positive(40)), net.weight(40))


def of_features_in_products(net: Net) -> str:
    """The same as ``tf.nn.batch_normalization`` writes it."""
    x = net.input("N", 40)
    mean = net.node("ReduceMean", x, axes=(0,))
    apart = net.node("Sub", x, mean)
    variance = net.node("ReduceMean", net.node("Mul", apart, apart), axes=(0,))
    root = net.node("Sqrt", net.node("Add", variance, net.store(1e-3)))
    scale = net.node("Mul", net.node("Reciprocal", root), net.positive(40))
    shift = net.node("Sub", net.weight(40), net.node("Mul", mean, scale))
    return net.node("Add", net.node("Mul", x, scale), shift)


def rooted_squares(net: Net) -> tuple[str, str, str]:
    """The data, their mean, and the inverse of the root of their mean square."""
    x = net.input("N", 40)
    mean = net.node("ReduceMean", x, axes=(0,))
    square = net.node("ReduceMean", net.node("Mul", x, x), axes=(0,))
    root = net.node("Sqrt", net.node("Add", square, net.store(1e-3)))
    return x, mean, net.node("Reciprocal", root)


def of_features_without_gamma(net: Net) -> str:
    x, mean, scale = rooted_squares(net)
    shift = net.node("Sub", net.weight(40), net.node("Mul", mean, scale))
    return net.node("Add", net.node("Mul", x, scale), shift)


def of_features_without_beta(net: Net) -> str:
    x, mean, root = rooted_squares(net)
    scale = net.node("Mul", root, net.positive(40))
    return net.node("Sub", net.node("Mul", x, scale), net.node("Mul", mean, scale))


def of_images(net: Net) -> str:
    """Over all axes but the channels it is that whatever comes after."""
    return normalised(net, image(net), (0, 2, 3))


def in_a_node(net: Net) -> str:
    x = image(net)
    mean = net.node("ReduceMean", x, axes=(0, 2, 3), keepdims=0)
    variance = net.node("ReduceMean", net.node("Mul", x, x), axes=(0, 2, 3), keepdims=0)
    return net.node("BatchNormalization", x, net.positive(3), net.weight(3), mean, variance)


@pytest.mark.parametrize(
    "make",
    [
        of_features,
        of_features_in_products,
        of_features_without_gamma,
        of_features_without_beta,
        of_images,
        in_a_node,
    ],
)
def test_the_input_of_a_model_may_be_what_is_normalised(make: Callable[[Net], str]) -> None:
    """No layer has to come before it. It is said once, of the data and not of their mean."""
    net = Net()
    assert codes(net.model(net.node("Relu", make(net)))) == [BATCH]


def frames(net: Net) -> str:
    """Of some axes of a recording, at each place."""
    return normalised(net, net.input("T", 4, 8, 8), (0, 2))


def weighted(net: Net) -> str:
    """One number for all is no gamma."""
    y = normalised(net, net.input("T", 40), (0,))
    return net.node("Mul", y, net.store(0.1))


def summed(net: Net) -> str:
    """What is added is computed, too."""
    x = net.input("T", 40)
    return net.node("Add", normalised(net, x, (0,)), net.node("ReduceMean", x, axes=(0,)))


@pytest.mark.parametrize("make", [frames, weighted, summed])
def test_data_that_are_prepared_are_silent(make: Callable[[Net], str]) -> None:
    """Where nothing tells that the first axis is the batch."""
    net = Net()
    assert codes(net.model(net.node("Relu", make(net)))) == []
