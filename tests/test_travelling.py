"""Affines on long ways: what rules, each right alone, must not make of one another."""

from __future__ import annotations

import pytest
from graphs import DOUBLE, FLOAT, HALF, Net, assert_same_function, fold, fold_unverified, refusal
from onnx import ModelProto

from folding.plan import Kept, Reason


def test_a_scalar_scale_beside_a_vector_of_shifts_goes_down_alone() -> None:
    net = Net(DOUBLE)
    net.node("Relu", net.input(2, 3), out="v")
    net.node("Mul", "v", net.store(0.5), out="u")
    net.node("Add", "u", net.weight(2, 1), out="w")
    net.node("Split", "w", net.integers(1, 1), out="a,b", axis=0)
    net.node("MatMul", net.node("Relu", "a"), net.weight(3, 2), out="y")
    net.node("MatMul", net.node("Relu", "b"), net.weight(3, 2), out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.operators == ["Relu", "Add", "Split", "Relu", "MatMul", "Relu", "MatMul"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("between", ["Identity", "Relu", "Mul"])
@pytest.mark.parametrize("operator", ["Conv", "MatMul"])
def test_parts_of_one_value_bring_one_affine_to_its_layer(operator: str, between: str) -> None:
    net = Net(DOUBLE)
    if operator == "Conv":
        net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), net.weight(4), out="v")
    else:
        net.node("MatMul", net.weight(4, 3), net.input(2, 3, 5), out="v")
    net.node(between, "v", *([net.weight(4, 1)] if between == "Mul" else []), out="u")
    net.node("Split", "u", net.integers(3, 1), out="a,b", axis=1)
    net.node("Concat", "b", "a", out="w", axis=1)
    net.node("Mul", "w", net.positive(4, 1), out="y")
    if between != "Relu":
        net.node("Add", "y", net.weight(4, 1), out="z")
    model = net.model("y" if between == "Relu" else "z")

    result = fold(model)

    assert [d.is_folded for d in result.plan.decisions] == [True] * len(result.plan.decisions)
    assert_same_function(model, result.model)


def test_lines_from_a_split_behind_a_split_come_together_in_turn() -> None:
    net = Net(DOUBLE)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), net.weight(4), out="v")
    net.node("Split", "v", net.integers(3, 1), out="a,b", axis=1)
    net.node("Split", "a", net.integers(1, 2), out="c,d", axis=1)
    net.node("Concat", "d", "b", "c", out="w", axis=1)
    net.batch_norm("w", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert result.into("y") == ("v",)
    assert_same_function(model, result.model)


def folded_twice(model: ModelProto) -> list[str]:
    """What is still folded in a model that was folded before; it must be the same function."""
    once = fold_unverified(model)
    assert_same_function(model, once.model)
    return [d.name for d in fold_unverified(once.model).plan.decisions if d.is_folded]


def test_an_affine_is_decided_again_when_a_layer_behind_it_has_got_a_place_for_its_shift() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(2, 3), 3, "v")
    net.node("MatMul", "v", net.weight(3, 3), out="a")
    net.node("MatMul", "v", net.weight(3, 3), out="b")
    net.batch_norm("a", 3, "y")
    model = net.model("y", "b")

    assert fold(model).operators == ["MatMul", "Add", "MatMul", "Add"]
    assert folded_twice(model) == []


def test_a_scalar_goes_for_nothing_into_what_another_fold_has_made() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(2, 3, 4), 3, "v")
    net.node("Conv", "v", net.weight(2, 3, 1), out="u")
    net.node("Mul", "u", net.store(0.5), out="y")
    model = net.model("y")

    assert fold(model).operators == ["Conv"]


def test_a_scalar_goes_for_nothing_over_an_add_that_another_fold_has_made() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(2, 5, 3), 5, "v")
    net.node("MatMul", net.weight(2, 5), "v", out="u")
    net.node("Mul", "u", net.store(0.5), out="y")
    model = net.model("y")

    assert fold(model).operators == ["MatMul", "Add"]
    assert folded_twice(model) == []


