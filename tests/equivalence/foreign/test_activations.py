"""Activations that runtimes write in several operators."""

from __future__ import annotations

import pytest
from graphs import Net, distance, feed_for, run
from onnx import ModelProto
from pairs import judged

from folding.equivalence.foreign import Matched


def swish() -> ModelProto:
    net = Net()
    net.node("HardSwish", net.node("Neg", net.input(2, 3)), out="y")
    return net.model("y")


def product(
    *, alpha: float = 1 / 6, beta: float = 0.5, turned: bool = False, gate_of: int = 1
) -> ModelProto:
    """A value, or the one before it, times its HardSigmoid."""
    net = Net()
    values = [net.input(2, 3), net.node("Neg", "x")]
    gate = net.node("HardSigmoid", values[gate_of], alpha=alpha, beta=beta)
    given = [values[1], gate]
    net.node("Mul", *(given[::-1] if turned else given), out="y")
    return net.model("y")


@pytest.mark.parametrize("turned", [False, True])
def test_a_value_times_its_hard_sigmoid_is_a_hard_swish(turned: bool) -> None:  # noqa: FBT001
    """ONNX defines it so, and onnxruntime writes it so."""
    one, other = swish(), product(turned=turned)
    feed = feed_for(one)
    assert distance(run(one, feed)[0], run(other, feed)[0]) <= 1e-6
    assert isinstance(judged(one, other), Matched)
    assert isinstance(judged(other, one), Matched)


@pytest.mark.parametrize("said", [{"alpha": 0.2}, {"beta": 0.4}, {"gate_of": 0}])
def test_another_product_is_none(said: dict[str, float]) -> None:
    """Other slopes, and the gate of another value, make another function."""
    other = product(**said)  # type: ignore[arg-type]
    assert not isinstance(judged(swish(), other), Matched)
