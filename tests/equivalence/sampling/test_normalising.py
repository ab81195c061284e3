"""Normalisations by statistics of the run, against onnxruntime and the specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, Array, Feed, Net, feed_for, run
from onnx import ModelProto
from oracle import evaluate as by_definition
from samples import (
    assert_by_definition,
    outputs_of,
    region_of,
    sampled,
    untyped,
)

from folding.equivalence.sampling import Sampled, Unsupported, evaluate, rows

SHAPE = (2, 4, 3, 5)
#: What onnxruntime's sums may lose, in roundings of the magnitude.
ROUNDINGS = 8.0


def layer_norm(net: Net, dims: tuple[int, ...] = (5,), bias: bool = True, **given: Any) -> None:  # noqa: FBT001, FBT002
    parameters = [net.weight(*dims), *([net.weight(*dims)] if bias else [])]
    net.node("LayerNormalization", net.input(*SHAPE), *parameters, out="y", **given)


def rms_norm(net: Net, dims: tuple[int, ...] = (5,), **given: Any) -> None:
    net.opset = 23
    net.node("RMSNormalization", net.input(*SHAPE), net.weight(*dims), out="y", **given)


def group_norm(net: Net, opset: int = 21, groups: int = 2, **given: Any) -> None:
    net.opset = opset
    count = SHAPE[1] if opset >= 21 else groups
    parameters = net.weight(count), net.weight(count)
    x = net.input(*SHAPE)
    net.node("GroupNormalization", x, *parameters, out="y", num_groups=groups, **given)


def instance_norm(net: Net, **given: Any) -> None:
    parameters = net.weight(SHAPE[1]), net.weight(SHAPE[1])
    net.node("InstanceNormalization", net.input(*SHAPE), *parameters, out="y", **given)


FORMS: list[tuple[Any, dict[str, Any]]] = [
    (layer_norm, {}),
    (layer_norm, {"bias": False}),
    (layer_norm, {"epsilon": 0.5}),
    (layer_norm, {"axis": 2, "dims": (3, 5)}),
    (layer_norm, {"axis": -3, "dims": (4, 1, 5)}),
    (layer_norm, {"axis": 0, "dims": SHAPE}),
    (layer_norm, {"axis": 1, "dims": (5,)}),
    (rms_norm, {}),
    (rms_norm, {"epsilon": 0.5, "axis": 2, "dims": (3, 5)}),
    (group_norm, {}),
    (group_norm, {"groups": 1}),
    (group_norm, {"groups": 4, "epsilon": 0.5}),
    (group_norm, {"opset": 18}),
    (instance_norm, {}),
    (instance_norm, {"epsilon": 0.5}),
]
ONE_OF_EACH = [FORMS[0], FORMS[7], FORMS[9], FORMS[13]]


def normed(form: Any, given: dict[str, Any], elem_type: int = FLOAT) -> Net:
    net = Net(elem_type, ir_version=10)
    form(net, **given)
    return net


@pytest.mark.parametrize(("form", "given"), FORMS)
def test_a_normalisation_is_what_the_specification_says(form: Any, given: dict[str, Any]) -> None:
    """Of any numbers, to the last digits of float64."""
    assert_by_definition(normed(form, given, DOUBLE).model("y"))


@pytest.mark.parametrize(
    ("form", "given", "middle"),
    # GroupNormalization is a function whose variance is a difference of means.
    [(*form, middle) for form in FORMS for middle in (0.0, 30.0) if form[0] is not group_norm]
    + [(*form, 0.0) for form in FORMS if form[0] is group_norm],
)
def test_the_runtime_is_no_farther_off_than_the_magnitude_allows(
    form: Any, given: dict[str, Any], middle: float
) -> None:
    """Even where the mean is far from zero."""
    model = normed(form, given).model("y")
    feed = {"x": (feed_for(model)["x"] + middle).astype(np.float32)}

    (found,), (value,) = outputs_of(model, feed), run(model, feed)

    roundings = np.abs(found.value - value) / found.magnitude * 2.0**24
    assert roundings.max() <= ROUNDINGS


def nudged(x: Array, axes: tuple[int, ...], place: tuple[int, ...], by: float) -> Array:
    """Every element off by as much as it may, so that the one at a place comes off worst."""
    apart = x - x.mean(axes, keepdims=True)
    signs: Array = -np.sign(apart) * np.sign(apart[place])
    signs[place] = np.sign(apart[place])
    off: Array = x + signs * np.abs(x) * by
    return off


@pytest.mark.parametrize("middle", [0.0, 5.0])
@pytest.mark.parametrize(
    ("form", "given", "axes"),
    [
        (layer_norm, {"axis": 0, "dims": SHAPE}, (0, 1, 2, 3)),
        (rms_norm, {"axis": 0, "dims": SHAPE}, (0, 1, 2, 3)),
        (group_norm, {"groups": 1}, (1, 2, 3)),
        (instance_norm, {}, (2, 3)),
    ],
)
def test_no_error_of_the_input_is_larger_behind_it_than_the_magnitude_says(
    form: Any, given: dict[str, Any], axes: tuple[int, ...], middle: float
) -> None:
    """Not even at an outlier, where all conspire to make the root smaller."""
    model = normed(form, given, DOUBLE).model("y")
    x = feed_for(model)["x"] + middle
    place = (0, 2, 1, 3)
    x[place] += 6.0
    by = 1e-7

    found = sampled(model, {"x": x}, {"y": SHAPE}, "y")
    assert isinstance(found, Sampled)
    (off,) = by_definition(model, {"x": nudged(x, axes, place, by)})

    grown = np.abs(off - found.value).astype(np.float64) / (by * found.magnitude)
    assert 0.2 < grown[place] <= 1 + 1e-5
    assert grown.max() <= 1 + 1e-5


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("LayerNormalization", [-1, 1], [(1 + 4 + 5) / 3, (7 + 4 + 5) / 3]),
        ("RMSNormalization", [0.2, 1.4], [(1 + 0.2 * 5) / 5, (7 + 1.4 * 5) / 5]),
    ],
)
def test_the_magnitude_is_that_of_the_formula(
    operator: str, value: list[float], expected: list[float]
) -> None:
    """Of one and seven, whose mean is 4 and whose root mean square is 5."""
    net = Net(opset=23, ir_version=10)
    net.node(operator, net.input(2), net.store([1.0, 1.0]), out="y", epsilon=0.0)

    (found,) = outputs_of(net.model("y"), {"x": np.array([1, 7], np.float32)})

    np.testing.assert_allclose(found.value, value)
    np.testing.assert_allclose(found.magnitude, expected)


def magnitude(form: Any, given: dict[str, Any], *parameters: float) -> Array:
    """With each of the scale and the bias the same number throughout."""
    net = normed(form, given)
    for name, value in zip(net.nodes[-1].input[1:], parameters, strict=False):
        net.stored[name] = np.full_like(net.stored[name], value)
    model = net.model("y")
    return outputs_of(model, feed_for(model))[0].magnitude


@pytest.mark.parametrize(("form", "given"), ONE_OF_EACH)
def test_the_magnitudes_of_scale_and_bias_count(form: Any, given: dict[str, Any]) -> None:
    """What the bias nearly cancels was as large all the same."""
    bias = 0 if form is rms_norm else 1000

    found = magnitude(form, given, -100, -1000)

    np.testing.assert_allclose(found, 100 * magnitude(form, given, 1, 0) + bias)


@pytest.mark.parametrize("at_once", [1, 4, 7, 40])
@pytest.mark.parametrize(("form", "given"), ONE_OF_EACH)
def test_long_rows_are_read_in_parts(
    form: Any, given: dict[str, Any], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And their moments put together."""
    whole = magnitude(form, given, 1, 1)
    monkeypatch.setattr(rows, "AT_ONCE", at_once)

    assert_by_definition(normed(form, given, DOUBLE).model("y"))
    np.testing.assert_allclose(magnitude(form, given, 1, 1), whole)


