"""Pools, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, Net, feed_for
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import ModelProto
from samples import assert_by_definition, assert_value, outputs_of, sampled, untyped

from folding.equivalence.sampling import Unsupported, pooling

MODES = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]
#: Means are not exact in float32.
CLOSE = 1e-6


def several(draw: st.DrawFn, count: int, least: int, most: int) -> list[int]:
    return draw(st.lists(st.integers(least, most), min_size=count, max_size=count))


@st.composite
def pools(draw: st.DrawFn, operator: str) -> ModelProto:
    """A pool with windows of every kind."""
    axes, mode = draw(st.integers(1, 3)), draw(st.sampled_from(MODES))
    opset = draw(st.sampled_from([11, 19, 22]))
    size, kernel = several(draw, axes, 2, 6 if axes < 3 else 4), several(draw, axes, 1, 3)
    given: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": several(draw, axes, 1, 3),
        "auto_pad": mode,
    }
    spread = [1] * axes
    if not mode.startswith("SAME") and (operator == "MaxPool" or opset >= 19):
        spread = given["dilations"] = several(draw, axes, 1, 2)
    pads = [0] * 2 * axes
    if mode == "NOTSET":
        pads = given["pads"] = [draw(st.integers(0, k - 1)) for k in kernel * 2]
        if operator != "LpPool" or opset >= 18:
            given["ceil_mode"] = draw(st.integers(0, 1))
    if operator == "AveragePool":
        given["count_include_pad"] = draw(st.integers(0, 1))
    rooms = [size[i] + pads[i] + pads[axes + i] - (kernel[i] - 1) * spread[i] for i in range(axes)]
    if mode.startswith("SAME"):  # The runtime refuses padding that would be negative.
        assume(all(k >= s for k, s in zip(kernel, given["strides"], strict=True)))
    else:
        assume(min(rooms) > 0)
    net = Net(opset=opset, ir_version=10)
    x = net.input(draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size)
    net.node(operator, x, out="y", **given)
    return untyped(net, "y")


@given(pools("MaxPool"))
def test_a_max_pool_is_what_the_runtime_computes(model: ModelProto) -> None:
    """With strides, dilations and padding of every kind, in one to three dimensions."""
    assert_value(model)


@given(pools("LpPool"))
def test_an_lp_pool_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Padding is zero."""
    assert_value(model, within=CLOSE)


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("operator", ["LpPool", "GlobalLpPool"])
def test_a_norm_is_of_any_power(operator: str, power: int) -> None:
    """Two is what it is by default."""
    net = Net(DOUBLE)
    windows: dict[str, Any] = {"kernel_shape": [2, 3]} if operator == "LpPool" else {}
    default: dict[str, Any] = {} if power == 2 else {"p": power}
    net.node(operator, net.input(2, 3, 4, 5), out="y", **windows, **default)

    assert_by_definition(net.model("y"))


@given(pools("AveragePool"))
def test_an_average_pool_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Padding counts or not."""
    assert_value(model, within=CLOSE)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (1, 2, 2, 3, 2)])
def test_a_global_pool_is_what_the_runtime_computes(operator: str, shape: tuple[int, ...]) -> None:
    """Over all axes behind the channels."""
    net = Net()
    net.node(operator, net.input(*shape), out="y")

    assert_value(net.model("y"), within=CLOSE)


@pytest.mark.parametrize(
    ("operator", "given", "value", "magnitude"),
    [
        ("AveragePool", {"kernel_shape": [2]}, [-1, -0.5], [2, 2.5]),
        ("GlobalAveragePool", {}, [0], [2]),
        ("MaxPool", {"kernel_shape": [2]}, [1, 2], [3, 3]),
        ("GlobalMaxPool", {}, [2], [3]),
        ("LpPool", {"kernel_shape": [2], "p": 1}, [4, 5], [4, 5]),
        ("GlobalLpPool", {"p": 1}, [6], [6]),
        ("ReduceSum", {}, [0], [6]),
        ("ReduceMax", {}, [2], [3]),
        ("ReduceMin", {}, [-3], [3]),
        ("ReduceL1", {}, [6], [6]),
    ],
)
def test_the_magnitude_is_reduced_like_the_values(
    operator: str, given: dict[str, Any], value: list[float], magnitude: list[float]
) -> None:
    """A mean's is the mean, a maximum's the largest."""
    net = Net()
    net.node(operator, net.input(1, 1, 3), out="y", **given)

    (found,) = outputs_of(net.model("y"), {"x": np.array([[[1, -3, 2]]], np.float32)})

    assert found.value.ravel().tolist() == value
    assert found.magnitude.ravel().tolist() == magnitude


def test_windows_are_taken_in_parts_if_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each element comes from its own part."""
    monkeypatch.setattr(pooling, "AT_ONCE", 20)
    net = Net()
    x = net.input(2, 3, 6, 5)
    net.node("MaxPool", x, out="y", kernel_shape=[3, 3])

    assert_value(net.model("y"))


@pytest.mark.parametrize(
    ("operator", "given", "result"),
    [
        ("MaxPool", {"kernel_shape": [2, 2]}, (1, 2, 4, 5)),
        ("MaxPool", {"kernel_shape": [2, 2]}, (2, 2, 4, 4)),
        ("MaxPool", {"kernel_shape": [2]}, (1, 2, 4, 4)),
        ("AveragePool", {}, (1, 2, 4, 4)),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [0, 1]}, (1, 2, 4, 4)),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, (1, 2, 3, 3)),
        ("LpPool", {"kernel_shape": [2, 2], "p": 0}, (1, 2, 4, 4)),
        ("GlobalLpPool", {"p": -1}, (1, 2, 1, 1)),
        ("GlobalMaxPool", {}, (1, 2)),
    ],
)
def test_a_pool_that_does_not_fit_its_shapes_is_not_supported(
    operator: str, given: dict[str, Any], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    net.node(operator, net.input(1, 2, 5, 5), out="y", **given)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


def test_the_indices_of_a_max_pool_are_not_supported() -> None:
    """They are integers."""
    net = Net()
    net.node("MaxPool", net.input(1, 2, 5), out="y,indices", kernel_shape=[2])
    model = untyped(net, "y", "indices")

    found = sampled(model, feed_for(model), {"indices": (1, 2, 4)}, "indices")

    assert found == Unsupported("not supported: the indices of MaxPool")
