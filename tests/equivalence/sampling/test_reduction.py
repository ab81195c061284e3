"""Reductions, against onnxruntime and the text of the specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, Net, feed_for
from samples import assert_by_definition, assert_value, outputs_of, region_of, sampled, untyped

from folding.equivalence.sampling import Sampled, Unsupported, evaluate, rows

OPERATORS = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"]
#: Means and norms are not exact in float32.
CLOSE = 1e-6


def reduced(operator: str, opset: int, axes: list[int] | None, **given: Any) -> Net:
    """A reduction, its axes an attribute or an input."""
    net = Net(given.pop("elem_type", 1), opset=opset)
    inputs = [net.input(2, 3, 4)]
    if axes is not None and opset >= (13 if operator == "ReduceSum" else 18):
        inputs.append(net.integers(*axes))
    elif axes is not None:
        given["axes"] = axes
    net.node(operator, *inputs, out="y", **given)
    return net


@pytest.mark.parametrize("keepdims", [0, 1, None])
@pytest.mark.parametrize("axes", [[0], [1, -1], [-2, 0], None])
@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_reduction_is_what_the_runtime_computes(
    operator: str, opset: int, axes: list[int] | None, keepdims: int | None
) -> None:
    """Of some axes or all, which stay with a length of one or go."""
    given = {} if keepdims is None else {"keepdims": keepdims}

    assert_value(reduced(operator, opset, axes, **given).model("y"), within=CLOSE)


@pytest.mark.parametrize("axes", [[0], [1, -1], None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_reduction_is_what_the_specification_says(operator: str, axes: list[int] | None) -> None:
    """Of any numbers, to the last digits of float64."""
    assert_by_definition(reduced(operator, 18, axes, elem_type=DOUBLE).model("y"))


@pytest.mark.parametrize(("noop", "size"), [(0, 1), (1, 3)])
def test_no_axes_are_all_axes_unless_they_are_none(noop: int, size: int) -> None:
    """An attribute says which."""
    net = Net(opset=18)
    net.node("ReduceSum", net.input(3), out="y", noop_with_empty_axes=noop)

    model = net.model("y")

    assert_value(model)
    assert outputs_of(model, feed_for(model))[0].value.size == size


@pytest.mark.parametrize("at_once", [1, 5, 12, 100])
@pytest.mark.parametrize("operator", OPERATORS)
def test_long_rows_are_read_in_parts(
    operator: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever part of a row fits the memory, or however many rows."""
    monkeypatch.setattr(rows, "AT_ONCE", at_once)

    assert_value(reduced(operator, 18, [0, 2]).model("y"), within=CLOSE)


def test_a_row_is_read_once_however_often_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is broadcast."""
    asked: list[int] = []
    at = rows.Rows._parts

    def watched(self: rows.Rows, pull: Any, origins: Any) -> Any:
        asked.append(len(origins))
        return at(self, pull, origins)

    monkeypatch.setattr(rows.Rows, "_parts", watched)
    model = reduced("ReduceMax", 18, [2]).model("y")

    coords = np.array([[0, 1, 0], [1, 2, 0], [0, 1, 0]])
    found = evaluate(region_of(model), "y", coords, feed_for(model), {"y": (2, 3, 1)})

    assert isinstance(found, Sampled)
    assert found.value[0] == found.value[2] != found.value[1]
    assert asked == [2]


@pytest.mark.parametrize(
    ("given", "result"),
    [({"keepdims": 0}, (1,)), ({"axes": [4]}, (2, 3, 4)), ({"axes": [0]}, (2, 3, 4))],
)
def test_a_reduction_that_does_not_fit_its_shapes_is_not_supported(
    given: dict[str, Any], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    net.node("ReduceMean", net.input(2, 3, 4), out="y", **given)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


def test_a_reduction_of_nothing_is_not_supported() -> None:
    """It is some constant, or none."""
    net = Net()
    net.node("ReduceMax", net.input(2, 0), out="y", axes=[1])
    model = untyped(net, "y")
    feed = {"x": np.ones((2, 0), np.float32)}

    found = sampled(model, feed, {"y": (2, 1)}, "y")

    assert found == Unsupported("there is nothing of 'x' to reduce")


def test_what_is_too_long_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take for ever."""
    monkeypatch.delattr(rows.Rows, "_parts")
    net = Net()
    wide = net.node("Expand", net.input(1), net.integers(1 << 40), out="wide")
    net.node("ReduceSum", wide, out="y", keepdims=0)
    model = untyped(net, "y")
    feed = {"x": np.ones(1, np.float32)}

    found = sampled(model, feed, {"wide": (1 << 40,), "y": ()}, "y")

    assert found == Unsupported("too many elements are needed for a sample")