def test_a_row_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of its elements are wanted; others are not read at all."""
    asked: list[tuple[int, ...]] = []
    parts = rows.Rows._parts

    def watched(self: rows.Rows, pull: Any, origins: Any) -> Any:
        asked.append((len(origins), self.size))
        return parts(self, pull, origins)

    monkeypatch.setattr(rows.Rows, "_parts", watched)
    model = normed(layer_norm, {}).model("y")

    coords = np.array([[0, 1, 2, c] for c in range(5)])
    found = evaluate(region_of(model), "y", coords, feed_for(model), {"y": SHAPE})

    assert isinstance(found, Sampled)
    assert asked == [(1, 5)]


@pytest.mark.parametrize(
    ("form", "given", "culprit"),
    [
        (layer_norm, {"axis": 4}, "'axis'"),
        (layer_norm, {"dims": (3,)}, "broadcast"),
        (layer_norm, {"dims": (1, 1, 1, 1, 5)}, "shapes"),
        (rms_norm, {"dims": (4, 5)}, "broadcast"),
        (group_norm, {"groups": 3}, "'num_groups'"),
        (group_norm, {"groups": 0}, "'num_groups'"),
    ],
)
def test_a_normalisation_that_does_not_fit_its_shapes_is_not_supported(
    form: Any, given: dict[str, Any], culprit: str
) -> None:
    """Whatever the runtime is said to have made of it."""
    model = untyped(normed(form, given), "y")

    found = sampled(model, feed_for(model), {"y": SHAPE}, "y")

    assert isinstance(found, Unsupported)
    assert culprit in found.reason


@pytest.mark.parametrize("operator", ["InstanceNormalization", "GroupNormalization"])
def test_parameters_of_another_length_are_not_supported(operator: str) -> None:
    """They are not broadcast."""
    net = Net(opset=21, ir_version=10)
    given: dict[str, Any] = {"num_groups": 2} if operator.startswith("Group") else {}
    net.node(operator, net.input(*SHAPE), net.weight(5), net.weight(4), out="y", **given)
    model: ModelProto = untyped(net, "y")
    feed: Feed = feed_for(model)

    found = sampled(model, feed, {"y": SHAPE}, "y")

    assert found == Unsupported(f"the parameters of {operator} do not fit")


def test_the_statistics_of_a_layer_normalization_are_not_supported() -> None:
    """They are no layer's output."""
    net = Net()
    layer = net.input(2, 5), net.weight(5), net.weight(5)
    net.node("LayerNormalization", *layer, out="y,mean")
    model = untyped(net, "mean")

    found = sampled(model, feed_for(model), {"y": (2, 5), "mean": (2, 1)}, "mean")

    assert found == Unsupported("not supported: the statistics of LayerNormalization")
