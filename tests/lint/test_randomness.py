"""Dropout and noise that are on at inference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Net
from linting import codes, conv, image, lints

RANDOM = "RANDOM_AT_INFERENCE"


@pytest.mark.parametrize("operator", ["RandomNormalLike", "RandomUniformLike"])
def test_noise_is_found_where_it_is_read(operator: str) -> None:
    """What nothing reads is silent."""
    net = Net()
    y = conv(net, image(net))
    noise = net.node(operator, y, name="noise", dtype=1)
    (found,) = lints(net.model(net.node("Add", y, noise)))
    assert (found.code.name, found.at) == (RANDOM, "noise")
    dead = Net()
    y = conv(dead, image(dead))
    dead.node(operator, y, dtype=1)
    assert codes(dead.model(dead.node("Relu", y))) == []


def dropped(opset: int, *, mode: bool | None = None, ratio: float = 0.5) -> list[str]:
    net = Net(opset=opset)
    y = conv(net, image(net))
    if opset < 12:
        return codes(net.model(net.node("Dropout", y, ratio=ratio)))
    more = [net.store(ratio)]
    if mode is not None:
        more.append(net.store(np.array(mode), "mode", 0))
    return codes(net.model(net.node("Relu", net.node("Dropout", y, *more))))


def test_a_dropout_in_training_mode_is_found() -> None:
    """Since operator set 12 it may be in it; before, and by default, it is not."""
    assert dropped(17, mode=True) == [RANDOM]
    assert dropped(17, mode=False) == []
    assert dropped(17) == []
    assert dropped(17, mode=True, ratio=0.0) == []
    assert dropped(11) == []


def test_what_draws_in_a_body_that_runs_is_found() -> None:
    """Bodies are looked at like the graph around them."""
    net = Net()
    x = image(net)
    body = Net()
    body.node("RandomNormalLike", x, out="drawn", dtype=1)
    plain = Net()
    plain.node("Identity", x, out="same")
    condition = net.node("IsNaN", net.node("ReduceMax", x, keepdims=0))
    bodies: Any = {"then_branch": body.graph("drawn"), "else_branch": plain.graph("same")}
    assert codes(net.model(net.node("If", condition, **bodies))) == [RANDOM]
    dead = Net()
    x = image(dead)
    condition = dead.node("IsNaN", dead.node("ReduceMax", x, keepdims=0))
    dead.node("If", condition, **bodies)
    assert codes(dead.model(dead.node("Relu", x))) == []


def test_what_draws_in_a_body_within_one_that_does_not_run_is_silent() -> None:
    """Nothing reads the outer If, so the one within it is not run either."""
    net = Net()
    x = image(net)
    drawing = Net()
    drawing.node("RandomNormalLike", x, out="drawn", dtype=1)
    drawn = drawing.graph("drawn")
    within = Net()
    within.node("If", "unknown", out="inner", then_branch=drawn, else_branch=drawn)
    around = within.graph("inner")
    net.node("IsNaN", net.node("ReduceMax", x, keepdims=0), out="unknown")
    net.node("If", "unknown", then_branch=around, else_branch=around)
    assert codes(net.model(net.node("Relu", x))) == []