def test_a_scalar_is_decided_again_when_its_layer_has_got_a_bias_of_its_own() -> None:
    net = Net(DOUBLE)
    net.node("Sub", net.store(0.5), net.input(2, 3, 4), out="v")
    net.node("Conv", "v", net.weight(2, 3, 1), net.weight(2, name="b"), out="u")
    net.node("Mul", "u", net.weight(2, 1), out="w")
    net.node("Conv", "w", net.weight(2, 2, 1), "b", out="y")
    model = net.model("y")

    assert fold(model).operators == ["Conv", "Conv"]


def test_below_ir_version_4_a_constant_of_another_type_is_no_room_for_a_shift() -> None:
    net = Net(HALF, ir_version=3)
    net.node("MatMul", net.input(2, 1), net.weight(1, 1), out="v")
    net.node("Cast", "v", out="c", to=FLOAT)
    parameters = [net.positive(1, elem_type=FLOAT) for _ in range(4)]
    net.node("BatchNormalization", "c", *parameters, out="n")
    net.node("Cast", "n", out="y", to=HALF)

    assert refusal(net.model("y"))[0] is Reason.OLD_IR


def test_below_ir_version_4_a_shift_for_all_channels_needs_a_constant_without_axes() -> None:
    """Those that the fold sets free have one, and the weight is another layer's, too."""
    net = Net(DOUBLE, ir_version=3)
    weight = net.weight(1, 1, 1)
    net.node("Conv", net.input(2, 1, 4), weight, net.weight(1), out="v")
    net.node("Relu", "v", out="r")
    parameters = [[net.positive(1) for _ in range(4)] for _ in range(2)]
    net.node("BatchNormalization", "r", *parameters[0], out="n")
    net.node("BatchNormalization", "n", *parameters[1], out="m")
    net.node("Relu", "m", out="s")
    net.node("Conv", "s", weight, out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Relu", "BatchNormalization", "Relu", "Conv"]


def test_a_mul_along_an_uncertain_axis_is_passed_downward_at_any_time() -> None:
    net = Net(DOUBLE)
    net.node("Neg", net.input(2, "n", name="x"), out="v")
    net.node("Mul", "v", net.weight(2, 1), out="w")
    net.node("Add", "w", net.weight(3), out="a")
    net.node("Mul", "a", net.weight(3, 1, 1), out="u")
    net.node("MatMul", net.weight(3, 2), "u", out="y")
    net.node("MatMul", net.weight(3, 2), "v", out="z")

    result = fold_unverified(net.model("y", "z"))

    assert result.operators == ["Add", "Mul", "MatMul", "MatMul"]


@pytest.mark.parametrize("operator", ["Add", "Max", "Mul", "Sum"])
def test_an_affine_that_changes_nothing_is_not_taken_in_by_an_operator(operator: str) -> None:
    net = Net(DOUBLE)
    net.node("MatMul", net.input(2, 3), net.weight(3, 4), out="a")
    net.node("MatMul", "x", net.weight(3, 4), out="b")
    net.node(operator, "a", "b", out="v")
    net.node("Neg", "v", out="w")
    net.node("Neg", "w", out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["MatMul", "MatMul", operator]
    assert_same_function(model, result.model)


def test_a_reader_of_a_shape_stays_behind_what_it_reads_when_a_shift_stays() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(2, 3, 5), 3, "v")
    net.node("Shape", "v", out="s")
    net.node("Mul", "v", net.weight(3, 1), out="w")
    net.node("Conv", "w", net.weight(4, 3, 2), out="y", pads=[1, 1])
    model = net.model("y", "s")

    result = fold(model)

    assert [d.is_partial for d in result.plan.decisions] == [True]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_a_gemm_that_takes_in_a_scale_before_it_goes_on_scaling_its_bias(beta: float) -> None:
    net = Net(DOUBLE)
    net.node("Mul", net.input(2, 3), net.weight(3), out="v")
    net.node("Gemm", "v", net.weight(3, 4), net.weight(4), out="y", beta=beta)
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Gemm"]
    assert_same_function(model, result.model)


def test_the_shape_behind_a_group_normalization_is_known() -> None:
    net = Net(DOUBLE, opset=21)
    net.node("GroupNormalization", net.input(2, 4, 3), net.weight(4), net.weight(4), num_groups=2)
    net.node("Transpose", net.nodes[0].output[0], out="t", perm=[0, 2, 1])
    net.node("MatMul", "t", net.weight(4, 3), out="v")
    net.node("Mul", "v", net.weight(3), out="y")

    assert fold_unverified(net.model("y")).into("y") == ("v",)


def test_what_nothing_reads_stays_as_it_is() -> None:
    net = Net(DOUBLE)
    net.node("MatMul", net.input(2, 3), net.weight(3, 4), out="v")
    net.node("Mul", "v", net.weight(4), out="y")
    net.node("Relu", "x", out="z")

    assert refusal(net.model("z")) == (Reason.UNREAD, "y")


def test_a_number_behind_a_live_norm_is_folded_for_nothing_or_not_at_all() -> None:
    net = Net(DOUBLE, opset=23)
    net.node("RMSNormalization", net.input(2, 1, 3), net.weight(3), out="v")
    zero, one = net.store([0.0]), net.store([1.5])
    net.node("BatchNormalization", "v", one, zero, zero, one, out="u")
    net.node("Identity", "u", out="i")
    net.node("Mul", "i", net.weight(), out="w")
    net.node("Add", "w", net.weight(), out="y")

    assert folded_twice(net.model("y")) == []


def test_a_shift_of_one_channel_that_a_fold_has_left_is_a_number() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(2, 3, 2), 3, "v")
    net.node("Einsum", net.weight(3, 1), "v", out="u", equation="bz,abc->cza")
    net.batch_norm("u", 1, "y")
    model = net.model("y")

    assert fold(model).operators == ["Einsum", "Add"]


