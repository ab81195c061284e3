"""Squeeze and Unsqueeze: an axis counted from the right moves by what comes or goes behind it."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from graphs import INT64, TYPES, Net, assert_same_function, fold, refusal
from onnx import helper

from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Passage
from folding.doubled import Doubled
from folding.plan import Kept, Reason

# What stands before, the axes, and the vector that the affine acts along afterwards.
SQUEEZES = [
    ((2, 3, 1, 5), [2], (4, 1)),
    ((2, 3, 1, 5), [-2], (4, 1)),
    ((2, 3, 5, 1), [-1], (4, 1)),
    ((1, 3, 5, 1), [0, 3], (4, 1)),
    ((1, 3, 5, 1), [-4, -1], (4, 1)),
    ((1, 3, 5, 2), [0], (4, 1, 1)),
    ((1, 3, 1, 1), [3, 2], (4,)),
]
UNSQUEEZES = [
    ((2, 3, 5), [0], (4, 1)),
    ((2, 3, 5), [3], (4, 1, 1)),
    ((2, 3, 5), [-1], (4, 1, 1)),
    ((2, 3, 5), [2], (4, 1, 1)),
    ((2, 3, 5), [1], (4, 1)),
    ((2, 3, 5), [-5, 2, 4], (4, 1, 1)),
]


def network(
    operator: str,
    before: tuple[int, ...],
    axes: list[int] | None,
    vector: tuple[int, ...],
    net: Net,
) -> Net:
    net.node("Conv", net.input(*before), net.weight(4, 3, *[1] * (len(before) - 2)), out="v")
    if axes is None:
        net.node(operator, "v", out="w")
    elif net.opset < 13:
        net.node(operator, "v", out="w", axes=axes)
    else:
        net.node(operator, "v", net.integers(*axes, name="axes"), out="w")
    net.node("Mul", "w", net.weight(*vector), out="u")
    net.node("Add", "u", net.weight(*vector), out="y")
    return net


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize(("before", "axes", "vector"), SQUEEZES)
def test_squeeze_is_passed(
    before: tuple[int, ...], axes: list[int], vector: tuple[int, ...], opset: int
) -> None:
    model = network("Squeeze", before, axes, vector, Net(opset=opset, ir_version=7)).model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Squeeze"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize(("before", "axes", "vector"), UNSQUEEZES)
def test_unsqueeze_is_passed(
    before: tuple[int, ...], axes: list[int], vector: tuple[int, ...], opset: int
) -> None:
    model = network("Unsqueeze", before, axes, vector, Net(opset=opset, ir_version=7)).model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Unsqueeze"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("operator", ["Squeeze", "Unsqueeze"])
def test_the_formula_is_right_in_float64_too(elem_type: int, operator: str) -> None:
    before, vector = ((2, 3, 1, 5), (4, 1)) if operator == "Squeeze" else ((2, 3, 5), (4, 1, 1))
    model = network(operator, before, [2], vector, Net(elem_type)).model("y")

    result = fold(model)

    assert result.operators == ["Conv", operator]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("opset", [11, 13])
def test_a_squeeze_without_axes_drops_those_of_length_one(opset: int) -> None:
    model = network("Squeeze", (1, 3, 1, 5), None, (4, 1), Net(opset=opset, ir_version=7)).model(
        "y"
    )

    result = fold(model)

    assert result.operators == ["Conv", "Squeeze"]
    assert_same_function(model, result.model)


def test_axes_may_be_a_constant_computed_from_others() -> None:
    net = Net()
    net.node("Add", net.integers(1), net.integers(1), out="axes")
    net.node("Conv", net.input(2, 3, 1, 5), net.weight(4, 3, 1, 1), out="v")
    net.node("Squeeze", "v", "axes", out="w")
    net.batch_norm("w", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert result.decision("y").is_folded
    assert_same_function(model, result.model)


@pytest.mark.parametrize(("operator", "shape"), [("Squeeze", (2, 3, 1)), ("Unsqueeze", (2, 3, 5))])
def test_axes_that_a_caller_may_override_are_refused(operator: str, shape: tuple[int, ...]) -> None:
    net = Net()
    net.node("Conv", net.input(*shape), net.weight(4, 3, 1), out="v")
    net.node(operator, "v", net.integers(2, name="axes"), out="w")
    net.inputs.append(helper.make_tensor_value_info("axes", INT64, [1]))
    net.batch_norm("w", 4, "y")

    assert refusal(net.model("y"))[0] in (Reason.MISSING_AXES, Reason.AXIS_UNCERTAIN)


def test_axes_computed_at_run_time_leave_the_channels_unknown() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 1, 5), net.weight(4, 3, 1, 1), out="v")
    net.node("Squeeze", "v", net.input(1, name="axes", elem_type=INT64), out="w")
    net.node("Mul", "w", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.AXIS_UNCERTAIN, "w")


def test_a_squeeze_without_axes_of_an_unknown_shape_leaves_the_channels_unknown() -> None:
    net = Net()
    net.node("Conv", net.input("n", 3, 1, 5), net.weight(4, 3, 1, 1), out="v")
    net.node("Squeeze", "v", out="w")
    net.node("Mul", "w", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.AXIS_UNCERTAIN, "w")


def test_one_channel_may_be_squeezed_away() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(1, 3, 1), net.weight(1), out="v")
    net.node("Squeeze", "v", net.integers(1), out="w")
    net.node("Mul", "w", net.weight(1), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Squeeze"]
    assert_same_function(model, result.model)


def test_a_vector_on_the_new_axis_makes_the_data_grow_and_stays() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), out="v")
    net.node("Unsqueeze", "v", net.integers(1), out="w")
    net.node("Mul", "w", net.weight(4, 1, 1), out="y")

    assert refusal(net.model("y")) == (Reason.AXIS_UNCERTAIN, "w")


@pytest.mark.parametrize("shape", [None, (2, None, 4, 1)])
def test_a_squeeze_without_axes_is_refused_where_its_shape_is_not_known(
    shape: tuple[int | None, ...] | None,
) -> None:
    """No affine is recognised behind such a node, so the rule is asked directly."""
    around = Mock()
    around.shape.return_value = shape
    affine = ChannelAffine(Doubled.exact([1.0, 2.0]), Doubled.exact([0.0, 1.0]), -1)
    node = helper.make_node("Squeeze", ["v"], ["w"])

    answer = CARRIERS["Squeeze"].up(affine, Passage(node, around, 0))

    assert answer == Kept(Reason.MISSING_AXES, "w", "Squeeze")
