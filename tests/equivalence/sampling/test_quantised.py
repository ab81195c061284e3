"""DequantizeLinear of constants in a region, against onnxruntime and the specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import save
from graphs import Feed, feed_for
from onnx import ModelProto, TensorProto
from quantising import FLOAT8, INT8, KINDS, net_of, quantised
from samples import assert_by_definition, assert_value, region_of, sampled, shapes_of, untyped

from folding.equivalence.sampling import Sampled, Unsupported
from folding.modelfile import open_model

FORMS: list[tuple[tuple[int, ...], dict[str, int]]] = [
    ((), {}),
    ((1,), {}),
    ((4,), {"axis": 0}),
    ((5,), {}),
    ((2,), {"axis": -1}),
    ((4, 2, 2), {"axis": 1, "block_size": 3}),
    ((4, 5, 1), {"axis": -1, "block_size": 2}),
]


def model_of(kind: int, scales: tuple[int, ...], **given: Any) -> ModelProto:
    net = net_of()
    weight = quantised(net, 4, 5, 2, scales=scales, kind=kind, zero=kind not in FLOAT8, **given)
    net.node("Conv", net.input(2, 5, 4), weight, out="y")
    return net.model("y")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scales", "given"), FORMS)
def test_every_form_and_type_is_what_the_specification_says(
    kind: int, scales: tuple[int, ...], given: dict[str, int]
) -> None:
    assert_by_definition(model_of(kind, scales, **given))


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_is_what_the_runtime_computes(kind: int) -> None:
    assert_value(model_of(kind, (4,), axis=0), within=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_read_from_files(kind: int, tmp_path: Path) -> None:
    """Those of less than a byte are stored several in one."""
    net = net_of()
    weight = quantised(net, 64, 33, 2, scales=(64,), kind=kind, zero=None, axis=0)
    net.node("Conv", net.input(1, 33, 2), weight, out="y")
    model = net.model("y")
    feed, path = feed_for(model), tmp_path / "m.onnx"
    save(model, path)
    shapes = shapes_of(model, feed)
    within = sampled(model, feed, shapes, "y")

    with open_model(path) as opened:
        found = sampled(region_of(opened), feed, shapes, "y")

    assert isinstance(found, Sampled)
    assert isinstance(within, Sampled)
    np.testing.assert_array_equal(found.value, within.value)
    np.testing.assert_array_equal(found.magnitude, within.magnitude)


@pytest.mark.parametrize(
    "fault", ["a scale too many", "another zero", "blocks of another rank", "no axis", "no data"]
)
def test_what_does_not_fit_is_not_evaluated(fault: str) -> None:
    net = net_of()
    data = net.store(net.random.integers(0, 9, (4, 5, 2)), "q", INT8)
    scale = net.store(np.ones(6 if fault == "a scale too many" else 5))
    given: dict[str, Any] = {"axis": 7} if fault == "no axis" else {}
    given |= {"block_size": 2} if fault == "blocks of another rank" else {}
    zero = [net.store(np.ones(6), "z", INT8)] if fault == "another zero" else []
    if fault == "no data":
        data = net.input(4, 5, 2, name="q", elem_type=TensorProto.INT8)
    net.node("DequantizeLinear", data, scale, *zero, out="w", **given)
    net.node("Conv", net.input(2, 5, 4), "w", out="y")
    model = untyped(net, "y")
    feed: Feed = {"x": np.ones((2, 5, 4), np.float32), "q": np.ones((4, 5, 2), np.int8)}

    found = sampled(model, feed, {"w": (4, 5, 2), "y": (2, 4, 3)}, "y")

    assert isinstance(found, Unsupported)
