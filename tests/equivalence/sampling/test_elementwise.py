"""Operators from each element to the one in its place, against onnxruntime."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from graphs import BFLOAT, BOOL, DOUBLE, FLOAT, HALF, INT64, TYPES, Net, feed_for
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from samples import (
    assert_by_definition,
    assert_exact,
    assert_value,
    outputs_of,
    sampled,
    untyped,
    whole_feed,
    whole_numbers,
)

from folding.equivalence.sampling import Sampled, Unsupported

BINARY = ["Add", "Sub", "Mul", "Div"]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Net, str, str]:
    """Two values that are broadcast to each other; at most one is a constant."""
    shape = draw(st.lists(st.integers(1, 3), max_size=4))
    net, names = Net(seed=draw(st.integers(0, 1000))), []
    constant = draw(st.sampled_from([0, 1, None]))
    for side in range(2):
        dims = [size if draw(st.booleans()) else 1 for size in shape]
        dims = dims[draw(st.integers(0, len(dims))) :]
        if side == constant:
            names.append(net.store(2.0 ** net.random.integers(-3, 4, dims)))
        else:
            names.append(net.input(*dims, name=f"x{side}"))
    return net, names[0], names[1]


@pytest.mark.parametrize("operator", BINARY)
@given(pair=pairs())
def test_arithmetic_is_what_the_runtime_computes(operator: str, pair: tuple[Net, str, str]) -> None:
    """Broadcast either way, with constants or without."""
    net, first, second = pair
    net.nodes.clear()
    net.node(operator, first, second, out="y")
    model = net.model("y")
    feed = {k: np.where(v < 0, -1, 1) * 2.0 ** np.abs(v) for k, v in whole_feed(model).items()}

    assert_exact(model, {key: np.asarray(value, np.float32) for key, value in feed.items()})


def test_a_sum_has_any_number_of_inputs() -> None:
    """Even one."""
    net = Net()
    inputs = net.input(2, 3), net.input(3, name="z"), whole_numbers(net, 2, 1)
    net.node("Sum", *inputs, out="y")
    net.node("Sum", "y", out="same")

    assert_exact(net.model("y", "same"))


@pytest.mark.parametrize("operator", ["Max", "Min"])
@given(pair=pairs())
def test_an_extreme_is_what_the_runtime_computes(operator: str, pair: tuple[Net, str, str]) -> None:
    """Broadcast either way, of values and constants."""
    net, first, second = pair
    net.nodes.clear()
    net.node(operator, first, second, out="y")

    assert_value(net.model("y"))


@pytest.mark.parametrize("mask", [(), (3,), (2, 1), (2, 3)])
def test_a_choice_is_what_the_condition_takes(mask: tuple[int, ...]) -> None:
    """A constant or an input, of fewer dimensions than the branches; and wrong as what it takes."""
    net = Net(DOUBLE)
    known = net.store(net.random.random(mask) < 0.5, elem_type=0)
    net.node("Where", known, net.input(2, 3), net.weight(3), out="y")
    net.node("Where", net.input(*mask, name="c", elem_type=BOOL), "x", net.weight(2, 1), out="z")

    assert_by_definition(net.model("y", "z"))


@pytest.mark.parametrize("operator", ["Max", "Mean", "Min", "Sum"])
def test_there_may_be_any_number_of_inputs(operator: str) -> None:
    """Even one."""
    net = Net(DOUBLE)
    inputs = net.input(2, 3), net.input(3, name="z"), net.weight(2, 1)
    net.node(operator, *inputs, out="y")
    net.node(operator, "x", out="same")

    assert_by_definition(net.model("y", "same"))


@pytest.mark.parametrize(
    ("operator", "value", "magnitude"),
    [("Max", [2, 5], [7, 5]), ("Min", [-7, -1], [7, 5]), ("Mean", [-2, 2.5], [10 / 3, 9.5 / 3])],
)
def test_what_is_chosen_is_as_wrong_as_what_may_have_been(
    operator: str, value: list[float], magnitude: list[float]
) -> None:
    """The largest magnitude of all; of a mean, their mean."""
    net = Net()
    inputs = net.input(2), net.store([2, -1]), net.store([-1, 3.5])
    net.node(operator, *inputs, out="y")
    if operator != "Mean":
        del net.nodes[-1].input[2]

    (found,) = outputs_of(net.model("y"), {"x": np.array([-7, 5], np.float32)})

    assert found.value.tolist() == value
    np.testing.assert_allclose(found.magnitude, magnitude)


def test_a_constant_minus_a_value_has_the_magnitude_of_their_sum() -> None:
    """As has the value's negative that of the value."""
    net = Net()
    x = net.input(2, 3)
    net.node("Sub", whole_numbers(net, 3), net.node("Neg", x), out="y")

    assert_exact(net.model("y"))


