"""Biases before a normalisation."""

from __future__ import annotations

import numpy as np
from graphs import Net
from linting import affine, codes, ended, image, lints, normed

from .test_placement import ACTIVATION
from .test_way_up import AXIS, BIAS


def biased(net: Net, values: np.ndarray) -> str:
    weight = net.weight(4, 3, 3, 3)
    return net.node("Conv", image(net), weight, net.store(values), name="layer")


def test_a_bias_before_the_normalisation_is_noted() -> None:
    """In the layer, or as an Add; one of zeros is none."""
    net = Net()
    (found,) = lints(net.model(net.node("Tanh", normed(net, biased(net, np.ones(4))))))
    assert (found.code.name, found.code.is_note) == (BIAS, True)
    assert "'layer'" in found.cause
    none = Net()
    assert ended(none, normed(none, biased(none, np.zeros(4)))) == []
    added = Net()
    y = added.node("MatMul", added.input("N", 3), added.weight(3, 4))
    assert ended(added, affine(added, added.node("Add", y, added.weight(4)), 4)) == [BIAS]
    cast = Net()
    y = cast.node("MatMul", cast.input("N", 3), cast.weight(3, 4))
    y = cast.node("Identity", cast.node("Add", y, cast.weight(4)))
    assert ended(cast, affine(cast, y, 4)) == [BIAS]


def test_a_bias_along_another_axis_is_silent() -> None:
    """The normalisation has one mean for all the channels of a row, and takes no bias away."""
    net = Net()
    y = net.node("Conv", image(net), net.weight(4, 3, 3, 3), net.weight(4))
    assert ended(net, affine(net, y, 6)) == [AXIS]
    added = Net()
    y = added.node("Conv", image(added), added.weight(4, 3, 3, 3))
    assert ended(added, affine(added, added.node("Add", y, added.weight(4, 1, 1)), 6)) == [AXIS]
    along = Net()
    y = along.node("Conv", image(along), along.weight(4, 3, 3, 3))
    y = along.node("Identity", along.node("Add", y, along.weight(6, 1)))
    assert ended(along, affine(along, y, 6, 1)) == sorted([AXIS, BIAS])


def test_a_bias_that_something_else_needs_is_silent() -> None:
    """The normalisation takes it away from itself alone; nor does it behind an activation."""
    net = Net()
    y = biased(net, np.ones(4))
    assert codes(net.model(net.node("Tanh", normed(net, y)), y)) == []
    used = Net()
    y = used.node("Relu", biased(used, np.ones(4)))
    assert ended(used, normed(used, y)) == [ACTIVATION]
