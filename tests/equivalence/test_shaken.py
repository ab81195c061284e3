"""Shaken: the reference with noise, at its sites or wherever it rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from graphs import FLOAT, Net
from inprocess import opened

from folding.equivalence.sessions import Sessions
from folding.equivalence.shaken import Shaken

FEED = {"x": np.ones((2, 3), np.float32)}
SHAPES = {"h": (2, 3), "y": (2, 3)}


def shaken(net: Net, **more: Any) -> tuple[list[Any], list[Any]]:
    """What arrives of noise at the site ``h``, and of noise everywhere."""
    noise = {"h": np.asarray(1e-3)} if more.get("sites") else {}
    with opened(net.model("y")) as (model,), Sessions(model) as sessions:
        one = Shaken(sessions, ("y",), **{"sites": {}, **more})
        return one.at_sites(FEED, noise, SHAPES), one.everywhere(FEED, noise, SHAPES)


def chain() -> Net:
    net = Net()
    net.node("Mul", net.node("Neg", net.input(2, 3), out="h"), net.store(3.0), out="y")
    return net


def test_noise_at_a_site_has_its_size_and_that_elsewhere_a_few_roundings() -> None:
    at_sites, everywhere = shaken(chain(), sites={"h": FLOAT}, rounded={"h": FLOAT, "y": FLOAT})

    for draws in (at_sites, everywhere):
        assert all(1e-4 < np.abs(draw["y"] + 3).max() < 1e-2 for draw in draws)
    at_sites, everywhere = shaken(chain(), rounded={"h": FLOAT, "y": FLOAT})
    assert at_sites == []
    assert all(1e-8 < np.abs(draw["y"] + 3).max() < 1e-5 for draw in everywhere)


def test_small_models_are_shaken_more_often_than_twice() -> None:
    """And each time otherwise."""
    _, everywhere = shaken(chain(), rounded={"h": FLOAT, "y": FLOAT})

    assert len(everywhere) == 8
    assert len({draw["y"].tobytes() for draw in everywhere}) > 1


def test_without_anything_that_rounds_there_is_no_noise() -> None:
    assert shaken(chain()) == ([], [])


def test_a_model_that_does_not_run_with_noise_has_none() -> None:
    """An index of three is beyond the last one as soon as it is a little more."""
    net = Net()
    index = net.node("Ceil", net.node("Mul", net.input(2, 3), net.store(2.0), out="h"))
    places = net.node("Cast", index, to=7)
    net.node("Gather", net.store([0.0, 1.0, 2.0]), places, out="y")

    assert shaken(net, rounded={"h": FLOAT})[1] == []
