"""Regions of several nodes, and of models that mean no good."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import pytest
from graphs import BFLOAT, DOUBLE, FLOAT, HALF, TYPES, Feed, Net, feed_for, run
from ml_dtypes import bfloat16
from onnx import ModelProto
from samples import (
    Shapes,
    assert_by_definition,
    assert_exact,
    everywhere,
    region_of,
    sampled,
    shapes_of,
    untyped,
    whole_feed,
    whole_numbers,
)

from folding.equivalence.sampling import (
    Sampled,
    Unsupported,
    choose,
    evaluate,
    layers,
    numbers,
    pull,
)
from folding.equivalence.sampling.operators import OPERATORS


def block(net: Net, x: str, channels: int) -> str:
    """Convolution, normalisation and activation."""
    weight = net.weight(channels, channels, 3, 3)
    y = net.node("Conv", x, weight, net.weight(channels), pads=[1, 1, 1, 1])
    return net.node("Relu", net.batch_norm(y, channels))


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_region_of_many_nodes_is_what_the_specification_says(elem_type: int) -> None:
    """Two layers and a branch around them, to the last digits of float64."""
    net = Net(elem_type)
    x = net.input(1, 3, 4, 4)
    net.node("Add", block(net, block(net, x, 3), 3), x, out="y")

    assert_by_definition(net.model("y"))


def test_absolute_values_are_taken_all_the_way() -> None:
    """Not of a layer's result, but of what goes into the first one."""
    net = Net()
    x = net.input(2, 3)
    y = net.node("Gemm", x, whole_numbers(net, 3, 4), whole_numbers(net, 4))
    y = net.node("Sub", y, whole_numbers(net, 4))
    y = net.node("MatMul", y, whole_numbers(net, 4, 2))
    net.node("Transpose", net.node("Mul", y, whole_numbers(net, 2)), out="y")

    assert_exact(net.model("y"))


def doubling(count: int) -> ModelProto:
    """To compute 2^count x, by as many additions."""
    net = Net()
    y = net.input(3)
    for number in range(count):
        y = net.node("Add", y, y, out=f"y{number}")
    return untyped(net, y)


def test_what_several_nodes_read_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a branch in a branch would take for ever."""
    calls = 0

    def counted(*arguments: Any) -> Sampled:
        nonlocal calls
        calls += 1
        return layers.conv(*arguments)

    monkeypatch.setitem(OPERATORS, "Conv", counted)
    net = Net()
    y = net.node("Conv", net.input(1, 2, 4, 4), whole_numbers(net, 2, 2, 1, 1))
    net.node("Add", net.node("Neg", y), net.node("Relu", y), out="y")
    model = net.model("y")
    feed = whole_feed(model)

    found = sampled(model, feed, shapes_of(model, feed), "y")

    assert isinstance(found, Sampled)
    assert calls == 1


def test_sixty_doublings_are_computed_at_once() -> None:
    """There are 2^60 ways through them."""
    model, feed = doubling(60), {"x": np.array([1, -2, 0], np.float32)}

    found = sampled(model, feed, {f"y{i}": (3,) for i in range(60)}, "y59")

    assert isinstance(found, Sampled)
    assert found.value.tolist() == [2.0**60, -(2.0**61), 0]


def test_a_region_may_not_be_too_deep() -> None:
    """Nor break the interpreter."""
    model, feed = doubling(5000), {"x": np.ones(3, np.float32)}

    found = sampled(model, feed, {f"y{i}": (3,) for i in range(5000)}, "y4999")

    assert found == Unsupported("the region is too deep")


def test_a_region_may_not_take_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows on windows on windows need more elements than there are."""
    monkeypatch.setattr(pull, "_MOST", 1 << 20)
    net = Net()
    y = net.input(1, 1, 1 << 12)
    for _ in range(4):
        y = net.node("MaxPool", y, kernel_shape=[99], pads=[49, 49])
    model = net.model(y)
    feed: Feed = {"x": np.zeros((1, 1, 1 << 12), np.float32)}
    shapes: Shapes = {node.output[0]: (1, 1, 1 << 12) for node in net.nodes}

    start = process_time()
    found = evaluate(region_of(model), y, np.array([[0, 0, 2000]]), feed, shapes)

    assert found == Unsupported("too many elements are needed for a sample")
    assert process_time() - start < 5


