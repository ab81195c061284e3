"""Squeeze and Unsqueeze: an axis counted from the right moves by what comes or goes behind it."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from graphs import (
    DOUBLE,
    FLOAT,
    INT64,
    TYPES,
    Net,
    assert_folds_to,
    assert_same_function,
    feed_for,
    fold,
    refusal,
    run,
)
from onnx import helper
from oracle import evaluate
from passing import affine_of, assert_goes_down, assert_goes_up, assert_stays, random_affine

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

    assert_folds_to(
        network("Squeeze", before, axes, vector, Net(opset=opset, ir_version=7)).model("y"),
        "Conv",
        "Squeeze",
    )


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize(("before", "axes", "vector"), UNSQUEEZES)
def test_unsqueeze_is_passed(
    before: tuple[int, ...], axes: list[int], vector: tuple[int, ...], opset: int
) -> None:

    assert_folds_to(
        network("Unsqueeze", before, axes, vector, Net(opset=opset, ir_version=7)).model("y"),
        "Conv",
        "Unsqueeze",
    )


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("operator", ["Squeeze", "Unsqueeze"])
def test_the_formula_is_right_in_float64_too(elem_type: int, operator: str) -> None:
    before, vector = ((2, 3, 1, 5), (4, 1)) if operator == "Squeeze" else ((2, 3, 5), (4, 1, 1))

    assert_folds_to(
        network(operator, before, [2], vector, Net(elem_type)).model("y"), "Conv", operator
    )


@pytest.mark.parametrize("opset", [11, 13])
def test_a_squeeze_without_axes_drops_those_of_length_one(opset: int) -> None:
    model = network("Squeeze", (1, 3, 1, 5), None, (4, 1), Net(opset=opset, ir_version=7)).model(
        "y"
    )

    assert_folds_to(model, "Conv", "Squeeze")


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

    assert_folds_to(net.model("y"), "Conv", "Squeeze")


def test_a_vector_on_the_new_axis_makes_the_data_grow_and_stays() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), out="v")
    net.node("Unsqueeze", "v", net.integers(1), out="w")
    net.node("Mul", "w", net.weight(4, 1, 1), out="y")

    assert refusal(net.model("y")) == (Reason.OPERAND_GROWS, "y")


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


def alone(
    operator: str, dims: tuple[int | str, ...], axes: list[int] | None, opset: int, kind: int
) -> Net:
    """A Squeeze or Unsqueeze, in the form of its version."""
    net = Net(kind, opset=opset)
    x = net.input(*dims)
    if axes is None:
        net.node(operator, x, out="y")
    elif opset < 13:
        net.node(operator, x, out="y", axes=axes)
    else:
        net.node(operator, x, net.integers(*axes), out="y")
    return net


# The operator, what stands before, the axes, and what comes out.
FORMS: list[tuple[str, tuple[int, ...], list[int] | None, tuple[int, ...]]] = [
    ("Squeeze", (2, 1, 3, 1, 4), [1, 3], (2, 3, 4)),
    ("Squeeze", (1, 2, 3, 1), [3, 0], (2, 3)),
    ("Squeeze", (1, 2, 3, 1), [0], (2, 3, 1)),
    ("Squeeze", (1, 2, 3, 1), None, (2, 3)),
    ("Squeeze", (2, 3), None, (2, 3)),
    ("Unsqueeze", (2, 3, 4), [1, 3], (2, 1, 3, 1, 4)),
    ("Unsqueeze", (2, 3), [3, 0], (1, 2, 3, 1)),
    ("Unsqueeze", (2, 3), [2], (2, 3, 1)),
]
#: Negative ones came with opset 11.
NEGATIVE: list[tuple[str, tuple[int, ...], list[int] | None, tuple[int, ...]]] = [
    ("Squeeze", (2, 1, 3, 1, 4), [-2, -4], (2, 3, 4)),
    ("Unsqueeze", (2, 3, 4), [-1, -5], (1, 2, 3, 4, 1)),
]
VERSIONS = [(form, opset) for form in FORMS + NEGATIVE for opset in (11, 13, 21, 23, 24, 25)] + [
    (form, opset) for form in FORMS for opset in (1, 7)
]


@pytest.mark.parametrize(("form", "opset"), VERSIONS)
def test_on_every_axis_both_are_passed_in_both_directions(form: Any, opset: int) -> None:
    """Conditions 2 and 3, in all versions."""
    operator, before, axes, after = form
    net = alone(operator, before, axes, opset, DOUBLE)
    for check, sizes in ((assert_goes_down, before), (assert_goes_up, after)):
        for axis in (i - len(sizes) for i, size in enumerate(sizes) if size > 1):
            check(net, random_affine(sizes[axis], axis))
        check(net, affine_of(-2.0, 3.0, None))


@pytest.mark.parametrize("down", [False, True])
def test_sizes_may_be_unknown_where_the_axes_are_given(*, down: bool) -> None:
    """Condition 3 asks for the rank only."""
    check = assert_goes_down if down else assert_goes_up
    three = random_affine(3, -3 if down else -2)

    check(alone("Squeeze", ("n", 3, 1, "t"), [2], 13, DOUBLE), three, n=2, t=4)
    three = random_affine(3, -2 if down else -3)
    check(alone("Unsqueeze", ("n", 3, "t"), [2], 13, DOUBLE), three, n=2, t=4)


@pytest.mark.parametrize("operator", ["Squeeze", "Unsqueeze"])
@pytest.mark.parametrize("down", [False, True])
def test_axes_that_are_not_constant_are_refused_in_both_directions(
    operator: str, *, down: bool
) -> None:
    """Condition 3."""
    net = Net(DOUBLE)
    net.node(operator, net.input(2, 3, 1), net.input(1, name="axes", elem_type=INT64), out="y")

    assert_stays(net, random_affine(3, -2), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_an_empty_list_of_axes_is_refused(*, down: bool) -> None:
    """Condition 3."""
    net = alone("Squeeze", (2, 3, 1), [], 13, DOUBLE)

    assert_stays(net, random_affine(3, -2), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_a_squeeze_without_axes_needs_all_sizes(*, down: bool) -> None:
    """Condition 3: one that is not known may be one."""
    net = alone("Squeeze", (2, 3, 1, "t"), None, 13, DOUBLE)

    assert_stays(net, random_affine(3, -3), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize(("form", "opset"), [v for v in VERSIONS if 7 <= v[1] <= 21])
def test_the_definitions_agree_with_onnxruntime(form: Any, opset: int) -> None:
    """What the rules are tested against."""
    operator, before, axes, _ = form
    model = alone(operator, before, axes, opset, FLOAT).model("y")
    feed = feed_for(model)
    found, wanted = evaluate(model, feed)[0], run(model, feed)[0]

    assert found.shape == wanted.shape
    assert (found == wanted).all()
