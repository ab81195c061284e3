"""Affines right behind the biases that earlier folds have left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from graphs import DOUBLE, TYPES, Net, assert_folds_to, assert_same_function, fold, fold_unverified

from folding.plan import Folded, Reason


def behind_a_bias(elem_type: int, *, channels: int = 1) -> Net:
    """A fold leaves a bias of so many numbers, along another axis, before the value ``u``."""
    net = Net(elem_type)
    net.node("Mul", net.input(4, 3), net.weight(4, 1), out="a")
    net.node("Add", "a", net.weight(4, 1), out="b")
    net.node("MatMul", net.weight(channels, 4), "b", out="u")
    return net


def two_layers(net: Net, value: str) -> None:
    """Each of them needs a node for the shift of what stands before it."""
    net.node("MatMul", value, net.weight(3, 2), out="y")
    net.node("MatMul", value, net.weight(3, 2), out="z")


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_bias_that_a_fold_has_left_goes_down_with_the_norm_behind_it(elem_type: int) -> None:
    net = behind_a_bias(elem_type)
    two_layers(net, net.batch_norm("u", 3, "v"))
    model = net.model("y", "z")

    assert_folds_to(model, "MatMul", "MatMul", "Add", "MatMul", "Add")


def test_what_goes_down_with_a_bias_is_folded_no_further_in_a_second_run() -> None:
    net = behind_a_bias(DOUBLE)
    two_layers(net, net.batch_norm("u", 3, "v"))
    once = fold(net.model("y", "z"))

    assert fold(once.model).model.SerializeToString() == once.model.SerializeToString()


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_shift_that_may_not_go_down_stays_in_the_bias(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Mul", net.input(2, 3, 5), net.weight(5), out="a")
    net.node("Add", "a", net.weight(5), out="b")
    net.node("MatMul", "b", net.weight(5, 1), out="u")
    net.batch_norm("u", 3, "v")
    net.node("Conv", "v", net.weight(2, 3, 3), out="y", pads=[1, 1])
    model = net.model("y")

    result = fold(model)

    assert result.decision("v").is_partial
    assert result.operators == ["MatMul", "Add", "Conv"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("output", ["u", ""])
def test_a_bias_that_others_see_stays_and_what_is_behind_it_too(output: str) -> None:
    net = behind_a_bias(DOUBLE)
    two_layers(net, net.batch_norm("u", 3, "v"))
    model = net.model("y", "z", output or net.node("Relu", "u"))

    outcome = fold(model).decision("v").outcome

    assert not isinstance(outcome, Folded)
    assert outcome.below is not None
    assert outcome.below.reason is Reason.MORE_NODES


def test_a_bias_along_another_axis_stays_and_what_is_behind_it_too() -> None:
    net = behind_a_bias(DOUBLE, channels=3)
    two_layers(net, net.batch_norm("u", 3, "v"))
    model = net.model("y", "z")

    result = fold_unverified(model)

    assert not result.decision("v").is_folded
    assert_same_function(model, result.model)


def test_an_affine_is_decided_again_when_a_bias_has_come_before_it() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(3, 4), 4, "a")
    net.node("MatMul", net.weight(1, 4), net.node("Transpose", "a"), out="u")
    net.node("MatMul", "a", net.weight(4, 4), out="w")
    two_layers(net, net.batch_norm("u", 3, "v"))
    net.batch_norm("w", 4, "x2")
    model = net.model("y", "z", "x2")

    result = fold(model)

    assert all(decision.is_folded for decision in result.plan.decisions)
    assert_same_function(model, result.model)


@pytest.mark.parametrize("rows", [4, 5])
def test_biases_along_different_axes_are_not_taken_together(rows: int) -> None:
    """One that is the same for all channels fits each of them, but they do not fit one another."""
    net = Net(DOUBLE)
    net.node("MatMul", net.input(rows, 4), net.weight(4, 4), out="p")
    net.node("Mul", net.node("Add", "p", net.weight(4)), net.store(np.full((rows, 1), 2.0)))
    net.node("Add", net.nodes[-1].output[0], net.weight(rows, 1), out="t")
    net.batch_norm("t", 4, "v")
    for part, value in (("gamma", 2.0), ("beta", 1.0), ("mean", 0.0), ("var", 1.0)):
        net.stored[f"v.{part}"] = np.full(4, value)
    ends = [net.node("MatMul", net.weight(3, rows), "v") for _ in range(4)]
    model = net.model(*ends)

    result = fold_unverified(model)

    assert_same_function(model, result.model)


@pytest.mark.parametrize("scale", [np.full(2, 2.0), 2.0])
@pytest.mark.parametrize("elem_type", TYPES)
def test_a_shift_that_stays_does_not_take_the_place_of_the_bias(
    elem_type: int, scale: npt.ArrayLike
) -> None:
    """The scale goes over the bias into the layer; the shift is along another axis than both."""
    net = Net(elem_type)
    net.node("MatMul", net.weight(2, 4), net.input(2, 4, 2), out="m")
    net.node("Add", "m", net.weight(2, 1), out="v")
    net.node("Sub", "v", net.weight(2), out="s")
    net.node("Div", "s", net.store(np.asarray(scale)), out="d")
    net.node("Relu", "d", out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add", "Add", "Relu")


@pytest.mark.parametrize("shape", [(4, 1, 1), ()])
@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("elem_type", TYPES)
def test_no_shift_goes_into_a_bias_that_an_affine_along_another_axis_begins_with(
    elem_type: int, width: int, shape: tuple[int, ...]
) -> None:
    """That bias has one number, which another along the last axis could be added to."""
    net = Net(elem_type)
    net.node("Relu", net.input(2, 4, 5, 2), out="r")
    net.node("Add", net.node("Mul", "r", net.weight(2)), net.weight(2), out="a")
    net.node("MatMul", "a", net.weight(2, width), out="m")
    net.node("Add", "m", net.store(np.full(shape, 0.7)), out="b")
    net.node("Mul", net.node("Neg", "b"), net.weight(4, 1, 1), out="d")
    net.node("Conv", "d", net.weight(3, 4, 1, 1), out="y")

    assert_folds_to(net.model("y"), "Relu", "MatMul", "Add", "Conv")


def over_a_bias(elem_type: int, width: int) -> Net:
    """An affine goes down into a layer with a bias ``b`` that has one number."""
    net = Net(elem_type)
    net.node("Relu", net.input(2, 4, 5, 2), out="r")
    net.node("Add", net.node("Mul", "r", net.weight(2)), net.weight(2), out="a")
    net.node("MatMul", "a", net.weight(2, width), out="m")
    net.node("Add", "m", net.store(0.7), out="b")
    return net


@pytest.mark.parametrize("width", [3, 4])
def test_who_asks_for_a_shape_does_not_matter(width: int) -> None:
    """Whether the bias begins an affine along another axis is seen in what reads its values."""
    net = over_a_bias(DOUBLE, width)
    net.node("Shape", "b", out="s")
    net.node("Conv", net.node("Mul", "b", net.weight(4, 1, 1)), net.weight(3, 4, 1, 1), out="y")

    assert_folds_to(net.model("y", "s"), "Relu", "MatMul", "Add", "Shape", "Conv")


def test_a_bias_takes_a_shift_where_only_its_shape_is_asked_for() -> None:
    net = over_a_bias(DOUBLE, 3)
    net.node("Shape", "b", out="y")

    assert_folds_to(net.model("y"), "Relu", "MatMul", "Add", "Shape")


def test_a_second_shift_goes_into_the_first_ones_add() -> None:
    """Though another node asks for the shape of what it stands behind."""
    net = Net(DOUBLE)
    net.batch_norm(net.node("Relu", net.input(2, 3)), 3, "a")
    for name in "mk":
        net.node("MatMul", "a", net.weight(3, 4), out=name)
    net.node("Shape", "m", out="s")
    scaled = net.node("Mul", net.node("Min", "m", "k"), net.positive(4))
    net.node("Add", scaled, net.weight(4), out="y")
    operators = "Relu", "MatMul", "Add", "MatMul", "Add", "Shape", "Min"

    assert_folds_to(net.model("y", "s"), *operators)


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("carrier", [False, True])
def test_nothing_follows_an_affine_of_one_number_to_another_axis(carrier: bool, rows: int) -> None:  # noqa: FBT001
    """It met another axis on its way up, which what stands behind it must not be taken to."""
    net = Net(DOUBLE)
    net.node("MatMul", net.input(2, rows, 4), net.weight(4, 2), out="m")
    net.node("Add", "m", net.weight(2), out="a")
    net.node("Mul", "a", net.weight(rows, 1), out="b")
    net.node("Sub", net.store(np.full(2, 0.3)), "b", out="c")
    net.node("Mul", net.node("Identity", "c") if carrier else "c", net.weight(2), out="d")
    net.node("Relu", "d", out="y")
    model = net.model("y")

    for result in (fold(model), fold_unverified(model)):
        assert_same_function(model, result.model)
        assert result.kept("d")[0] is Reason.OTHER_AXIS
