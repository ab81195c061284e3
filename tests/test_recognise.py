"""Which nodes are affine maps, of which kind, and along which axis: never guessed from a size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import (
    BOOL,
    DOUBLE,
    FLOAT,
    HALF,
    TYPES,
    Net,
    assert_folds_to,
    assert_same_function,
    fold,
    fold_unverified,
    plan,
    refusal,
)
from onnx import TensorProto, helper

from folding.plan import Kind, Reason


def convolution(net: Net, channels: int = 4, out: str = "v") -> Net:
    """Conv from a [2, 3, 5] to a [2, channels, 3]."""
    net.node("Conv", net.input(2, 3, 5), net.weight(channels, 3, 3), out=out)
    return net


# --- BatchNormalization ----------------------------------------------------------------------


@pytest.mark.parametrize("opset", [7, 8, 9, 13, 14, 15, 17, 21])
def test_a_batch_norm_of_every_opset_since_7_folds(opset: int) -> None:
    net = convolution(Net(opset=opset, ir_version=7))
    net.batch_norm("v", 4, "y", epsilon=0.25)

    assert_folds_to(net.model("y"), "Conv")


@pytest.mark.parametrize("opset", [1, 6])
def test_a_batch_norm_below_opset_7_that_is_marked_for_tests_folds(opset: int) -> None:
    net = convolution(Net(opset=opset, ir_version=3))
    given: dict[str, Any] = {"consumed_inputs": [0, 0, 0, 1, 1]} if opset == 1 else {}
    net.batch_norm("v", 4, "y", is_test=1, **given)
    stored = net.stored
    model = net.model("y")

    result = fold(model)

    scale = stored["y.gamma"] / np.sqrt(stored["y.var"].astype(float) + np.float32(1e-5))
    weight = stored["c0"] * scale[:, None, None]
    assert result.operators == ["Conv"]
    np.testing.assert_allclose(result.tensors["c0"], weight, rtol=1e-6)


def test_epsilon_is_1e_minus_5_in_float32_if_it_is_not_given() -> None:
    net = Net(DOUBLE)
    net.node("Conv", net.input(2, 3, 5), net.store(np.ones((1, 3, 3)), "w"), out="v")
    zero, one = net.store([0.0]), net.store([1.0])
    net.node("BatchNormalization", "v", one, zero, zero, zero, out="y")

    result = fold(net.model("y"))

    scale = np.float64(np.float32(1e-5)) ** -0.5
    assert result.tensors["w"][0, 0, 0] == pytest.approx(scale, 1e-15)


@pytest.mark.parametrize(
    "types", [(HALF, FLOAT, FLOAT), (HALF, HALF, FLOAT), (FLOAT, FLOAT, DOUBLE)]
)
def test_the_mixed_types_of_opset_15_fold(types: tuple[int, int, int]) -> None:
    data, scale, statistics = types
    net = convolution(Net(data, opset=15))
    parameters = (
        net.weight(4, elem_type=scale),
        net.weight(4, elem_type=scale),
        net.weight(4, elem_type=statistics),
        net.positive(4, elem_type=statistics),
    )
    net.node("BatchNormalization", "v", *parameters, out="y")
    model = net.model("y")

    result = fold_unverified(model)

    after = [tensor.data_type for tensor in result.model.graph.initializer]
    assert after == [data, data]


def test_two_parameters_may_be_one_tensor() -> None:
    net = convolution(Net())
    both = net.positive(4)
    net.node("BatchNormalization", "v", both, net.weight(4), both, both, out="y")

    assert_folds_to(net.model("y"), "Conv")


def test_one_channel_is_a_scalar_with_a_batch_norm() -> None:
    net = convolution(Net(), channels=1)
    net.batch_norm("v", 1, "y")
    model = net.model("y")

    result = fold(model)

    assert result.decision("y").kind is Kind.BATCH_NORM
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)


def test_training_mode_is_refused() -> None:
    net = convolution(Net())
    net.batch_norm("v", 4, "y,m,s", training_mode=1, name="norm")

    assert refusal(net.model("y")) == (Reason.TRAINING_MODE, "norm")


def test_training_mode_is_refused_even_if_only_the_data_is_an_output() -> None:
    net = convolution(Net())
    net.batch_norm("v", 4, "y", training_mode=1)

    assert refusal(net.model("y")) == (Reason.TRAINING_MODE, "y")


@pytest.mark.parametrize("opset", [7, 9])
def test_outputs_for_the_batch_are_training_below_opset_14(opset: int) -> None:
    net = convolution(Net(opset=opset, ir_version=7))
    net.batch_norm("v", 4, "y,mean,var,saved_mean,saved_var")

    assert refusal(net.model("y")) == (Reason.TRAINING_MODE, "y")


@pytest.mark.parametrize("opset", [1, 6])
def test_below_opset_7_training_is_the_default(opset: int) -> None:
    net = convolution(Net(opset=opset, ir_version=3))
    given: dict[str, Any] = {"consumed_inputs": [0, 0, 0, 1, 1]} if opset == 1 else {}
    net.batch_norm("v", 4, "y", **given)

    assert refusal(net.model("y")) == (Reason.TRAINING_MODE, "y")


def test_a_batch_norm_below_opset_7_whose_mean_is_read_is_refused() -> None:
    net = convolution(Net(opset=6, ir_version=3))
    net.batch_norm("v", 4, "y,mean", is_test=1)
    net.node("Identity", "mean", out="z")
    model = net.graph("y", "z")
    imports = [helper.make_opsetid("", 6)]

    decisions = plan(helper.make_model(model, ir_version=4, opset_imports=imports))

    assert [d.to_dict()["reason"] for d in decisions] == ["OUTPUT_USED"]


@pytest.mark.parametrize("opset", [6, 7, 8])
def test_parameters_that_differ_by_position_are_refused(opset: int) -> None:
    net = convolution(Net(opset=opset, ir_version=3))
    given = {"is_test": 1} if opset < 7 else {}
    net.batch_norm("v", 4, "y", spatial=0, **given)

    assert refusal(net.model("y")) == (Reason.PER_POSITION, "y")


def test_statistics_computed_at_run_time_are_refused_as_live() -> None:
    net = convolution(Net())
    inputs = net.weight(4), net.weight(4), net.input(4, name="mean"), net.positive(4)
    net.node("BatchNormalization", "v", *inputs, out="y")

    result = fold(net.model("y"))

    assert result.decision("y").kind is Kind.LIVE_NORM
    assert result.kept("y") == (Reason.LIVE_STATISTICS, "mean")


@pytest.mark.parametrize("place", range(4))
def test_a_parameter_that_is_not_evaluated_is_not_called_computed_at_run_time(place: int) -> None:
    net = convolution(Net())
    given = [net.weight(4), net.weight(4), net.weight(4), net.positive(4)]
    given[place] = net.node("Erf", given[place], out="p")
    net.node("BatchNormalization", "v", *given, out="y")

    result = fold(net.model("y"))

    assert result.decision("y").kind is Kind.BATCH_NORM
    assert result.kept("y") == (Reason.TOO_COMPLEX, "p")


def test_live_statistics_are_named_before_a_parameter_that_is_not_evaluated() -> None:
    net = convolution(Net())
    given = net.node("Erf", net.weight(4)), net.weight(4), net.weight(4)
    net.node("BatchNormalization", "v", *given, net.input(4, name="var"), out="y")

    assert fold(net.model("y")).kept("y") == (Reason.LIVE_STATISTICS, "var")


def test_a_gamma_computed_at_run_time_is_refused() -> None:
    net = convolution(Net())
    inputs = net.input(4, name="gamma"), net.weight(4), net.weight(4), net.positive(4)
    net.node("BatchNormalization", "v", *inputs, out="y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_PARAMETER, "gamma")


@pytest.mark.parametrize("parameter", ["gamma", "beta", "mean", "var"])
def test_a_parameter_that_a_caller_may_override_is_refused(parameter: str) -> None:
    net = convolution(Net())
    net.batch_norm("v", 4, "y")
    net.input(4, name=f"y.{parameter}")

    assert refusal(net.model("y")) == (Reason.OVERRIDABLE, f"y.{parameter}")


@pytest.mark.parametrize("variance", [-1e-5, -1.0])
def test_a_variance_that_is_not_positive_with_epsilon_is_refused(variance: float) -> None:
    net = convolution(Net())
    var = net.store([1.0, variance, 1.0, 1.0], "var")
    inputs = net.weight(4), net.weight(4), net.weight(4), var
    net.node("BatchNormalization", "v", *inputs, out="y", epsilon=1e-5)

    assert refusal(net.model("y")) == (Reason.BAD_VARIANCE, "var")


def test_a_slightly_negative_variance_that_epsilon_lifts_folds() -> None:
    net = convolution(Net())
    var = net.store([1.0, -1e-6, 1.0, 1.0])
    inputs = net.weight(4), net.weight(4), net.weight(4), var
    net.node("BatchNormalization", "v", *inputs, out="y", epsilon=1e-2)

    assert_folds_to(net.model("y"), "Conv")


@pytest.mark.parametrize("slot", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_parameter_that_is_not_finite_is_refused(slot: int, value: float) -> None:
    net = convolution(Net())
    names = [net.positive(4, name=name) for name in ("gamma", "beta", "mean", "var")]
    net.stored[names[slot]][2] = value
    net.node("BatchNormalization", "v", *names, out="y")

    assert refusal(net.model("y")) == (Reason.NOT_FINITE, names[slot])


def test_a_parameter_that_is_not_evaluated_is_refused() -> None:
    net = convolution(Net())
    net.node("Range", net.store(0.0), net.store(4.0), net.store(1.0), out="beta")
    inputs = net.weight(4), "beta", net.weight(4), net.positive(4)
    net.node("BatchNormalization", "v", *inputs, out="y")

    reason, at = refusal(net.model("y"))

    assert (reason, at) in [(Reason.TOO_COMPLEX, "beta"), (Reason.BAD_PARAMETERS, "y")]


def test_parameters_of_another_length_than_the_channels_are_refused() -> None:
    net = convolution(Net())
    net.batch_norm("v", 3, "y")

    assert refusal(net.model("y")) == (Reason.BAD_PARAMETERS, "y")


def test_data_of_an_unknown_rank_is_refused() -> None:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", FLOAT, None))
    net.batch_norm("x", 4, "y")
    model = net.model("y")

    assert refusal(model) == (Reason.AXIS_UNCERTAIN, "x")


def test_a_batch_norm_has_as_many_channels_as_parameters_where_nothing_else_is_known() -> None:
    net = Net()
    net.node("Transpose", net.input("n", "m", "k"), perm=[0, 2, 1], out="t")
    net.node("MatMul", net.weight(4, 5), "t", out="v")
    net.batch_norm("v", 4, "y")

    assert fold(net.model("y")).operators == ["Transpose", "MatMul", "Add"]


def test_a_batch_norm_of_another_domain_is_no_affine() -> None:
    net = convolution(Net())
    net.batch_norm("v", 4, "y", domain="somewhere")
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("somewhere", 1)]
    model = helper.make_model(net.graph("y"), ir_version=8, opset_imports=imports)

    assert plan(model) == []


def test_the_long_name_of_the_default_domain_is_the_default_domain() -> None:
    net = convolution(Net())
    net.batch_norm("v", 4, "y")
    model = net.model("y")
    model.opset_import[0].domain = "ai.onnx"
    for node in model.graph.node:
        node.domain = "ai.onnx"

    decisions = plan(model)

    assert [d.is_folded for d in decisions] == [True]


def test_the_convolution_says_how_many_axes_data_of_an_unknown_rank_has() -> None:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", FLOAT, None))
    net.node("Conv", "x", net.weight(4, 3, 3), out="v")
    net.batch_norm("v", 4, "y")

    result = fold_unverified(net.model("y"))

    assert result.operators == ["Conv"]


# --- Mul, Div, Add, Sub, Neg -----------------------------------------------------------------


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("operator", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("on_the_left", [True, False])
@pytest.mark.parametrize("shape", [(4, 1), (1, 4, 1)])
def test_arithmetic_with_a_vector_on_either_side_folds(
    elem_type: int, operator: str, shape: tuple[int, ...], *, on_the_left: bool
) -> None:
    net = convolution(Net(elem_type))
    pair = ["u", net.weight(*shape)]
    net.node("Mul", "v", net.weight(4, 1), out="u")
    net.node(operator, *(reversed(pair) if on_the_left else pair), out="y")
    model = net.model("y")

    result = fold(model)

    inverse = operator == "Div" and on_the_left
    assert result.operators == (["Conv", "Div"] if inverse else ["Conv"])
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_long_chain_is_one_affine_composed_in_order(elem_type: int) -> None:
    net = convolution(Net(elem_type))
    net.node("Sub", "v", net.weight(4, 1), out="a")
    net.node("Div", "a", net.weight(1, 4, 1), out="b")
    net.node("Neg", "b", out="c")
    net.node("Mul", net.weight(4, 1), "c", out="d")
    net.node("Sub", net.store(2.0), "d", out="e")
    net.node("Add", "e", net.weight(4, 1), out="y")
    model = net.model("y")

    result = fold(model)

    assert [d.nodes for d in result.plan.decisions] == [("a", "b", "c", "d", "e", "y")]
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_vector_minus_the_data_is_a_scale_and_shift(elem_type: int) -> None:
    net = convolution(Net(elem_type))
    net.node("Sub", net.weight(4, 1), "v", out="y")
    model = net.model("y")

    result = fold(model)

    assert result.decision("y").kind is Kind.SCALE_SHIFT
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("shape", [(4, 1), (3,), (2, 1, 1)])
@pytest.mark.parametrize("operator", ["Add", "Sub"])
def test_a_pure_shift_is_a_bias_and_no_affine(operator: str, shape: tuple[int, ...]) -> None:
    net = convolution(Net())
    net.node(operator, "v", net.weight(*shape), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.plan.decisions == []
    assert result.model.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("operator", ["Add", "Sub"])
def test_a_scalar_shift_is_no_affine_even_where_a_bias_could_take_it(operator: str) -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), net.weight(4), out="v")
    net.node(operator, "v", net.store(0.5), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.plan.decisions == []
    assert result.model.SerializeToString() == model.SerializeToString()


def test_a_shift_of_a_shift_is_still_a_bias() -> None:
    net = convolution(Net())
    net.node("Neg", "v", out="a")
    net.node("Sub", net.weight(4, 1), "a", out="y")

    assert plan(net.model("y")) == []


@pytest.mark.parametrize("wide", [(4, 3), (2, 4, 1), (2, 4, 3)])
def test_a_constant_with_two_wide_axes_is_no_affine(wide: tuple[int, ...]) -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.weight(*wide), out="y")

    assert plan(net.model("y")) == []


def test_a_constant_without_elements_is_no_affine() -> None:
    net = Net()
    net.node("Mul", net.input(2, 0), net.store(np.zeros(0)), out="y")

    assert plan(net.model("y")) == []


def test_a_constant_below_a_division_is_no_affine() -> None:
    net = convolution(Net())
    net.node("Div", net.weight(4, 1), "v", out="y")

    assert plan(net.model("y")) == []


@pytest.mark.parametrize("shape", [(4, 4, 3, 4), (4, 3, 4, 4), (4, 3, 5, 4), (2, 3, 4, 4)], ids=str)
@pytest.mark.parametrize("vector", [(4,), (4, 1), (4, 1, 1), (4, 1, 1, 1)])
def test_only_the_aligned_axis_counts_whatever_the_sizes(
    shape: tuple[int, ...], vector: tuple[int, ...]
) -> None:
    net = Net()
    net.node("Conv", net.input(*shape), net.weight(4, shape[1], 1, 1), out="v")
    net.node("Mul", "v", net.weight(*vector), out="y")
    axis = len(vector)
    certain = [*shape[:1], 4, *shape[2:]][-axis] == 4
    model = net.model("y") if certain else None

    decisions = plan(model) if model else []

    assert [d.is_folded for d in decisions] == ([axis == 3] if certain else [])


def test_an_unknown_dimension_where_the_vector_acts_is_refused() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, "h", 4), net.weight(4, 3, 1, 1), out="v")
    net.node("Mul", "v", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.AXIS_UNCERTAIN, "v")


def test_a_vector_that_makes_the_data_grow_is_refused() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(1, 3, 3), out="v")
    net.node("Mul", "v", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.OPERAND_GROWS, "y")


def test_a_vector_of_a_higher_rank_than_the_data_is_refused() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 5), net.weight(5, 4), out="v")
    net.node("Mul", "v", net.weight(1, 1, 4), out="y")

    assert refusal(net.model("y")) == (Reason.OPERAND_GROWS, "y")


def test_a_number_of_a_higher_rank_than_the_data_is_no_affine() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 5), net.weight(5, 4), out="v")
    net.node("Mul", "v", net.weight(1, 1, 1), out="w")
    net.node("Add", "w", net.weight(4), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.model.SerializeToString() == model.SerializeToString()


def test_a_scale_that_a_caller_may_override_is_refused() -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.weight(4, 1, name="s"), out="y")
    net.input(4, 1, name="s")

    assert refusal(net.model("y")) == (Reason.OVERRIDABLE, "s")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_scale_that_is_not_finite_is_refused(value: float) -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.store([[1.0], [value], [1.0], [1.0]], "s"), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_FINITE, "s")


def test_a_division_by_zero_is_refused() -> None:
    net = convolution(Net())
    net.node("Div", "v", net.store([[1.0], [0.0], [1.0], [1.0]], "s"), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_FINITE, "s")


def test_a_scale_that_is_not_evaluated_is_refused() -> None:
    net = convolution(Net())
    net.node("Range", net.store(0.0), net.store(4.0), net.store(1.0), out="r")
    net.node("Reshape", "r", net.integers(4, 1), out="s")
    net.node("Mul", "v", "s", out="y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "s")


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_below_opset_7_arithmetic_is_refused(operator: str) -> None:
    net = convolution(Net(opset=6, ir_version=3))
    net.node(operator, "v", net.weight(4), out="y", broadcast=1, axis=1, name="scale")
    model = net.graph("y")
    for tensor in model.initializer:
        model.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    imports = [helper.make_opsetid("", 6)]

    decisions = plan(helper.make_model(model, ir_version=3, opset_imports=imports))

    assert [d.to_dict()["reason"] for d in decisions] == ["OLD_OPSET"]
    assert [d.to_dict()["at"] for d in decisions] == ["scale"]


def test_integers_are_no_affine() -> None:
    net = Net(TensorProto.INT32)
    net.node("Mul", net.input(2, 4), net.store([1, 2, 3, 4]), out="y")

    assert plan(net.model("y")) == []


def test_a_constant_times_a_constant_is_a_constant_and_no_affine() -> None:
    net = convolution(Net())
    net.node("Mul", net.weight(4, 1), net.weight(4, 1), out="s")
    net.node("Mul", "v", "s", out="y")
    model = net.model("y")

    result = fold(model)

    assert result.names == ["y"]
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)


# --- kinds ------------------------------------------------------------------------------------


def test_a_scalar_that_a_layer_takes_for_nothing_is_listed_as_folded() -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.store(0.125), out="y")

    result = fold(net.model("y"))

    assert result.decision("y").kind is Kind.SCALAR
    assert result.operators == ["Conv"]


@pytest.mark.parametrize("operator", ["Relu", "Sigmoid", "Softmax"])
def test_a_scalar_that_stays_is_not_listed(operator: str) -> None:
    net = Net()
    net.node(operator, net.input(2, 3), out="v")
    net.node("Mul", "v", net.store(0.125), out="y")

    assert plan(net.model("y")) == []


def test_a_scalar_shift_that_would_cost_a_new_bias_stays_and_is_not_listed() -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.store(0.5), out="a")
    net.node("Add", "a", net.store(0.5), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.plan.decisions == []
    assert result.model.SerializeToString() == model.SerializeToString()


def test_a_scalar_on_a_shared_weight_stays_and_is_not_listed() -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.store(0.5), out="y")
    net.node("Conv", "x", net.nodes[0].input[1], out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.plan.decisions == []
    assert result.model.SerializeToString() == model.SerializeToString()


def test_a_scale_with_a_vector_shift_is_a_scale_shift() -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.store(0.5), out="a")
    net.node("Add", "a", net.weight(4, 1), out="y")

    assert [d.kind for d in plan(net.model("y"))] == [Kind.SCALE_SHIFT]


def test_a_chain_with_a_batch_norm_is_a_batch_norm() -> None:
    net = convolution(Net())
    net.node("Mul", "v", net.store(0.5), out="a")
    net.batch_norm("a", 4, "b")
    net.node("Add", "b", net.weight(4, 1), out="y")

    assert [(d.name, d.kind) for d in plan(net.model("y"))] == [("y", Kind.BATCH_NORM)]


def test_the_gamma_and_beta_behind_a_layer_norm_are_live_and_become_its_own() -> None:
    net = Net()
    net.node("LayerNormalization", net.input(2, 3, 4), net.store(np.ones(4)), out="n")
    net.node("Mul", "n", net.weight(4), out="s")
    net.node("Add", "s", net.weight(4), out="y")

    result = fold(net.model("y"))

    assert [(d.kind, d.is_folded) for d in result.plan.decisions] == [(Kind.LIVE_NORM, True)]
    assert result.operators == ["LayerNormalization"]


def test_the_gamma_and_beta_of_a_hand_written_layer_norm_are_live() -> None:
    net = Net()
    x = net.input(2, 3, 4)
    net.node("ReduceMean", x, out="mean", axes=[-1])
    net.node("Sub", x, "mean", out="d")
    net.node("Mul", "d", "d", out="d2")
    net.node("ReduceMean", "d2", out="var", axes=[-1])
    net.node("Add", "var", net.store(1e-5), out="spread")
    net.node("Sqrt", "spread", out="deviation")
    net.node("Div", "d", "deviation", out="n")
    net.node("Mul", "n", net.weight(4), out="s")
    net.node("Add", "s", net.weight(4), out="y")

    result = fold(net.model("y"))

    assert [d.kind for d in result.plan.decisions] == [Kind.LIVE_NORM]
    assert result.kept("y") == (Reason.LIVE_STATISTICS, "n")


@pytest.mark.parametrize("operator", ["Reshape", "Expand"])
def test_the_shape_that_a_live_value_is_given_does_not_make_it_another(operator: str) -> None:
    """Exporters compute it where the batch is open."""
    net = Net()
    x = net.input("n", 3, 4)
    net.node("InstanceNormalization", x, net.store(np.ones(3)), net.store(np.zeros(3)), out="n")
    net.node(operator, "n", net.node("Shape", x), out="r")
    net.node("Mul", "r", net.weight(3, 1), out="s")
    net.node("Add", "s", net.weight(3, 1), out="y")

    assert [d.kind for d in plan(net.model("y"))] == [Kind.LIVE_NORM]


def test_a_batch_norm_behind_features_of_length_one_is_one_of_its_own() -> None:
    """What is divided by its own length is live, but the statistics behind it are constants."""
    net = Net()
    x = net.input(2, 4)
    length = net.node("ReduceL2", x, axes=[1])
    least = net.node("Max", length, net.store(1e-12))
    net.batch_norm(net.node("Div", x, least, out="n"), 4, "y")

    (decision,) = plan(net.model("y"))

    assert decision.kind is Kind.BATCH_NORM
    assert decision.counts_for_strict


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("scales", [False, True])
def test_a_root_of_means_belongs_to_a_norm_if_it_scales_data(*, scales: bool, moved: bool) -> None:
    """What is behind the pooling of a GeM is data, also where a norm is written in two nodes."""
    net = Net()
    x = net.input(2, 3, 4)
    mean = net.node("ReduceMean", net.node("Mul", x, x), axes=[2], keepdims=0 if moved else 1)
    root = net.node("Sqrt", mean)
    dims = (3,) if moved else (3, 1)
    y = net.node("Add", net.node("Mul", root, net.weight(*dims)), net.weight(*dims), out="y")
    end = net.node("Unsqueeze", y, net.integers(2)) if moved else y
    end = net.node("Mul", x, end) if scales else net.node("Sigmoid", end)

    (decision,) = plan(net.model(end))

    assert decision.kind is (Kind.LIVE_NORM if scales else Kind.SCALE_SHIFT)


def test_a_root_of_means_that_a_constant_scales_does_not_scale_data() -> None:
    net = Net()
    x = net.input(2, 3, 4)
    root = net.node("Sqrt", net.node("ReduceMean", net.node("Mul", x, x), axes=[2]))
    net.node("Mul", root, net.weight(3, 1), out="y")
    net.node("Mul", "y", net.store(2.0), out="z")

    found = {decision.name: decision.kind for decision in plan(net.model("y", "z"))}

    assert found["y"] is Kind.SCALE_SHIFT


@pytest.mark.parametrize("limit", ["Min", "Max", "Clip"])
def test_a_limit_of_a_deviation_does_not_make_it_another(limit: str) -> None:
    """As in the normalisation to length one; its gamma makes it grow."""
    net = Net()
    x = net.input(2, 3, 4)
    squares = net.node("ReduceSum", net.node("Mul", x, x), net.integers(1))
    inverse = net.node("Reciprocal", net.node("Sqrt", squares))
    net.node("Mul", x, net.node("Mul", net.node(limit, inverse, net.store(1e6)), "g", out="y"))
    net.weight(3, 1, name="g")
    model = net.model(net.nodes[-1].output[0])

    (decision,) = plan(model)

    assert decision.kind is Kind.LIVE_NORM
    assert refusal(model) == (Reason.OPERAND_GROWS, "y")


@pytest.mark.parametrize("root", ["Sqrt", "Pow", "If"])
def test_what_a_root_of_live_statistics_scales_is_live(root: str) -> None:
    """However the root is taken, and where a flag chooses the statistics."""
    net = Net()
    x = net.input(2, 3, 4)
    spread = net.node("ReduceMean", net.node("Mul", x, x), axes=[2])
    if root == "If":
        body = Net()
        body.node("Identity", spread, out="o")
        flag = net.input(name="flag", elem_type=BOOL)
        then, other = body.graph("o"), body.graph("o", name="other")
        spread = net.node("If", flag, then_branch=then, else_branch=other)
    more = [net.store(0.5)] if root == "Pow" else []
    deviation = net.node("Pow" if more else "Sqrt", spread, *more)
    net.node("Mul", net.node("Div", x, deviation), net.weight(3, 1), out="s")
    net.node("Add", "s", net.weight(3, 1), out="y")

    (decision,) = plan(net.model("y"))

    assert decision.kind is Kind.LIVE_NORM


def test_a_batch_norm_behind_a_root_of_means_is_one_of_its_own() -> None:
    """As behind the pooling of Radenovic et al., Fine-tuning CNN Image Retrieval (2018)."""
    net = Net()
    net.node("Pow", net.input(2, 3, 4), net.store(3.0), out="p")
    net.node("GlobalAveragePool", "p", out="m")
    net.node("Pow", "m", net.store(1 / 3), out="r")
    net.batch_norm("r", 3, "y")

    (decision,) = plan(net.model("y"))

    assert decision.kind is Kind.BATCH_NORM
    assert decision.counts_for_strict


def test_strict_minds_batch_norms_and_scale_shifts_only() -> None:
    net = Net()
    x = net.input(2, 4, 4)
    net.batch_norm(x, 4, "a")
    net.node("Relu", "a", out="r")
    net.node("Mul", "r", net.weight(4, 1), out="b")
    net.node("LayerNormalization", "b", net.store(np.ones(4)), out="n")
    net.node("Mul", "n", net.weight(4), out="c")
    net.node("Tanh", "c", out="q")
    net.node("Mul", "q", net.store(0.5), out="d")

    decisions = plan(net.model("d"))

    assert [(d.name, d.counts_for_strict) for d in decisions] == [
        ("a", True),
        ("b", True),
        ("c", False),
    ]
