"""Operators that turn round, leave out, put zeros or add up, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import BOOL, INT64, Feed, Net, feed_for
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from samples import assert_exact, assert_value, region_of, sampled, untyped, whole_feed

from folding.equivalence.sampling import Unsupported, evaluate


@st.composite
def sums(draw: st.DrawFn) -> ModelProto:
    net = Net()
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    axis = net.store(np.array(draw(st.integers(-len(shape), len(shape) - 1))), elem_type=0)
    given: dict[str, Any] = {name: draw(st.integers(0, 1)) for name in ("exclusive", "reverse")}
    net.node("CumSum", net.input(*shape), axis, out="y", **given)
    return net.model("y")


@st.composite
def triangles(draw: st.DrawFn) -> ModelProto:
    net = Net()
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))
    k = [net.store(np.array(draw(st.integers(-4, 4))), elem_type=0)] if draw(st.booleans()) else []
    given: dict[str, Any] = {"upper": draw(st.integers(0, 1))} if draw(st.booleans()) else {}
    net.node("Trilu", net.input(*shape), *k, out="y", **given)
    return net.model("y")


@st.composite
def reversals(draw: st.DrawFn) -> ModelProto:
    net = Net()
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    given: dict[str, Any] = draw(st.sampled_from([{}, {"time_axis": 1, "batch_axis": 0}]))
    time, batch = given.get("time_axis", 0), given.get("batch_axis", 1)
    # onnxruntime lets no batch be empty.
    lengths = [draw(st.integers(1, shape[time])) for _ in range(shape[batch])]
    net.node("ReverseSequence", net.input(*shape), net.integers(*lengths), out="y", **given)
    return net.model("y")


@st.composite
def selections(draw: st.DrawFn) -> ModelProto:
    net = Net()
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    axis = draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    size = int(np.prod(shape)) if axis is None else shape[axis]
    mask = [draw(st.booleans()) for _ in range(draw(st.integers(1, size)))]
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    net.node("Compress", net.input(*shape), net.store(mask, elem_type=0), out="y", **given)
    return net.model("y")


@given(sums() | triangles())
def test_sums_and_triangles_are_what_the_runtime_computes(model: ModelProto) -> None:
    """Of either side, with the element itself or not; by any diagonal."""
    assert_exact(model)


@given(reversals() | selections())
def test_reversals_and_selections_are_what_the_runtime_computes(model: ModelProto) -> None:
    """By lengths of any size, and conditions that may be shorter than the axis."""
    assert_exact(model)


def test_what_is_selected_may_come_at_run_time() -> None:
    """As do the lengths of sentences."""
    net = Net()
    x, mask = net.input(3, 4), net.input(3, name="mask", elem_type=BOOL)
    lengths = net.input(4, name="lengths", elem_type=INT64)
    net.node("Compress", x, mask, out="y", axis=0)
    net.node("ReverseSequence", x, lengths, out="z")
    model = net.model("y", "z")
    given: Feed = {"mask": np.array([True, False, True]), "lengths": np.array([3, 1, 2, 3])}

    assert_value(model, whole_feed(model) | given)


MISFITS: list[tuple[str, list[Any], dict[str, Any], tuple[int, ...]]] = [
    ("CumSum", [2], {}, (4, 6)),
    ("CumSum", [0], {}, (4, 5)),
    ("CumSum", [[0, 1]], {}, (4, 6)),
    ("Trilu", [], {}, (4, 5)),
    ("Trilu", [], {}, (4,)),
    ("ReverseSequence", [[5] * 6], {}, (4, 6)),
    ("ReverseSequence", [[-1] * 6], {}, (4, 6)),
    ("ReverseSequence", [[1] * 7], {}, (4, 6)),
    ("ReverseSequence", [[1] * 6], {}, (4, 5)),
    ("ReverseSequence", [[1] * 6], {"time_axis": 1}, (4, 6)),
    ("Compress", [[1, 0, 1]], {"axis": 0}, (3, 6)),
    ("Compress", [[1, 0, 0, 0, 1]], {"axis": 0}, (2, 6)),
    ("Compress", [[1, 0, 1]], {"axis": 2}, (2, 6)),
    ("Compress", [[1, 0, 1]], {}, (3,)),
]


@pytest.mark.parametrize(("operator", "constants", "given", "result"), MISFITS)
def test_what_does_not_fit_its_shapes_is_not_supported(
    operator: str, constants: list[Any], given: dict[str, Any], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    x = net.input(4, 6)
    names = [net.store(np.array(value), elem_type=0) for value in constants]
    net.node(operator, x, *names, out="y", **given)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


def test_a_length_beyond_the_end_is_not_supported_wherever_one_looks() -> None:
    """Not only where what it turns round would be missed."""
    net = Net()
    net.node("ReverseSequence", net.input(4, 6), net.integers(*[5] * 6), out="y")
    model = untyped(net, "y")
    inside = np.array([[2, 0], [3, 5]], np.int64)

    found = evaluate(region_of(model), "y", inside, feed_for(model), {"y": (4, 6)})

    assert found == Unsupported("the lengths of ReverseSequence do not fit")