def test_the_magnitude_of_a_quotient_counts_the_error_of_its_divisor() -> None:
    """The quotient is as wrong as the difference is, in relation to it."""
    net = Net()
    x = net.input(1)
    net.node("Div", x, net.node("Sub", net.input(1, name="a"), net.input(1, name="b")), out="y")
    feed = {
        "x": np.array([6], np.float32),
        "a": np.array([5], np.float32),
        "b": np.array([3], np.float32),
    }

    (found,) = outputs_of(net.model("y"), feed)

    assert found.value == 3
    assert found.magnitude == 6 / 2 * (8 / 2)


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("opset", [9, 14, 17])
@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 3), (2, 4, 3, 2)])
def test_batch_normalization_is_what_the_specification_says(
    shape: tuple[int, ...], opset: int, elem_type: int
) -> None:
    """Of every rank and opset; the channels are along the second axis."""
    net = Net(elem_type, opset)
    net.batch_norm(net.input(*shape), 4, out="y", epsilon=0.01)

    assert_by_definition(net.model("y"))


def test_batch_normalization_has_a_small_epsilon_by_default() -> None:
    """It matters where the variance is 0."""
    net = Net()
    x = net.input(1, 1)
    one, none = net.store([1.0]), net.store([0.0])
    net.node("BatchNormalization", x, one, none, none, none, out="y")

    (found,) = outputs_of(net.model("y"), {"x": np.ones((1, 1), np.float32)})

    assert found.value == pytest.approx(float(np.float32(1e-5)) ** -0.5, rel=1e-14)


def test_the_magnitude_of_batch_normalization_adds_up_its_terms() -> None:
    """|x| |s| + |mean| |s| + |beta|."""
    net = Net()
    x = net.input(1, 2)
    parameters = [net.store(values) for values in ([-2, 3], [-1, 5], [4, -7], [0.25, 4])]
    net.node("BatchNormalization", x, *parameters, out="y", epsilon=0.0)

    (found,) = outputs_of(net.model("y"), {"x": np.array([[-6, 8]], np.float32)})

    np.testing.assert_allclose(found.value, [[4 * 6 + 16 - 1, 1.5 * 8 + 10.5 + 5]])
    np.testing.assert_allclose(found.magnitude, [[4 * 6 + 16 + 1, 1.5 * 8 + 10.5 + 5]])


@pytest.mark.parametrize(
    ("opset", "attributes", "outputs"),
    [
        (6, {}, "y"),
        (7, {"spatial": 0}, "y"),
        (9, {}, "y,mean,var"),
        (15, {"training_mode": 1}, "y,mean,var"),
    ],
)
def test_other_forms_of_batch_normalization_are_not_supported(
    opset: int, attributes: dict[str, Any], outputs: str
) -> None:
    """With the statistics of the batch, or with a number for each position."""
    net = Net(opset=opset)
    net.batch_norm(net.input(2, 4), 4, out=outputs, **attributes)
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (2, 4)}, "y")

    assert isinstance(found, Unsupported)
    assert found.reason.startswith("not supported: BatchNormalization")


