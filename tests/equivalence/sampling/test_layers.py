"""Conv and ConvTranspose of every kind, against onnxruntime and the text of the specification."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import TYPES, Net, feed_for, run
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper
from samples import (
    assert_by_definition,
    assert_exact,
    region_of,
    sampled,
    untyped,
    whole_feed,
    whole_numbers,
)

from folding.equivalence.sampling import Sampled, Unsupported, contraction, evaluate, numbers
from folding.scratch import ELEMENTS

MODES = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]


def several(draw: st.DrawFn, count: int, least: int, most: int) -> list[int]:
    return draw(st.lists(st.integers(least, most), min_size=count, max_size=count))


@st.composite
def layers(draw: st.DrawFn, operator: str) -> ModelProto:
    """A layer with windows of every kind; its numbers are small integers."""
    axes, group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    first, second = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size, kernel = several(draw, axes, 1, 5 if axes < 3 else 3), several(draw, axes, 1, 3)
    given = windows(draw, axes) | {"group": group}
    if draw(st.booleans()):
        given["kernel_shape"] = kernel
    if operator == "Conv":
        dims = [group * second, first, *kernel]
    else:
        dims = [group * first, second, *kernel]
        given |= extras(draw, size, kernel, given)
    room = spare(operator, size, kernel, given)
    assume(str(given["auto_pad"]).startswith("SAME") or min(room) > 0)
    net = Net(seed=draw(st.integers(0, 1000)))
    inputs = [net.input(draw(st.integers(1, 2)), group * first, *size), whole_numbers(net, *dims)]
    if draw(st.booleans()):
        inputs.append(whole_numbers(net, group * second))
    net.node(operator, *inputs, out="y", **given)
    return net.model("y")


def windows(draw: st.DrawFn, axes: int) -> dict[str, Any]:
    mode = draw(st.sampled_from(MODES))
    # The runtime supports no dilations with SAME.
    most = 1 if mode.startswith("SAME") else 2
    found = {
        "auto_pad": mode,
        "strides": several(draw, axes, 1, 3),
        "dilations": several(draw, axes, 1, most),
    }
    return found | ({"pads": several(draw, 2 * axes, 0, 2)} if mode == "NOTSET" else {})


def extras(
    draw: st.DrawFn, size: list[int], kernel: list[int], given: dict[str, Any]
) -> dict[str, Any]:
    """Perhaps output padding, perhaps the output's shape, for a transposed convolution."""
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        found["output_padding"] = [draw(st.integers(0, s - 1)) for s in given["strides"]]
    if draw(st.booleans()):
        whole = spare("ConvTranspose", size, kernel, {**given, **found, "pads": None})
        found["output_shape"] = [draw(st.integers(max(1, most - 3), most)) for most in whole]
    return found


def spare(operator: str, size: list[int], kernel: list[int], given: dict[str, Any]) -> list[int]:
    """How large the output is, before it is divided by the strides of a convolution."""
    axes = range(len(size))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, given["dilations"], strict=True)]
    pads = given.get("pads") or [0] * 2 * len(size)
    pads = [pads[i] + pads[i + len(size)] for i in axes]
    if operator == "Conv":
        return [size[i] + pads[i] - reach[i] + 1 for i in axes]
    more = given.get("output_padding", [0] * len(size))
    return [given["strides"][i] * (size[i] - 1) + more[i] + reach[i] - pads[i] for i in axes]


@given(layers("Conv"))
def test_a_convolution_is_what_the_runtime_computes(model: ModelProto) -> None:
    """With groups, strides, dilations and padding of every kind, in one to three dimensions."""
    assert_exact(model)


@given(layers("ConvTranspose"))
def test_a_transposed_convolution_is_what_the_runtime_computes(model: ModelProto) -> None:
    """With several outputs for each group, and output padding."""
    assert_exact(model)