def test_an_affine_goes_down_whatever_layer_there_is_that_nothing_reads() -> None:
    net = Net(DOUBLE)
    net.node("MatMul", net.input(2, 3), net.weight(3, 3), out="v")
    net.node("Mul", "v", net.weight(3), out="w")
    net.node("Sub", net.store(1.0), "w", out="u")
    net.node("MatMul", "u", net.weight(3, 1), out="dead")
    net.node("MatMul", "u", net.weight(3, 2), out="y")

    result = fold(net.model("v", "y"))

    assert result.into("u") == ("y",)
    assert result.operators == ["MatMul", "MatMul", "Add"]


@pytest.mark.parametrize("operator", ["Slice", "Gather", "Abs"])
@pytest.mark.parametrize("is_layer", [True, False])
def test_what_does_nothing_behind_a_carrier_goes_on_to_a_layer(
    operator: str, *, is_layer: bool
) -> None:
    """Without one nothing would say that the value behind is what it was."""
    net = Net()
    scale = [[-1.0]] * 4 if operator == "Abs" else [[1.0], [1.0], [1.0], [1.0], [2.0], [3.0]]
    scaled = net.node("Mul", net.input(2, len(scale), 5), net.store(scale), out="a")
    if operator == "Slice":
        cut = net.node("Slice", scaled, *map(net.integers, (0, 4, 1)))
    elif operator == "Gather":
        cut = net.node("Gather", scaled, net.integers(0, 1, 2, 3), axis=1)
    else:
        cut = net.node("Abs", scaled)
    layer = ("Conv", cut, net.weight(3, 4, 1)) if is_layer else ("Sigmoid", cut)
    net.node(*layer, out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == [*([] if is_layer else ["Mul"]), operator, layer[0]]
    assert_same_function(model, result.model)


def test_what_only_unread_nodes_read_stays_as_it_is() -> None:
    net = Net(DOUBLE)
    net.node("MatMul", net.input(2, 3), net.weight(3, 4), out="v")
    net.node("Mul", "v", net.weight(4), out="y")
    net.node("Shape", net.node("Relu", "y"), out="dead")
    net.node("Relu", "x", out="z")

    assert refusal(net.model("z")) == (Reason.UNREAD, "y")


def test_below_ir_4_the_constant_of_a_shift_that_stays_counts_in_its_own_shape() -> None:
    """It is no vector of C that the batch norm leaves free, but [C, 1]."""
    net = Net(ir_version=3, opset=9)
    x, weight = net.input(2, 3, 5), net.weight(4, 3, 2)
    gate, value = net.node("Sigmoid", net.node("Conv", x, weight)), net.node("Conv", x, weight)
    net.node("Neg", net.node("Mul", value, gate), out="n")
    net.batch_norm("n", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert len(result.operators) <= len(model.graph.node)


def test_what_stops_one_affine_does_not_stop_one_of_which_nothing_comes_there() -> None:
    net = Net(DOUBLE)
    net.node("Mul", net.node("Sigmoid", net.input(2, 4, 3)), net.weight(4, 1), out="a")
    last = net.store([[1.0], [1.0], [1.0], [2.0]])
    net.node("Mul", net.node("Sigmoid", "x"), last, out="b")
    net.node("Concat", "a", "b", axis=1, out="c")
    net.node("Split", "c", net.integers(7, 1), axis=1, out="y,rest")
    net.node("MatMul", "rest", net.weight(3, 3), out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.kept("a")[0] is Reason.NO_RULE
    assert result.decision("b").is_folded
    assert_same_function(model, result.model)


def test_it_is_said_which_part_of_a_result_nothing_reads() -> None:
    net = Net()
    net.node("Mul", net.input(2, 4, 3), net.store([[1.0], [1.0], [1.0], [2.0]]), out="v")
    net.node("Split", "v", net.integers(3, 1), axis=1, out="a,b")
    net.node("Relu", "a", out="y")

    outcome = fold(net.model("y")).decision("v").outcome

    assert isinstance(outcome, Kept)
    assert outcome.below == Kept(Reason.UNREAD, "b")


def test_arithmetic_on_weights_that_are_not_evaluated_is_no_affine() -> None:
    net = Net()
    v = net.weight(4, 3, 3)
    w = net.node("Mul", net.node("Erf", v), net.weight(4, 1, 1))
    w = net.node("Neg", net.node("Add", w, net.weight(4, 1, 1)))
    net.batch_norm(net.node("Conv", net.input(2, 3, 5), w), 4, "y")

    result = fold(net.model("y"))

    assert result.names == ["y"]
    assert result.kept("y")[0] is Reason.TOO_COMPLEX


def test_arithmetic_on_what_a_random_operator_makes_is_an_affine() -> None:
    net = Net()
    net.input(2, 4, 3)
    noise = net.node("RandomNormalLike", net.weight(2, 4, 3))
    net.node("Add", "x", net.node("Mul", noise, net.weight(4, 1), out="v"), out="y")

    assert fold_unverified(net.model("y")).names == ["v"]


def test_a_scale_of_zero_needs_no_shift_as_large_as_what_it_makes_nothing_of() -> None:
    """What was added along another axis is gone, and one number is left."""
    net = Net()
    net.node(
        "Add", net.node("MatMul", net.input(2, 3), net.weight(3, 1)), net.weight(2, 1), out="a"
    )
    numbers = net.store([0.0]), net.weight(1), net.weight(1), net.positive(1)
    net.node("BatchNormalization", "a", *numbers, out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["MatMul", "Add"]
    assert_same_function(model, result.model)


def test_what_stays_names_values_as_the_source_does() -> None:
    """Also where an earlier fold has given a value in between another name."""
    net = Net()
    net.node("MatMul", net.input(2, 5, 6), net.weight(6, 9), out="v")
    net.node("Reshape", "v", net.integers(2, 5, 3, 3), out="r")
    net.node("Transpose", "r", perm=[2, 0, 1, 3], out="t")
    parts = [net.node("Gather", "t", net.integers(n), axis=0) for n in range(3)]
    net.node("Mul", parts[0], net.store(0.5), out="first")
    net.node("Mul", parts[2], net.weight(3), out="last")
    model = net.model("first", parts[1], "last")

    result = fold(model)

    assert result.decision("first").is_folded
    assert result.kept("last") == (Reason.FORKED, "t")
