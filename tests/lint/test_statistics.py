"""Numbers of normalisations: statistics never updated, epsilons, and scales of 0 or below."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Net
from linting import codes, conv, image, lints, normed

ZEROS, ONES = np.zeros(4), np.ones(4)


def one(**changed: Any) -> list[str]:
    """The lints of a convolution and a BatchNormalization."""
    net = Net()
    return codes(net.model(net.node("Relu", normed(net, conv(net, image(net)), **changed))))


def test_sound_statistics_are_silent() -> None:
    """Nothing is wrong with numbers that were trained."""
    assert one() == []
    assert one(mean=ZEROS) == []
    assert one(var=ONES) == []
    assert one(mean=np.array([0, 0, 0, 0.1]), var=ONES) == []


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5])
def test_statistics_before_the_first_update_are_found(epsilon: float) -> None:
    """Whatever gamma and beta are."""
    assert one(mean=ZEROS, var=ONES, epsilon=epsilon) == ["STATISTICS_AT_INITIAL"]


def test_a_tool_that_writes_an_affine_as_a_batch_norm_is_silent() -> None:
    """An epsilon of 0 is one of no framework."""
    assert one(mean=ZEROS, var=ONES, epsilon=0.0) == []


def test_averages_from_zero_are_found() -> None:
    """A variance of 0 everywhere is no dead channel but one that was never counted."""
    assert one(mean=ZEROS, var=ZEROS) == ["AVERAGE_FROM_ZERO"]


@pytest.mark.parametrize(
    ("epsilon", "is_unusual"), [(1e-3, 0), (1e-6, 0), (1e-12, 0), (0.1, 1), (1e-9, 1)]
)
def test_unusual_epsilons_are_found(epsilon: float, *, is_unusual: int) -> None:
    """Those far from what frameworks and papers use."""
    assert one(epsilon=epsilon) == ["UNUSUAL_EPSILON"] * is_unusual


def test_an_epsilon_above_a_variance_is_found() -> None:
    """With how many channels it is so."""
    net = Net()
    variance = np.array([1e-4, 1.0, 2.0, 1e-9])
    y = normed(net, conv(net, image(net)), var=variance, epsilon=1e-3)
    (found,) = lints(net.model(net.node("Relu", y)))
    assert found.code.name == "EPSILON_DOMINATES"
    assert "2 of 4 channels" in found.cause
    assert one(var=np.array([2e-3, 1.0, 1.0, 1.0]), epsilon=1e-3) == []


def test_how_many_channels_it_is_is_said() -> None:
    """In a clause that is right for one, some and all."""
    for changed, expected in (
        (
            {"var": np.full(4, 1e-6)},
            "its variance is less than its epsilon of 1e-05 in every channel",
        ),
        ({"gamma": np.array([0.0, 1.0, 1.0, 1.0])}, "its scale is 0 in 1 of 4 channels, "),
    ):
        net = Net()
        (found,) = lints(net.model(net.node("Relu", normed(net, conv(net, image(net)), **changed))))
        assert found.cause.startswith(expected)


def apart(scale: np.ndarray, *, shift: bool = True) -> list[str]:
    """The lints of a normalisation that an exporter took apart."""
    net = Net()
    y = net.node("Sub", conv(net, image(net)), net.store(np.zeros((4, 1, 1))))
    y = net.node("Mul", y, net.store(scale.reshape(4, 1, 1)))
    if shift:
        y = net.node("Add", y, net.weight(4, 1, 1))
    return codes(net.model(net.node("Relu", y)))


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5])
def test_a_scale_tells_statistics_that_were_never_updated(epsilon: float) -> None:
    """Where gamma was not trained either, 1 / sqrt(1 + epsilon) is left, or 1 / sqrt(epsilon)."""
    initial = np.full(4, (1 + epsilon) ** -0.5)
    assert apart(initial) == ["STATISTICS_AT_INITIAL"]
    assert apart(np.full(4, epsilon**-0.5)) == ["AVERAGE_FROM_ZERO"]
    assert apart(np.full(4, 1 - epsilon)) == []
    assert apart(initial * np.array([1, 1, 1, 1.001])) == []


def test_one_channel_tells_nothing() -> None:
    """A single number may be anything."""
    net = Net()
    y = conv(net, image(net), channels=1)
    y = net.node("Mul", y, net.store(np.full((1, 1, 1), 1.001**-0.5)))
    assert codes(net.model(net.node("Add", y, net.store(np.full((1, 1, 1), 3.0))))) == []


def test_a_gamma_of_zero_is_found() -> None:
    """The channel is the same for all data."""
    gamma = np.array([0.0, 1.0, 1.0, 1.0])
    assert one(gamma=gamma) == ["NONPOSITIVE_SCALE"]
    assert apart(gamma) == ["NONPOSITIVE_SCALE"]


def test_a_negative_gamma_is_found_only_where_it_matters() -> None:
    """Between a pool of maxima and a layer it keeps the normalisation from moving."""
    gamma = np.array([-1.0, 1.0, 1.0, 1.0])
    assert one(gamma=gamma) == []
    net = Net()
    pooled = net.node("MaxPool", conv(net, image(net)), kernel_shape=[2, 2])
    found = codes(net.model(net.node("Tanh", normed(net, pooled, gamma=gamma))))
    assert found == ["NONPOSITIVE_SCALE", "POOLING_BEFORE_NORM"]


def test_a_long_run_of_arithmetic_is_no_normalisation() -> None:
    """Its numbers are not computed for a lint."""
    net = Net()
    y = conv(net, image(net))
    for _ in range(40):
        y = net.node("Mul", y, net.store(np.zeros((4, 1, 1))))
        y = net.node("Add", y, net.weight(4, 1, 1))
    assert codes(net.model(net.node("Relu", y))) == []
