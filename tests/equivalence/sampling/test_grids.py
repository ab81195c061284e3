"""GridSample, against onnxruntime and the text of the specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, Net, feed_for, run
from samples import outputs_of, sampled, untyped

from folding.equivalence.sampling import Unsupported

PADDINGS = ["zeros", "border", "reflection"]
MODES = ["bilinear", "nearest", "bicubic"]
COMPARED = [(m, p) for m in MODES for p in PADDINGS if (m, p) != ("bicubic", "border")]
#: What onnxruntime may lose, in roundings of the magnitude.
ROUNDINGS = 8.0


def net_of(grid: tuple[int, ...] = (2, 6, 7, 2), **given: Any) -> Net:
    net = Net(FLOAT, opset=16)
    places = net.input(*grid, name="grid")
    net.node("GridSample", net.input(2, 3, 4, 5), places, out="y", **given)
    return net


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize(("mode", "padding"), COMPARED)
def test_it_is_what_the_runtime_computes(mode: str, padding: str, aligned: int) -> None:
    """In every mode, inside and far outside, beside a large shift or not."""
    model = net_of(mode=mode, padding_mode=padding, align_corners=aligned).model("y")
    for middle, reach in ((0.0, 1.0), (1000.0, 3.0)):
        feed = feed_for(model)
        feed = {"x": feed["x"] + np.float32(middle), "grid": feed["grid"] * np.float32(reach)}
        (found,), (value,) = outputs_of(model, feed), run(model, feed)
        assert (np.abs(found.value - value) <= ROUNDINGS * 2.0**-24 * found.magnitude).all()
        assert (found.magnitude * (1 + 1e-12) >= np.abs(found.value)).all()


@pytest.mark.parametrize(
    ("net", "result"),
    [
        (net_of(mode="lanczos"), (2, 3, 6, 7)),
        (net_of(mode="bicubic", padding_mode="border"), (2, 3, 6, 7)),
        (net_of(), (2, 3, 6, 6)),
        (net_of(), (2, 2, 6, 7)),
        (net_of((2, 6, 7, 3)), (2, 3, 6, 7)),
        (net_of((1, 6, 7, 2)), (2, 3, 6, 7)),
    ],
)
def test_what_does_not_fit_its_shapes_is_not_supported(net: Net, result: tuple[int, ...]) -> None:
    """Nor a mode that is not known."""
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


def test_a_place_that_is_no_number_is_not_supported() -> None:
    """What a runtime reads there is not said."""
    model = net_of().model("y")
    feed = feed_for(model)
    feed["grid"][0, 0, 0, 0] = np.nan

    found = sampled(model, feed, {"y": (2, 3, 6, 7)}, "y")

    assert found == Unsupported("a place of the grid is no number")