LAYERS = [
    ("Conv", (6, 2, 3, 3), {"group": 3, "pads": [0, 1, 2, 1], "strides": [2, 1]}),
    ("ConvTranspose", (6, 2, 3, 2), {"group": 3, "pads": [0, 1, 2, 1], "strides": [2, 1]}),
]


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize(("operator", "dims", "given"), LAYERS)
def test_a_layer_is_what_the_specification_says(
    operator: str, dims: tuple[int, ...], given: dict[str, Any], elem_type: int
) -> None:
    """Of any numbers, to the last digits of float64."""
    net = Net(elem_type)
    x = net.input(2, 6, 5, 4)
    net.node(operator, x, net.weight(*dims), net.weight(6), out="y", **given)

    assert_by_definition(net.model("y"))


WEIGHTS = ["stored", "moved", "computed", "constant", "overridable", "fed", "made of an input"]


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose", "MatMul"])
def test_a_weight_may_come_from_anywhere(operator: str, kind: str) -> None:
    """It is the same number wherever it stands."""
    net = Net()
    net.input(*((2, 4, 4) if operator == "MatMul" else (2, 4, 5, 5)))
    dims = (4, 3) if operator == "MatMul" else (4, 4, 2, 3)
    weight = WHERE[kind](net, dims)
    net.node(operator, "x", weight, out="y")

    assert_exact(net.model("y"))


def overridable(net: Net, dims: tuple[int, ...]) -> str:
    name = whole_numbers(net, *dims)
    return net.input(*dims, name=name)


def constant(net: Net, dims: tuple[int, ...]) -> str:
    name = whole_numbers(net, *dims)
    value = numpy_helper.from_array(net.stored.pop(name))
    return net.node("Constant", value=value)


def moved(net: Net, dims: tuple[int, ...]) -> str:
    perm = list(reversed(range(len(dims))))
    return net.node("Transpose", whole_numbers(net, *reversed(dims)), perm=perm)


WHERE: dict[str, Callable[[Net, tuple[int, ...]], str]] = {
    "stored": lambda net, dims: whole_numbers(net, *dims),
    "moved": moved,
    "computed": lambda net, dims: net.node("Mul", whole_numbers(net, *dims), net.store(2.0)),
    "constant": constant,
    "overridable": overridable,
    "fed": lambda net, dims: net.input(*dims, name="w"),
    "made of an input": lambda net, dims: net.node("Neg", net.input(*dims, name="w")),
}


MISFITS: list[tuple[str, tuple[int, ...], dict[str, Any], tuple[int, int]]] = [
    ("Conv", (4, 3, 3, 3), {}, (3, 3)),
    ("Conv", (5, 2, 3, 3), {"group": 2}, (3, 3)),
    ("Conv", (4, 4, 3), {}, (3, 3)),
    ("Conv", (4, 4, 3, 3), {"kernel_shape": [3, 2]}, (3, 3)),
    ("Conv", (4, 4, 3, 3), {"strides": [0, 1]}, (3, 3)),
    ("Conv", (4, 4, 3, 3), {"strides": [-1, 1]}, (-1, 3)),
    ("Conv", (4, 4, 3, 3), {"strides": [1]}, (3, 3)),
    ("Conv", (4, 4, 3, 3), {"dilations": [1 << 62, 1]}, (3, 3)),
    ("Conv", (4, 4, 3, 3), {"dilations": [0, 1]}, (5, 3)),
    ("Conv", (4, 4, 3, 3), {"pads": [1, 1, 1, 1]}, (3, 3)),
    ("Conv", (4, 4, 3, 3), {"pads": [1, 1, 1, 1, 1, 1]}, (5, 5)),
    ("Conv", (4, 4, 3, 3), {"pads": [-1, 0, 0, 0]}, (2, 3)),
    ("Conv", (4, 4, 3, 3), {"group": 0}, (3, 3)),
    ("ConvTranspose", (3, 4, 3, 3), {}, (7, 7)),
    ("ConvTranspose", (4, 5, 3, 3), {}, (7, 7)),
    ("ConvTranspose", (4, 2, 3, 3), {"group": 3}, (7, 7)),
    ("ConvTranspose", (4, 4, 3, 3), {"output_shape": [5]}, (7, 7)),
    ("ConvTranspose", (4, 4, 3, 3), {"output_shape": [6, 5]}, (7, 7)),
    ("ConvTranspose", (4, 4, 3, 3), {"output_padding": [-1, 0]}, (6, 7)),
]