def test_the_test_form_of_old_batch_normalization_is_supported() -> None:
    """Opset 6 has it by an attribute."""
    net = Net(opset=6)
    net.batch_norm(net.input(2, 4), 4, out="y", is_test=1)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": (2, 4)}, "y"), Sampled)


KINKED: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}),
    ("LeakyRelu", {"alpha": 0.5}),
    ("LeakyRelu", {"alpha": -2.0}),
    ("Identity", {}),
    ("Neg", {}),
    ("Abs", {}),
    ("Dropout", {}),
]


@pytest.mark.parametrize(("operator", "attributes"), KINKED)
def test_an_operator_of_one_input_is_what_the_runtime_computes(
    operator: str, attributes: dict[str, Any]
) -> None:
    """Exactly."""
    net = Net()
    net.node(operator, net.input(3, 4), out="y", **attributes)

    assert_value(net.model("y"))


def test_leaky_relu_leaks_a_hundredth_by_default() -> None:
    """As a float32."""
    net = Net()
    net.node("LeakyRelu", net.input(1), out="y")

    (found,) = outputs_of(net.model("y"), {"x": np.array([-1], np.float32)})

    assert found.value == -float(np.float32(0.01))


@pytest.mark.parametrize("slope", [(), (1,), (4,), (3, 1), (3, 4)])
def test_p_relu_has_a_slope_that_is_broadcast(slope: tuple[int, ...]) -> None:
    """One way only."""
    net = Net()
    net.node("PRelu", net.input(3, 4), whole_numbers(net, *slope), out="y")

    assert_value(net.model("y"))


@pytest.mark.parametrize(
    ("operator", "steepest"), [("Relu", 1.0), ("LeakyRelu", 1.0), ("PRelu", 3.0), ("Clip", 1.0)]
)
def test_a_kink_passes_the_magnitude_by_its_steepest_slope(operator: str, steepest: float) -> None:
    """On whichever side of it a value is: rounding may move it to the other one."""
    net = Net()
    total = net.node("Add", net.input(2), net.store([5, -7]))
    slopes = [net.store([-3.0])] if operator == "PRelu" else []
    net.node(operator, total, *slopes, out="y")

    (found,) = outputs_of(net.model("y"), {"x": np.array([-4, 6], np.float32)})

    np.testing.assert_array_equal(found.magnitude, [9 * steepest, 13 * steepest])


LIMITS = [(None, None), (-1, None), (None, 2), (-1, 2), (1, 2)]


@pytest.mark.parametrize(
    ("opset", "limits"), [*product((10, 11, 17), LIMITS), (11, (2, -1)), (17, (2, -1))]
)
def test_clip_is_what_the_runtime_computes(
    opset: int, limits: tuple[float | None, float | None]
) -> None:
    """Its limits may be missing, or cross; they are attributes in old opsets."""
    net = Net(opset=opset)
    x = net.input(3, 4)
    if opset < 11:
        named = zip(("min", "max"), limits, strict=True)
        given: dict[str, Any] = {name: float(limit) for name, limit in named if limit is not None}
        net.node("Clip", x, out="y", **given)
    else:
        names = ["" if limit is None else net.store(float(limit)) for limit in limits]
        net.node("Clip", x, *names, out="y")

    assert_value(net.model("y"))


def test_clip_has_at_least_the_magnitude_of_its_limit() -> None:
    """A limit is a number that is rounded too, further on."""
    net = Net()
    net.node("Clip", net.input(1), net.store(5.0), out="y")

    (found,) = outputs_of(net.model("y"), {"x": np.array([1], np.float32)})

    assert found.magnitude == 5


