"""MatMul: a constant on either side, of any rank; the shift becomes an Add."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import TYPES, Net, assert_folds_to, assert_same_function, fold, refusal

from folding.plan import Reason


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 1, 3, 5)])
def test_the_last_axis_is_the_columns_of_a_constant_on_the_right(
    elem_type: int, shape: tuple[int, ...]
) -> None:
    net = Net(elem_type)
    net.node("MatMul", net.input(*shape), net.weight(5, 4), out="v")
    net.node("Mul", "v", net.weight(4), out="w")
    net.node("Sub", "w", net.weight(4), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add")


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (2, 2, 5, 3)])
def test_the_last_axis_but_one_is_the_rows_of_a_constant_on_the_left(
    elem_type: int, shape: tuple[int, ...]
) -> None:
    net = Net(elem_type)
    net.node("MatMul", net.weight(4, 5), net.input(*shape), out="v")
    net.node("Mul", "v", net.weight(4, 1), out="w")
    net.node("Add", "w", net.weight(4, 1), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add")


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("on_the_left", [True, False])
@pytest.mark.parametrize("vector", [(3, 1, 1), (2, 1, 1, 1)])
def test_a_batch_axis_of_the_constant_takes_in_what_acts_along_it(
    elem_type: int, vector: tuple[int, ...], *, on_the_left: bool
) -> None:
    net = Net(elem_type)
    pair = net.input(2, 3, 4, 4), net.weight(2, 3, 4, 4)
    net.node("MatMul", *(reversed(pair) if on_the_left else pair), out="v")
    net.node("Mul", "v", net.weight(*vector), out="w")
    net.node("Add", "w", net.weight(*vector), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add")


@pytest.mark.parametrize("elem_type", TYPES)
def test_columns_of_a_constant_with_batch_axes_fold(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("MatMul", net.input(2, 5), net.weight(3, 5, 4), out="v")
    net.node("Mul", "v", net.weight(4), out="w")
    net.node("Add", "w", net.weight(4), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add")


@pytest.mark.parametrize("lengths", [(2, 4), (4, 4)])
def test_two_affines_along_different_axes_of_one_constant_both_count(
    lengths: tuple[int, int],
) -> None:
    batch, width = lengths
    net = Net()
    net.node("MatMul", net.input(batch, 3, 5), net.weight(batch, 5, width), out="v")
    net.node("Mul", "v", net.weight(width), out="w")
    net.node("Mul", "w", net.weight(batch, 1, 1), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.names == ["w", "y"]
    assert_same_function(model, result.model)


def test_a_scalar_and_then_a_vector_along_the_batch_axis_both_count() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 2, 5), net.weight(3, 5, 4), out="v")
    net.node("Mul", "v", net.store(0.5), out="w")
    net.node("Transpose", "w", out="u", perm=[0, 2, 1])
    net.node("Mul", "u", net.weight(3, 1, 1), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Transpose")


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("on_the_left", [True, False])
def test_a_batch_norm_of_rank_three_finds_its_axis(elem_type: int, *, on_the_left: bool) -> None:
    net = Net(elem_type)
    if on_the_left:
        net.node("MatMul", net.weight(4, 5), net.input(2, 5, 3), out="v")
    else:
        net.node("MatMul", net.input(3, 5), net.weight(5, 4), out="v")
    net.batch_norm("v", 4, "y")

    assert_folds_to(net.model("y"), "MatMul", "Add")


def test_a_scale_alone_creates_no_add() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 5), net.weight(5, 4), out="v")
    net.node("Mul", "v", net.weight(4), out="y")

    assert_folds_to(net.model("y"), "MatMul")


def test_an_add_that_is_there_holds_the_new_shift_in_its_own_shape() -> None:
    net = Net()
    net.node("MatMul", net.input(2, 3, 5), net.weight(5, 4), out="v")
    net.node("Add", net.weight(1, 4, name="bias"), "v", out="w", name="add")
    net.node("Mul", "w", net.weight(4), out="y")
    model = net.model("y")

    result = fold(model)

    assert [node.name for node in result.model.graph.node] == ["", "add"]
    assert result.tensors["bias"].shape == (1, 4)
    assert_same_function(model, result.model)


def test_an_add_of_a_scalar_grows_to_hold_the_shift() -> None:
    net = Net()
    net.node("MatMul", net.input(2, 3, 5), net.weight(5, 4), out="v")
    net.node("Add", "v", net.store(1.5, "bias"), out="w")
    net.node("Mul", "w", net.weight(4), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add")


def test_a_scalar_on_a_constant_on_the_left_goes_to_its_rows() -> None:
    net = Net()
    net.node("MatMul", net.weight(4, 5), net.input(5, 3), out="v")
    net.node("Mul", "v", net.store(0.5), out="y")

    assert_folds_to(net.model("y"), "MatMul")


@pytest.mark.parametrize("on_the_left", [True, False])
def test_a_vector_along_the_other_axis_of_a_square_stays(*, on_the_left: bool) -> None:
    net = Net()
    pair = net.input(4, 4), net.weight(4, 4)
    net.node("MatMul", *(reversed(pair) if on_the_left else pair), out="v")
    net.node("Mul", "v", net.weight(*((4,) if on_the_left else (4, 1))), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_a_constant_of_one_axis_has_no_channels() -> None:
    net = Net()
    net.node("MatMul", net.input(2, 4, 5), net.weight(5), out="v")
    net.node("Mul", "v", net.weight(4), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_a_vector_of_data_moves_the_axes_of_a_constant_on_the_left() -> None:
    net = Net()
    net.node("MatMul", net.weight(4, 4, 5), net.input(5), out="v")
    net.node("Mul", "v", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_a_vector_of_data_moves_the_batch_axes_of_a_constant_on_the_right() -> None:
    net = Net()
    net.node("MatMul", net.input(5), net.weight(4, 4, 5, 3), out="v")
    net.node("Mul", "v", net.weight(4, 1, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_an_axis_that_only_the_data_has_stays() -> None:
    net = Net()
    net.node("MatMul", net.input(4, 3, 5), net.weight(5, 4), out="v")
    net.node("Mul", "v", net.weight(4, 1, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_a_batch_axis_of_length_one_in_the_constant_stays() -> None:
    net = Net()
    net.node("MatMul", net.input(4, 3, 5), net.weight(1, 5, 4), out="v")
    net.node("Mul", "v", net.weight(4, 1, 1), out="y")

    assert refusal(net.model("y")) == (Reason.OPERAND_GROWS, "v")


def test_two_run_time_operands_are_refused() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 5), net.input(5, 4, name="w"), out="v")
    net.node("Mul", "v", net.weight(4), out="y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_OPERANDS, "v")


def test_a_weight_that_a_caller_may_override_is_refused() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 5), net.weight(5, 4, name="w"), out="v")
    net.node("Mul", "v", net.weight(4), out="y")
    net.input(5, 4, name="w")

    assert refusal(net.model("y")) == (Reason.OVERRIDABLE, "w")


@pytest.mark.parametrize("on_the_left", [True, False])
def test_a_weight_that_is_not_evaluated_is_not_called_computed_at_run_time(
    *, on_the_left: bool
) -> None:
    net = Net()
    pair = [net.input(5, 5), net.node("Erf", net.weight(5, 5), out="w")]
    net.node("MatMul", *(reversed(pair) if on_the_left else pair), out="v")
    net.node("Mul", "v", net.weight(5, 1) if on_the_left else net.weight(5), out="y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "w")


def test_the_shift_is_stored_in_the_type_of_the_weight() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 5), net.weight(5, 4), out="v")
    net.batch_norm("v", 4, "y")

    result = fold(net.model("y"))

    added = result.tensors[result.model.graph.node[1].input[1]]
    assert added.dtype == np.float32
    assert added.shape == (4,)


def test_below_opset_7_no_add_is_made_that_would_need_a_broadcast_attribute() -> None:
    net = Net(opset=6, ir_version=3)
    net.node("MatMul", net.input(3, 5), net.weight(5, 4), out="v")
    net.batch_norm("v", 4, "y", is_test=1)

    result = fold(net.model("y"))

    adds = [node for node in result.model.graph.node if node.op_type == "Add"]
    assert [[a.name for a in node.attribute] for node in adds] == [["broadcast"]] * len(adds)