def test_a_layer_that_sums_up_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there is memory for what one place needs."""
    net = Net()
    net.node("MatMul", net.input(2, 11), net.weight(11, 3), out="y")
    model = net.model("y")

    monkeypatch.setattr(pull, "_WIDEST", 10)

    assert sampled(model, feed_for(model), {"y": (2, 3)}, "y") == Unsupported(
        "too many elements are needed for a sample"
    )


@pytest.mark.parametrize("size", [1 << 23, 1 << 39])
def test_one_huge_window_is_refused_before_it_is_looked_at(size: int) -> None:
    """An attribute must not cost memory."""
    net = Net()
    net.node("MaxPool", net.input(1, 1, 8), out="y", kernel_shape=[size], pads=[size // 2] * 2)
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (1, 1, 9)}, "y")

    assert found == Unsupported("too many elements are needed for a sample")


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.skipif(bool(np.finfo(np.longdouble).eps >= 2**-60), reason="there is no wider type")
@pytest.mark.parametrize("where", ["input", "constant", "inside"])
def test_double_regions_are_evaluated_in_more_than_double(where: str) -> None:
    """1 + 2^-60 - 1 is 0 in float64."""
    net = Net(DOUBLE if where != "inside" else FLOAT)
    x = net.input(1)
    if where == "inside":
        x = net.node("Cast", x, to=DOUBLE)
        net.elem_type = DOUBLE
    y = net.node("Add", x, net.store([2.0**-60]))
    net.node("Sub", y, net.store([1.0]), out="y")
    model = net.model("y")
    feed = {"x": np.ones(1, np.float32 if where == "inside" else np.float64)}

    found = sampled(model, feed, shapes_of(model, feed), "y")

    assert isinstance(found, Sampled)
    assert found.value == 2.0**-60
    assert found.value.dtype == found.magnitude.dtype == np.longdouble


def test_an_activation_tells_what_inference_could_not() -> None:
    """Behind an operator that nobody knows, types are unknown too."""
    net = Net()
    hidden = net.node("Mystery", net.input(3), domain="com.example")
    net.node("Neg", hidden, out="y")
    region = region_of(untyped(net, "y"), inputs=[hidden])

    found = evaluate(region, "y", everywhere((3,)), {hidden: np.ones(3)}, {"y": (3,)})

    assert isinstance(found, Sampled)
    assert found.value.dtype == np.longdouble


@pytest.mark.parametrize(
    ("elem_type", "dtype"), [(FLOAT, np.float32), (HALF, np.float16), (BFLOAT, bfloat16)]
)
def test_narrower_regions_are_evaluated_in_float64(elem_type: int, dtype: Any) -> None:
    """Nothing is rounded to their type."""
    net = Net(elem_type)
    net.node("Mul", net.input(1), net.store([3.0]), out="y")
    third = np.array([1 / 3], dtype)

    feed = {"x": third, "of another region": np.ones(1)}

    found = sampled(untyped(net, "y"), feed, {"y": (1,)}, "y")

    assert isinstance(found, Sampled)
    assert found.value.dtype == np.float64
    assert found.value == 3 * float(third[0])


def test_a_scalar_has_one_element() -> None:
    """At the coordinates ()."""
    net = Net()
    net.node("Mul", net.input(), net.store(3.0), out="y")

    found = sampled(untyped(net, "y"), {"x": np.array(2, np.float32)}, {"y": ()}, "y")

    assert isinstance(found, Sampled)
    assert found.value == 6


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_so(number: float) -> None:
    """Where and as it is."""
    net = Net()
    net.node("Conv", net.input(1, 1, 3), whole_numbers(net, 1, 1, 1), out="y")
    net.stored["c0"] = np.ones((1, 1, 1), np.float32)
    feed = {"x": np.array([[[1, number, 2]]], np.float32)}

    found = sampled(untyped(net, "y"), feed, {"y": (1, 1, 3)}, "y")

    assert isinstance(found, Sampled)
    np.testing.assert_array_equal(found.value, feed["x"])


# --- what cannot be evaluated ---------------------------------------------------------------------


def scaled() -> ModelProto:
    net = Net()
    net.node("Mul", net.input(2, 3), net.store([1.0, 2, 3]), out="y")
    return untyped(net, "y")


ROWS = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("feed", "shapes", "reason"),
    [
        ({}, {"y": (2, 3)}, "the activation 'x' is not given"),
        ({"x": ROWS.astype(np.int64)}, {"y": (2, 3)}, "'x' holds no floats"),
        ({"x": ROWS}, {"y": (2, 4)}, "the shapes of Mul do not fit"),
        ({"x": ROWS[:1]}, {"y": (2, 3)}, "the shapes of Mul do not fit"),
        ({"x": ROWS}, {"y": (1 << 30, 1 << 30)}, "'y' is too large"),
        ({"x": ROWS}, {"y": (-1, 3)}, "'y' is too large"),
    ],
)
def test_a_run_that_does_not_fit_the_region_is_not_supported(
    feed: Feed, shapes: Shapes, reason: str
) -> None:
    """It is said what does not."""
    found = evaluate(region_of(scaled()), "y", np.array([[0, 0]]), feed, shapes)

    assert found == Unsupported(reason)


@pytest.mark.parametrize(
    ("name", "coords"),
    [
        *((name, row) for name in "xy" for row in ([2, 0], [0, -1], [0, 3], [0], [0, 0, 0])),
        *(("c0", row) for row in ([3], [-1], [], [0, 0])),
    ],
)
def test_elements_that_do_not_exist_are_not_supported(name: str, coords: list[int]) -> None:
    """Of a result, an activation or a constant."""
    wanted = np.array([coords], np.int64)

    found = evaluate(region_of(scaled()), name, wanted, {"x": ROWS}, {"y": (2, 3)})

    assert isinstance(found, Unsupported)


def test_shapes_that_inference_knows_may_be_missing() -> None:
    """Only what a run alone can tell must be told."""
    found = evaluate(region_of(scaled()), "y", np.array([[1, 2]]), {"x": ROWS}, {})

    assert isinstance(found, Sampled)
    assert found.value == 3


def test_shapes_that_nobody_knows_must_be_given() -> None:
    """It is said whose is missing; the region tells before which ones may be asked for."""
    net = Net()
    net.node("Relu", net.input("n", 3), out="y")
    region = region_of(net.model("y"))

    found = evaluate(region, "y", np.array([[0, 0]]), {"x": ROWS}, {})

    assert found == Unsupported("the shape of 'y' is not known")
    assert region.values == ("x", "y")


@pytest.mark.parametrize(("operator", "domain"), [("Erf", ""), ("Relu", "com.example")])
def test_other_operators_are_not_supported(operator: str, domain: str) -> None:
    """Nor are those of other domains, whatever they are called."""
    net = Net()
    net.node(operator, net.input(3), out="y", domain=domain)

    found = sampled(untyped(net, "y"), {"x": ROWS[0]}, {"y": (3,)}, "y")

    assert found == Unsupported(f"not supported: {operator}")


def test_what_the_region_does_not_have_is_not_supported() -> None:
    """It ends at its nodes and inputs."""
    net = Net()
    net.node("Relu", net.input(3), out="y")
    region = region_of(untyped(net, "y"), inputs=[])

    assert evaluate(region, "y", np.array([[0]]), {}, {}) == Unsupported(
        "'x' is no value of the region"
    )


def test_a_node_without_its_inputs_is_not_supported() -> None:
    """Nor does it break anything."""
    for operator in OPERATORS:
        net = Net()
        net.input(2, 3)
        net.node(operator, "", out="y")

        found = sampled(untyped(net, "y"), {"x": ROWS}, {"y": (2, 3)}, "y")

        assert isinstance(found, Unsupported), operator


def test_a_large_constant_is_read_where_something_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each element comes from its own block; the others are not read."""
    monkeypatch.setattr(numbers, "ELEMENTS", 16)
    net = Net()
    net.node("Add", net.input(40, 3), net.store(np.arange(120).reshape(40, 3)), out="y")
    coords = np.array([[39, 2], [0, 1], [12, 0], [0, 2], [39, 2]])
    asked: list[int] = []
    read = numbers.StoredNumbers.read

    def watched(self: numbers.StoredNumbers, start: int, stop: int) -> Sampled:
        asked.append(start)
        return read(self, start, stop)

    monkeypatch.setattr(numbers.StoredNumbers, "read", watched)
    feed = {"x": np.zeros((40, 3), np.float32)}

    found = evaluate(region_of(net.model("y")), "y", coords, feed, {})

    assert isinstance(found, Sampled)
    assert found.value.tolist() == found.magnitude.tolist() == [119, 1, 36, 2, 119]
    assert asked == [0, 32, 112]