@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE, HALF, BFLOAT])
def test_casts_between_float_types_round_nothing(elem_type: int) -> None:
    """What they lose belongs to the runtime, and is not what was meant."""
    net = Net()
    net.node("Cast", net.input(2), out="y", to=elem_type)
    model = untyped(net, "y")

    found = sampled(model, {"x": np.array([1.0001, -3.3], np.float32)}, {"y": (2,)}, "y")

    assert isinstance(found, Sampled)
    np.testing.assert_array_equal(found.value, np.array([1.0001, -3.3], np.float32))


def test_a_cast_to_integers_is_not_supported() -> None:
    """It is no affine map, nor near one."""
    net = Net()
    net.node("Cast", net.input(2), out="y", to=INT64)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": (2,)}, "y"), Unsupported)


@pytest.mark.parametrize("is_training", [False, True])
def test_dropout_is_supported_where_nothing_is_dropped(is_training: bool) -> None:  # noqa: FBT001
    """Its mode is an input since opset 12."""
    net = Net()
    mode = net.store(is_training, elem_type=0)
    net.node("Dropout", net.input(2), net.store(0.5), mode, out="y,mask")
    model = untyped(net, "y")
    shapes = {"y": (2,), "mask": (2,)}

    found = sampled(model, feed_for(model), shapes, "y")

    assert isinstance(found, Unsupported) == is_training
    assert isinstance(sampled(model, feed_for(model), shapes, "mask"), Unsupported)


@pytest.mark.parametrize(("given", "is_training"), [({}, True), ({"is_test": 1}, False)])
def test_old_dropout_is_supported_in_its_test_form(
    given: dict[str, Any], *, is_training: bool
) -> None:
    """An attribute says so before opset 7."""
    net = Net(opset=6)
    net.node("Dropout", net.input(2), out="y", **given)
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (2,)}, "y")

    assert isinstance(found, Unsupported) == is_training


def test_old_arithmetic_that_broadcasts_is_not_supported() -> None:
    """Before opset 7 the axis was an attribute; without broadcasting there is no difference."""
    net = Net(opset=6)
    x = net.input(2, 2)
    net.node("Add", x, x, out="same")
    net.node("Add", x, net.store([1, 2]), out="y", broadcast=1, axis=0)
    model = untyped(net, "y")
    shapes = {"y": (2, 2), "same": (2, 2)}

    assert isinstance(sampled(model, feed_for(model), shapes, "y"), Unsupported)
    assert isinstance(sampled(model, feed_for(model), shapes, "same"), Sampled)


MISFITS: list[tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ("Add", (2, 3), (2,), (2, 3)),
    ("Add", (1, 3), (3,), (2, 3)),
    ("Mul", (2, 3), (3,), (3,)),
    ("PRelu", (1, 3), (2, 3), (2, 3)),
    ("PRelu", (1, 3), (2, 3), (1, 3)),
    ("Relu", (2, 3), (), (3, 2)),
    ("Neg", (2, 3), (), (6,)),
    ("Abs", (2, 3), (), (6,)),
    ("Max", (2, 3), (2,), (2, 3)),
    ("Mean", (1, 3), (3,), (2, 3)),
    ("Identity", (2, 3), (), (2, 4)),
    ("Dropout", (2, 3), (), (2, 2)),
    ("Clip", (2, 3), (3,), (2, 3)),
]


@pytest.mark.parametrize(("operator", "data", "dims", "result"), MISFITS)
def test_an_operator_that_does_not_fit_its_shapes_is_not_supported(
    operator: str, data: tuple[int, ...], dims: tuple[int, ...], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    net.node(operator, net.input(*data), net.weight(*dims), out="y")
    model: ModelProto = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


def test_parameters_of_another_length_are_not_supported() -> None:
    """BatchNormalization does not broadcast."""
    net = Net()
    net.batch_norm(net.input(2, 4), 3, out="y")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (2, 4)}, "y")

    assert found == Unsupported("the parameters of BatchNormalization do not fit")