@pytest.mark.parametrize(("operator", "dims", "given", "space"), MISFITS)
def test_a_layer_that_does_not_fit_its_shapes_is_not_supported(
    operator: str, dims: tuple[int, ...], given: dict[str, Any], space: tuple[int, int]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    x = net.input(1, 4, 5, 5)
    net.node(operator, x, net.weight(*dims), out="y", **given)
    model = untyped(net, "y")
    coords = np.zeros((1, 4), np.int64)

    found = evaluate(region_of(model), "y", coords, feed_for(model), {"y": (1, 4, *space)})

    assert isinstance(found, Unsupported)


def test_a_bias_of_another_length_is_not_supported() -> None:
    """Not even one that could be broadcast."""
    net = Net()
    x = net.input(1, 4, 5, 5)
    net.node("Conv", x, net.weight(4, 4, 3, 3), net.weight(1), out="y")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (1, 4, 3, 3)}, "y")

    assert found == Unsupported("the bias of Conv does not fit")


def test_a_weight_of_integers_is_not_supported() -> None:
    """It belongs to another kind of layer."""
    net = Net()
    x = net.input(1, 4, 5, 5)
    net.node("Conv", x, net.store(np.ones((4, 4, 3, 3), np.int8), elem_type=0), out="y")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (1, 4, 3, 3)}, "y")

    assert found == Unsupported("the constant 'c0' holds no floats, or is too large")


def test_the_places_are_computed_in_parts_if_they_read_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each element comes from its own part."""
    net = Net()
    x = net.input(2, 3, 5, 5)
    net.node("Conv", x, whole_numbers(net, 4, 3, 3, 3), out="y", pads=[1, 1, 1, 1])
    monkeypatch.setattr(contraction, "_AT_ONCE", 3 * 9 * 4)

    assert_exact(net.model("y"))


@pytest.mark.parametrize("block", [1, 5, 16, 40])
@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose", "MatMul"])
def test_blocks_of_a_weight_add_up(
    operator: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is cut: between groups, outputs, inputs or taps."""
    monkeypatch.setattr(contraction, "_block", lambda _: block)
    net = Net()
    if operator == "MatMul":
        net.node(operator, net.input(3, 4), whole_numbers(net, 4, 6), out="y")
    else:
        net.node(operator, net.input(1, 4, 3, 3), whole_numbers(net, 4, 2, 2, 3), out="y", group=2)

    assert_exact(net.model("y"))


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many elements of constants are read, each time."""
    asked: list[int] = []
    read = numbers.StoredNumbers.read

    def watched(self: numbers.StoredNumbers, start: int, stop: int) -> Sampled:
        asked.append(stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(numbers.StoredNumbers, "read", watched)
    return asked


def test_a_large_weight_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No block holds more than a megabyte of float64, and the sum is the same."""
    asked = watch(monkeypatch)
    net = Net()
    x = net.input(1, 300, 3, 3)
    net.node("Conv", x, whole_numbers(net, 64, 300, 3, 3), out="y")

    assert_exact(net.model("y"))

    assert sum(asked) == 64 * 300 * 9
    assert max(asked) <= ELEMENTS


def test_blocks_of_channels_that_nobody_wants_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One channel of a large layer costs one block."""
    asked = watch(monkeypatch)
    net = Net()
    x = net.input(1, 300, 3, 3)
    net.node("Conv", x, whole_numbers(net, 64, 300, 3, 3), out="y")
    model = net.model("y")
    feed = whole_feed(model)

    coords = np.array([[0, 60, 0, 0]])
    found = evaluate(region_of(model), "y", coords, feed, {"y": (1, 64, 1, 1)})

    assert isinstance(found, Sampled)
    assert found.value[0] == run(model, feed)[0][0, 60, 0, 0]
    assert len(asked) == 1