def test_a_region_may_begin_in_the_middle() -> None:
    """What its inputs are computed from does not matter."""
    net = Net()
    hidden = net.node("Erf", net.input(3))
    net.node("Mul", hidden, net.store([1.0, 2, 3]), out="y")
    region = region_of(net.model("y"), inputs=[hidden])

    found = evaluate(region, "y", everywhere((3,)), {hidden: ROWS[0]}, {})

    assert isinstance(found, Sampled)
    assert found.value.tolist() == [1, 2, 3]


# --- time ----------------------------------------------------------------------------------------


def test_all_channels_of_a_large_convolution_take_milliseconds() -> None:
    """512 x 512 x 3 x 3, at eight places; the runtime takes longer for the whole."""
    net = Net()
    net.node("Conv", net.input(1, 512, 14, 14), net.weight(512, 512, 3, 3), out="y", pads=[1] * 4)
    model = net.model("y")
    feed = feed_for(model)
    coords = choose((1, 512, 14, 14), 1, np.random.default_rng(0), 8)
    region = region_of(model)
    evaluate(region, "y", coords, feed, {})  # The first time, buffers are made.

    start = process_time()
    found = evaluate(region, "y", coords, feed, {})
    spent = process_time() - start

    assert isinstance(found, Sampled)
    assert spent < 0.5
    expected = run(model, feed)[0][tuple(coords.T)]
    assert (np.abs(found.value - expected) <= 8 * 2.0**-24 * found.magnitude).all()
