"""The search: what is in the way of a fold, what is taken along, and what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import (
    BOOL,
    FLOAT,
    HALF,
    INT64,
    TYPES,
    Net,
    assert_folds_to,
    assert_same_function,
    fold,
    fold_unverified,
    plan,
    refusal,
)
from obstacles import obstacles
from onnx import GraphProto, ModelProto, checker, helper

import folding
from folding.plan import Kept, Kind, Reason


def norm_behind_conv(net: Net | None = None, x: str = "") -> Net:
    """Conv to ``v`` and a batch norm to ``y``."""
    net = net or Net()
    net.node("Conv", x or net.input(2, 3, 5), net.weight(4, 3, 3, name="w"), out="v", name="layer")
    net.batch_norm("v", 4, "y", name="norm")
    return net


def branches(net: Net, then: GraphProto, other: GraphProto, out: str = "z") -> None:
    condition = net.input(name="condition", elem_type=BOOL)
    net.node("If", condition, out=out, then_branch=then, else_branch=other)


def identity_body(value: str, out: str) -> GraphProto:
    body = Net()
    body.node("Identity", value, out=out)
    return body.graph(out)


def norm_body(value: str, prefix: str, weight: str = "") -> GraphProto:
    body = Net(seed=len(prefix))
    name = weight or body.weight(4, 3, 3, name=f"{prefix}w")
    body.node("Conv", value, name, out=f"{prefix}v")
    body.batch_norm(f"{prefix}v", 4, f"{prefix}y")
    return body.graph(f"{prefix}y")


# --- names ------------------------------------------------------------------------------------


def test_the_layer_gets_the_output_name_of_the_affine_and_keeps_its_own_name() -> None:
    result = fold(norm_behind_conv().model("y"))

    node = result.model.graph.node[0]
    assert (node.name, list(node.output)) == ("layer", ["y"])
    assert result.into("y") == ("layer",)


def test_an_affine_is_named_after_the_output_of_its_last_node() -> None:
    net = norm_behind_conv()
    net.node("Mul", "y", net.weight(4, 1), out="z")

    decisions = plan(net.model("z"))

    assert [(d.name, d.nodes) for d in decisions] == [("z", ("norm", "z"))]


def test_the_parameters_that_nobody_reads_any_more_go() -> None:
    result = fold(norm_behind_conv().model("y"))

    assert [array.shape for array in result.tensors.values()] == [(4, 3, 3), (4,)]


def test_a_new_name_clashes_with_none() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Identity", "v", out="i")
    net.batch_norm("i", 4, "y")
    net.node("Relu", "x", out="v_folded")
    net.node("Relu", "x", out="y_bias")
    model = net.model("y", "v_folded", "y_bias")

    result = fold(model)

    checker.check_model(result.model, full_check=True)
    assert_same_function(model, result.model)


def test_a_value_named_like_a_shift_is_left_alone() -> None:
    net = Net()
    x = net.input(2, 3)
    net.node("MatMul", x, net.weight(3, 4), out="y_shift")
    net.node("MatMul", x, net.weight(3, 4), out="u")
    net.batch_norm("u", 4, "y")
    net.batch_norm("y_shift", 4, "z")
    model = net.model("y", "z")

    result = fold(model)

    assert [d.is_folded for d in result.plan.decisions] == [True, True]
    assert_same_function(model, result.model)


def test_only_values_of_the_source_are_listed_as_changed() -> None:
    net = Net()
    net.node("MatMul", net.input(2, 5, 3), net.weight(3, 4), out="v")
    net.node("Transpose", "v", out="w", perm=[0, 2, 1])
    net.batch_norm("w", 4, "y")

    result = fold(net.model("y"))

    assert set(result.plan.changed_values) <= {"v", "w"}


def test_the_new_names_of_changed_values_are_in_the_folded_model() -> None:
    net = Net()
    net.node("MatMul", net.input(2, 5, 3), net.weight(3, 4), out="v")
    net.node("Transpose", "v", out="w", perm=[0, 2, 1])
    net.batch_norm("w", 4, "y")

    result = fold(net.model("y"))

    made = {name for node in result.model.graph.node for name in node.output}
    assert set(result.plan.changed_values.values()) <= made
    assert "v" not in made


# --- guards -----------------------------------------------------------------------------------


def test_an_affine_on_a_graph_input_stays() -> None:
    net = Net()
    net.batch_norm(net.input(2, 4, 3), 4, "y")

    assert refusal(net.model("y")) == (Reason.GRAPH_INPUT, "x")


def test_a_value_that_is_a_graph_output_stays() -> None:
    model = norm_behind_conv().model("v", "y")

    assert refusal(model) == (Reason.GRAPH_OUTPUT, "v")


def test_a_value_that_is_used_elsewhere_stays() -> None:
    net = norm_behind_conv()
    net.node("Relu", "v", out="z")

    assert refusal(net.model("y", "z")) == (Reason.FORKED, "v")


def test_a_fork_further_up_the_way_stays() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Identity", "v", out="w")
    net.batch_norm("w", 4, "y")
    net.node("Relu", "v", out="z")

    assert refusal(net.model("y", "z")) == (Reason.FORKED, "v")


def test_a_value_that_one_node_reads_twice_stays() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Sub", "v", "v", out="w")
    net.batch_norm("w", 4, "y")

    assert refusal(net.model("y")) == (Reason.UNUSUAL_FORM, "w")


def test_a_value_that_a_body_reads_stays() -> None:
    net = norm_behind_conv()
    branches(net, identity_body("v", "a"), identity_body("y", "b"))
    model = net.model("z", "y")

    assert refusal(model) == (Reason.CAPTURED, "v")


def test_a_value_that_only_a_body_inside_a_body_reads_stays() -> None:
    inner = Net()
    inner.node(
        "If",
        "condition",
        out="i",
        then_branch=identity_body("v", "a"),
        else_branch=identity_body("y", "b"),
    )
    net = norm_behind_conv()
    branches(net, inner.graph("i"), identity_body("y", "c"))

    assert refusal(net.model("z", "y")) == (Reason.CAPTURED, "v")


def test_an_affine_in_a_body_on_a_value_from_outside_stays() -> None:
    body = Net()
    body.batch_norm("v", 4, "b")
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    branches(net, body.graph("b"), identity_body("v", "o"))

    assert refusal(net.model("z")) == (Reason.OUTER_VALUE, "v")


def test_an_affine_on_stored_data_stays() -> None:
    net = Net()
    net.batch_norm(net.weight(2, 4, 3, name="data"), 4, "n")
    net.node("Add", "n", net.input(2, 4, 3), out="y")

    assert refusal(net.model("y")) == (Reason.OUTER_VALUE, "data")


@pytest.mark.parametrize("reader", ["Shape", "Size"])
def test_who_only_asks_for_the_shape_is_pointed_to_the_new_value(reader: str) -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Transpose", "v", out="w", perm=[0, 2, 1])
    net.node("Mul", "w", net.weight(4), out="a")
    net.node("Add", "a", net.weight(4), out="y")
    for place, value in enumerate(("v", "w", "a", "y")):
        net.node(reader, value, out=f"s{place}")

    assert_folds_to(net.model("y", "s0", "s1", "s2", "s3"), "Conv", "Transpose", *[reader] * 4)


def test_a_shape_between_a_matmul_and_its_new_add_is_pointed_right() -> None:
    net = Net()
    net.node("MatMul", net.input(2, 3, 5), net.weight(5, 4), out="v")
    net.node("Shape", "v", out="s0")
    net.node("Mul", "v", net.weight(4), out="a")
    net.node("Shape", "a", out="s1")
    net.node("Sub", "a", net.weight(4), out="y")
    model = net.model("y", "s0", "s1")

    result = fold(model)

    assert result.operators.count("Mul") == 0
    assert_same_function(model, result.model)


def test_a_size_of_another_domain_sees_the_values() -> None:
    imports = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Neg", ["a"], ["b"])]
    function = helper.make_function("my", "Size", ["a"], ["b"], body, imports)
    net = norm_behind_conv()
    net.node("Size", "v", out="s", domain="my")

    assert refusal(net.model("y", "s", functions=[function])) == (Reason.FORKED, "v")


def test_a_layer_of_another_domain_takes_nothing_in() -> None:
    function = helper.make_function(
        "somewhere",
        "Conv",
        ["a", "b"],
        ["c"],
        [helper.make_node("Conv", ["a", "b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )
    net = Net()
    weight = net.weight(4, 3, 3)
    net.node("Conv", net.input(2, 3, 5), weight, out="v", domain="somewhere", name="custom")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y", functions=[function])) == (Reason.CUSTOM_OPERATOR, "custom")


def test_an_affine_inside_a_function_is_looked_at_like_any_other() -> None:
    body = [
        helper.make_node("Constant", [], ["s"], value_float=2.0),
        helper.make_node("BatchNormalization", ["a", "g", "g", "g", "g"], ["b"]),
    ]
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("my", "Norm", ["a", "g"], ["b"], body, imports)
    net = Net()
    net.node("Norm", net.input(2, 4, 3), net.positive(4), out="y", domain="my")

    assert refusal(net.model("y", functions=[function])) == (Reason.GRAPH_INPUT, "x")


@pytest.mark.parametrize("operator", ["Elu", "Sigmoid", "Softmax", "Tanh"])
def test_no_affine_passes_an_operator_without_a_rule(operator: str) -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node(operator, "v", out="w", name="wall")
    net.batch_norm("w", 4, "y")

    assert refusal(net.model("y")) == (Reason.NO_RULE, "wall")


def test_affines_along_different_axes_do_not_compose() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Add", "v", net.weight(3), out="a", name="add")
    net.node("Mul", "a", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.OTHER_AXIS, "add")


def test_an_affine_behind_one_that_stays_stays_too() -> None:
    """A shift does not go into a scale."""
    net = Net()
    x = net.input(2, 4, 3)
    net.node("Mul", x, net.weight(4, 1), out="a")
    net.node("Identity", "a", out="i")
    net.batch_norm("i", 4, "y")

    result = fold(net.model("y"))

    assert result.kept("a") == (Reason.GRAPH_INPUT, "x")
    assert result.kept("y") == (Reason.BEHIND_KEPT, "a")


def test_an_affine_whose_parameters_are_bad_keeps_the_one_behind_it() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Mul", "v", net.store([[1.0], [np.inf], [1.0], [1.0]], "bad"), out="a")
    net.node("Identity", "a", out="i")
    net.batch_norm("i", 4, "y")

    result = fold_unverified(net.model("y"))

    assert result.kept("a") == (Reason.NOT_FINITE, "bad")
    assert result.kept("y") == (Reason.BEHIND_KEPT, "a")


# --- sharing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["Conv", "MatMul", "Gemm"])
def test_a_shared_weight_is_copied_and_the_other_layer_keeps_it(operator: str) -> None:
    net = Net()
    if operator == "Conv":
        net.input(2, 3, 5)
        net.weight(4, 3, 3, name="w")
    else:
        net.input(2, 3)
        net.weight(3, 4, name="w")
    net.node(operator, "x", "w", out="v")
    net.batch_norm("v", 4, "y")
    net.node(operator, "x", "w", out="z")
    model = net.model("y", "z")
    before = net.stored["w"]

    result = fold(model)

    np.testing.assert_array_equal(result.tensors["w"], before)
    assert result.model.graph.node[0].input[1] != "w"
    assert result.model.graph.node[-1].input[1] == "w"
    assert_same_function(model, result.model)


def test_two_layers_with_one_weight_both_fold() -> None:
    net = Net()
    net.input(2, 3, 5)
    net.weight(4, 3, 3, name="w")
    net.node("Conv", "x", "w", out="v")
    net.batch_norm("v", 4, "y")
    net.node("Conv", "x", "w", out="u")
    net.batch_norm("u", 4, "z")

    assert_folds_to(net.model("y", "z"), "Conv", "Conv")


def test_a_weight_that_is_also_a_graph_output_is_copied() -> None:
    net = norm_behind_conv()
    model = net.model("y", "w")

    result = fold(model)

    assert result.operators == ["Conv"]
    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    assert_same_function(model, result.model)


def test_a_weight_that_a_body_reads_too_is_copied() -> None:
    body = Net()
    body.node("Conv", "x", "w", out="b")
    net = norm_behind_conv()
    branches(net, body.graph("b"), identity_body("y", "o"))
    model = net.model("z", "y")

    result = fold(model)

    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    assert_same_function(model, result.model)


def test_a_shared_bias_is_copied() -> None:
    net = Net()
    net.input(2, 3, 5)
    net.weight(4, name="b")
    net.node("Conv", "x", net.weight(4, 3, 3), "b", out="v")
    net.batch_norm("v", 4, "y")
    net.node("Conv", "x", net.weight(4, 3, 3), "b", out="z")
    model = net.model("y", "z")

    result = fold(model)

    np.testing.assert_array_equal(result.tensors["b"], net.stored["b"])
    assert_same_function(model, result.model)


def test_two_norms_may_share_their_parameters() -> None:
    net = Net()
    net.input(2, 3, 5)
    names = [net.positive(4) for _ in range(4)]
    for prefix in "ab":
        net.node("Conv", "x", net.weight(4, 3, 3), out=f"{prefix}v")
        net.node("BatchNormalization", f"{prefix}v", *names, out=f"{prefix}y")
    model = net.model("ay", "by")

    result = fold(model)

    assert result.operators == ["Conv", "Conv"]
    assert not set(names) & set(result.tensors)
    assert_same_function(model, result.model)


def test_parameters_that_another_node_reads_stay() -> None:
    net = norm_behind_conv()
    net.node("Relu", "y.mean", out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert "y.mean" in result.tensors
    assert_same_function(model, result.model)


def test_a_norm_whose_beta_is_the_bias_of_its_layer_folds() -> None:
    net = Net()
    both = net.weight(4)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), both, out="v")
    net.node(
        "BatchNormalization", "v", net.weight(4), both, net.weight(4), net.positive(4), out="y"
    )

    assert_folds_to(net.model("y"), "Conv")


def test_a_mask_may_be_read_by_what_a_fold_takes_away() -> None:
    net = Net()
    x = net.input(2, 4, 3)
    net.node("Dropout", net.node("Conv", x, net.weight(4, 4, 1)), out="v,mask")
    net.batch_norm("v", 4, "y")
    size = net.node("Cast", net.node("Size", "mask"), to=FLOAT)
    scale = net.node("Div", net.weight(4, 1), size)
    net.node("Mul", net.node("Conv", x, net.weight(4, 4, 1)), scale, out="z")

    result = fold(net.model("y", "z"))

    assert result.operators == ["Conv", "Dropout", "Conv"]


# --- several affines --------------------------------------------------------------------------


@pytest.mark.parametrize("elem_type", TYPES)
def test_two_affines_on_one_layer_both_fold(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.batch_norm("v", 4, "a")
    net.node("Identity", "a", out="i")
    net.batch_norm("i", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert result.names == ["a", "y"]
    assert result.operators == ["Conv", "Identity"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_bias_before_a_carrier_is_taken_along(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Add", "v", net.weight(4, 1), out="b")
    net.node("Transpose", "b", out="w", perm=[0, 2, 1])
    net.node("Mul", "w", net.weight(4), out="y")

    assert_folds_to(net.model("y"), "Conv", "Transpose")


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_second_affine_folds_over_the_add_that_a_first_one_left(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("MatMul", net.input(2, 3, 5), net.weight(5, 4), out="v")
    net.node("Add", "v", net.weight(4), out="a")
    net.node("Mul", "a", net.weight(4), out="b")
    net.node("Transpose", "b", out="c", perm=[0, 2, 1])
    net.node("Mul", "c", net.weight(4, 1), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add", "Transpose")


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_second_affine_folds_over_an_add_that_a_first_one_made(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("MatMul", net.input(2, 3, 5), net.weight(5, 4), out="v")
    net.node("Mul", "v", net.weight(4), out="a")
    net.node("Sub", "a", net.weight(4), out="b")
    net.node("Transpose", "b", out="c", perm=[0, 2, 1])
    net.batch_norm("c", 4, "y")

    assert_folds_to(net.model("y"), "MatMul", "Add", "Transpose")


def test_a_scalar_on_the_way_is_taken_along_and_listed() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Mul", "v", net.store(0.5), out="a")
    net.node("Add", "a", net.store(1.0), out="b")
    net.node("Identity", "b", out="i")
    net.batch_norm("i", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert [(d.name, d.kind) for d in result.plan.decisions] == [
        ("b", Kind.SCALAR),
        ("y", Kind.BATCH_NORM),
    ]
    assert result.operators == ["Conv", "Identity"]
    assert_same_function(model, result.model)


def test_three_branches_fold_each_for_itself() -> None:
    net = Net()
    net.input(2, 3, 5)
    for prefix in "abc":
        net.node("Conv", "x", net.weight(4, 3, 3), out=f"{prefix}v")
        net.batch_norm(f"{prefix}v", 4, f"{prefix}y")
    net.node("Add", "ay", "by", out="s")
    net.node("Add", "s", "cy", out="y")

    assert_folds_to(net.model("y"), "Conv", "Conv", "Conv", "Add", "Add")


@pytest.mark.parametrize("elem_type", TYPES)
def test_affines_fold_over_all_the_carriers_that_earlier_folds_left(elem_type: int) -> None:
    net = Net(elem_type)
    x = net.node("Conv", net.input(2, 3, 4), net.weight(4, 3, 2))
    for _ in range(3):
        x = net.node("Mul", net.node("Transpose", x, perm=[0, 2, 1]), net.weight(4))
        x = net.node("Transpose", net.node("Identity", x), perm=[0, 2, 1])
    x = net.node("Mul", x, net.weight())
    model = net.model(net.batch_norm(net.node("Identity", x), 4, "y"))

    result = fold(model)

    assert set(result.operators) == {"Conv", "Transpose", "Identity"}
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_first_shift_is_put_before_the_carriers_that_earlier_folds_left(elem_type: int) -> None:
    net = Net(elem_type)
    x = net.node("MatMul", net.input(2, 5, 3), net.weight(3, 4))
    for _ in range(2):
        x = net.node("Transpose", net.node("Mul", x, net.weight(4)), perm=[0, 2, 1])
        x = net.node("Transpose", net.node("Identity", x), perm=[0, 2, 1])
    net.batch_norm(net.node("Transpose", x, perm=[0, 2, 1]), 4, "a")
    net.batch_norm(net.node("Identity", "a"), 4, "y")
    model = net.model("y")

    result = fold(model)

    kinds = ["MatMul", "Add", *["Transpose", "Identity", "Transpose"] * 2, "Transpose", "Identity"]
    assert result.operators == kinds
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_affines_that_stay_are_taken_along_by_one_that_folds(elem_type: int) -> None:
    net = Net(elem_type)
    x, weight = net.input(2, 3, 5), net.weight(4, 3, 3)
    net.node("Conv", x, weight, out="other")
    net.node("Conv", x, weight, out="v")
    value = "v"
    for number in range(3):
        scaled = net.node("Mul", value, net.weight(), out=f"s{number}")
        value = net.node("Identity", scaled)
    net.batch_norm(value, 4, "y")
    model = net.model("other", "y")

    result = fold(model)

    assert result.names == ["s0", "s1", "s2", "y"]
    assert result.operators == ["Conv", "Conv", *["Identity"] * 3]
    assert_same_function(model, result.model)


def test_a_scale_that_is_computed_from_the_shape_of_its_data_folds() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Cast", net.node("Size", "v"), out="size", to=FLOAT)
    net.node("Mul", "v", net.node("Div", net.weight(4, 1), "size"), out="y")

    assert_folds_to(net.model("y"), "Conv")


def test_an_affine_stays_where_a_type_is_rounded_whatever_others_stay_before_it() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    value = net.node("Cast", "v", name="narrow", to=HALF)
    scaled = net.node("Mul", value, net.weight(4, 1, elem_type=HALF))
    value = net.node("Mul", net.node("Identity", scaled), net.weight(4, 1, elem_type=HALF))
    value = net.node("Add", value, net.weight(4, 1, elem_type=HALF))

    decisions = plan(net.model(net.node("Identity", value)))

    assert len(decisions) == 2
    for decision in decisions:
        assert isinstance(decision.outcome, Kept)
        assert (decision.outcome.reason, decision.outcome.at) == (Reason.CAST_ROUNDS, "narrow")


def test_what_went_over_an_affine_is_decided_again_when_that_one_folds() -> None:
    net = Net()
    x, weight = net.input(2, 3, 5), net.weight(4, 3, 3)
    number = {value: net.store(value) for value in (0.5, 1, 1.5, 2)}
    net.node("Conv", x, weight, out="v")
    net.node("Identity", net.node("Mul", "v", number[2], out="a"), out="i0")
    net.node("Add", net.node("Mul", "i0", number[2]), number[1], out="b")
    net.node("Mul", net.node("Identity", "b"), number[1.5], out="c")
    # Only here the shift is gone, for which the layer has no room.
    net.node("Sub", net.node("Identity", "c"), number[1.5], out="d")
    net.node("Mul", "d", number[0.5], out="y")
    net.batch_norm(net.node("Conv", x, weight), 4, "z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.names == ["a", "b", "c", "y", "z"]
    assert result.operators == ["Conv", *["Identity"] * 3, "Conv"]
    assert_same_function(model, result.model)


def test_a_shift_that_a_fold_cancels_is_no_hindrance_to_the_next() -> None:
    net = Net()
    ones = net.store([1, 1, 1, 1])
    x = net.node("MatMul", net.input(2, 3), net.weight(3, 4))
    x = net.node("Add", net.node("Mul", x, net.store([1, 2, 3, 4])), ones)
    x = net.node("Mul", net.node("Sub", net.node("Identity", x), ones), net.weight(4))
    net.batch_norm(net.node("Identity", x), 4, "y")
    model = net.model("y")

    result = fold(model)

    assert sorted(result.operators) == ["Add", "Identity", "Identity", "MatMul"]
    assert_same_function(model, result.model)


# --- where the weight is ----------------------------------------------------------------------


def test_a_weight_in_a_constant_node_becomes_an_initializer() -> None:
    net = Net()
    value = helper.make_tensor("w", FLOAT, [4, 3, 3], np.linspace(-1, 2, 36))
    net.node("Constant", out="w", value=value)
    net.node("Conv", net.input(2, 3, 5), "w", out="v")
    net.batch_norm("v", 4, "y")

    assert_folds_to(net.model("y"), "Conv")


def test_a_constant_node_that_others_read_stays() -> None:
    net = Net()
    value = helper.make_tensor("w", FLOAT, [4, 3, 3], np.linspace(-1, 2, 36))
    net.node("Constant", out="w", value=value)
    net.node("Conv", net.input(2, 3, 5), "w", out="v")
    net.batch_norm("v", 4, "y")
    net.node("Relu", "w", out="z")

    assert_folds_to(net.model("y", "z"), "Constant", "Conv", "Relu")


@pytest.mark.parametrize("elem_type", [FLOAT, HALF])
def test_weights_of_other_types_keep_their_type(elem_type: int) -> None:
    model = norm_behind_conv(Net(elem_type)).model("y")

    result = fold(model)

    assert {t.data_type for t in result.model.graph.initializer} == {elem_type}
    assert_same_function(model, result.model)


# --- IR 3 -------------------------------------------------------------------------------------


def assert_same_signature(one: ModelProto, other: ModelProto) -> None:
    assert list(one.graph.input) == list(other.graph.input)
    assert list(one.graph.output) == list(other.graph.output)
    inputs = {value.name for value in other.graph.input}
    assert {tensor.name for tensor in other.graph.initializer} <= inputs


def test_below_ir_4_a_model_folds_and_keeps_its_signature() -> None:
    model = norm_behind_conv(Net(opset=9, ir_version=3)).model("y")

    result = fold(model)

    assert result.operators == ["Conv"]
    assert_same_signature(model, result.model)
    assert_same_function(model, result.model)


def test_below_ir_4_a_copy_that_finds_no_free_name_is_a_constant_node() -> None:
    net = norm_behind_conv(Net(opset=9, ir_version=3))
    net.node("Conv", "x", "w", out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert sorted(result.operators) == ["Constant", "Conv", "Conv"]
    assert_same_signature(model, result.model)
    assert_same_function(model, result.model)


def left_matmul() -> Net:
    net = Net(opset=9, ir_version=3)
    net.node("MatMul", net.weight(4, 3), net.input(2, 3, 5), out="v")
    net.batch_norm("v", 4, "y")
    return net


def shared_parameters() -> Net:
    net = norm_behind_conv(Net(opset=9, ir_version=3))
    net.node("Conv", "x", "w", out="u")
    net.node("Relu", "u", out="r")
    parameters = [f"y.{name}" for name in ("gamma", "beta", "mean", "var")]
    net.node("BatchNormalization", "r", *parameters, out="z")
    return net


@pytest.mark.parametrize("make", [left_matmul, shared_parameters])
def test_below_ir_4_nodes_do_not_increase_either(make: Callable[[], Net]) -> None:
    net = make()
    model = net.model("y", "z") if make is shared_parameters else net.model("y")

    result = fold(model)

    assert len(result.operators) <= len(model.graph.node)
    assert_same_signature(model, result.model)
    assert_same_function(model, result.model)


def test_below_ir_4_a_fold_makes_room_for_one_before_it_and_those_behind_that() -> None:
    net = Net(ir_version=3, opset=9)
    x, weight = net.input(2, 3, 5), net.weight(4, 3, 3)
    shared = [net.weight(4), net.weight(4), net.weight(4), net.positive(4)]
    net.node("BatchNormalization", net.node("Conv", x, weight), *shared, out="a")
    net.batch_norm(net.node("Identity", "a"), 4, "b")
    net.batch_norm(net.node("Conv", x, weight), 4, "c")
    net.node("BatchNormalization", net.node("Relu", "c"), *shared, out="d")
    model = net.model("b", "d")

    result = fold(model)

    assert [d.name for d in result.plan.decisions if d.is_folded] == ["a", "b", "c"]
    assert_same_function(model, result.model)


def test_below_ir_4_a_new_tensor_takes_the_first_name_that_is_free() -> None:
    net = Net(ir_version=3, opset=9)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v", name="layer")
    names = [net.weight(4, name=name) for name in ("r", "p", "s")]
    net.node("BatchNormalization", "v", *names, net.positive(4, name="q"), out="y")

    result = fold(net.model("y"))

    assert result.model.graph.node[0].input[2] == "p"


# --- bodies -----------------------------------------------------------------------------------


def test_affines_inside_bodies_fold() -> None:
    net = Net()
    x = net.input(2, 3, 5)
    branches(net, norm_body(x, "a"), norm_body(x, "bb"))
    model = net.model("z")

    result = fold(model)

    assert sorted(result.names) == ["ay", "bby"]
    assert [d.is_folded for d in result.plan.decisions] == [True, True]
    assert_same_function(model, result.model)


def test_a_fold_in_the_main_graph_and_one_in_a_body_both_happen() -> None:
    net = norm_behind_conv()
    branches(net, norm_body("x", "a"), identity_body("y", "o"))
    model = net.model("z", "y")

    result = fold(model)

    bodies = [a.g for a in result.model.graph.node[-1].attribute if a.g.node]
    kinds = sorted(node.op_type for body in bodies for node in body.node)
    assert result.operators == ["Conv", "If"]
    assert kinds == ["Conv", "Identity"]
    assert_same_function(model, result.model)


def test_a_weight_from_outside_is_changed_in_the_body() -> None:
    net = Net()
    x = net.input(2, 3, 5)
    net.weight(4, 3, 3, name="w")
    branches(net, norm_body(x, "a", "w"), norm_body(x, "bb", "w"))
    model = net.model("z")

    result = fold(model)

    assert "w" not in result.tensors
    assert all(decision.is_folded for decision in result.plan.decisions)
    assert_same_function(model, result.model)


# --- what may not change ----------------------------------------------------------------------


def decorated() -> ModelProto:
    net = norm_behind_conv()
    net.node("Relu", "y", out="z")
    net.node("Conv", "z", net.weight(2, 4, 1, name="untouched"), out="q")
    model = net.model("q")
    model.doc_string = "a model"
    model.producer_name = "somebody"
    model.metadata_props.add(key="k", value="v")
    model.graph.doc_string = "a graph"
    for node in model.graph.node:
        node.doc_string = f"the {node.op_type}"
    for name in ("v", "y", "z"):
        info = helper.make_tensor_value_info(name, FLOAT, [2, 4, 3])
        info.doc_string = name
        model.graph.value_info.append(info)
    return model


def test_what_no_fold_touched_is_there_byte_for_byte() -> None:
    model = decorated()

    result = fold(model)

    def rest(m: ModelProto) -> list[bytes]:
        nodes = {n.output[0]: n for n in m.graph.node}
        tensors = {t.name: t for t in m.graph.initializer}
        kept = (nodes["z"], nodes["q"], tensors["untouched"], *m.metadata_props, *m.opset_import)
        return [message.SerializeToString() for message in kept]

    assert rest(result.model) == rest(model)
    assert result.model.doc_string == model.doc_string
    assert result.model.graph.doc_string == model.graph.doc_string


def test_what_is_said_of_a_value_that_is_gone_goes_and_the_rest_stays() -> None:
    result = fold(decorated())

    assert [value.name for value in result.model.graph.value_info] == ["y", "z"]


def test_what_is_said_of_a_constant_that_a_fold_takes_away_goes() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Mul", "v", net.node("Sqrt", net.positive(4, 1), out="scale"), out="y")
    model = net.model("y")
    model.graph.value_info.append(helper.make_tensor_value_info("scale", FLOAT, [4, 1]))

    assert not fold(model).model.graph.value_info


def test_what_is_said_of_a_changed_value_goes_with_its_new_name() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Identity", "v", out="i")
    net.batch_norm("i", 4, "y")
    model = net.model("y")
    model.graph.value_info.append(helper.make_tensor_value_info("v", FLOAT, [2, 4, 3]))

    result = fold(model)

    new = result.plan.changed_values["v"]
    assert [value.name for value in result.model.graph.value_info] == [new]


def test_a_quantization_annotation_of_a_changed_tensor_goes_with_a_warning() -> None:
    model = norm_behind_conv().model("y")
    model.graph.quantization_annotation.add(tensor_name="w")
    model.graph.quantization_annotation.add(tensor_name="x")

    result = fold(model)

    assert [a.tensor_name for a in result.model.graph.quantization_annotation] == ["x"]
    assert [(w.code, w.at) for w in result.plan.warnings] == [
        ("QUANTIZATION_ANNOTATION_DROPPED", "w")
    ]


def test_false_claims_about_shapes_are_not_believed() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 6, 4), net.weight(4, 3, 3, 1), out="v")
    net.node("Mul", "v", net.weight(4), out="y")
    model = net.model("y")
    model.graph.value_info.append(helper.make_tensor_value_info("v", FLOAT, [2, 1, 1, 4]))

    decisions = plan(model)

    assert [d.is_folded for d in decisions] == [False]


def test_the_model_that_was_given_is_not_changed() -> None:
    model = decorated()
    before = model.SerializeToString()

    folding.fold_model(model)

    assert model.SerializeToString() == before


def test_a_model_without_affines_comes_back_byte_for_byte() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Relu", "v", out="y")
    model = net.model("y")

    result = fold(model)

    assert result.model.SerializeToString() == model.SerializeToString()
    assert result.plan.decisions == []


# --- every reason -----------------------------------------------------------------------------


def _named_axes() -> ModelProto:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 5), out="v")
    axes = net.input(1, name="axes", elem_type=INT64)
    net.node("Slice", "v", net.integers(0), net.integers(2), axes, out="i")
    net.batch_norm("i", 4, "y")
    return net.model("y")


def _weight_of_integers() -> ModelProto:
    net = norm_behind_conv()
    model = net.model("y")
    weight = helper.make_tensor("w", 3, [4, 3, 3], np.ones(36, np.int8))
    model.graph.initializer[0].CopyFrom(weight)
    return model


def _scale(net: Net, values: Any, elem_type: int | None = None) -> ModelProto:
    net.node("Mul", "v", net.store(np.reshape(values, (4, 1)), "s", elem_type), out="y")
    return net.model("y")


def _conv(elem_type: int = FLOAT, weight: Any = None, *more: Any, **given: Any) -> Net:
    net = Net(elem_type)
    stored = net.weight(4, 3, 3, name="w") if weight is None else net.store(weight, "w")
    net.node("Conv", net.input(2, 3, 5), stored, out="v", **given)
    return net


def _range(net: Net, name: str) -> str:
    net.node("Range", net.store(0.0), net.store(4.0), net.store(1.0), out="r")
    return net.node("Reshape", "r", net.integers(4, 1), out=name)


def norm(net: Net | None = None, **given: Any) -> ModelProto:
    """A batch norm behind a Conv, or behind the value ``v`` of a net."""
    net = net or _conv()
    net.batch_norm("v", 4, "y", **given)
    return net.model("y")


def bad_affines() -> dict[Reason, ModelProto]:
    """Models whose affine itself is the obstacle."""
    found: dict[Reason, ModelProto] = {}
    found[Reason.TRAINING_MODE] = norm(training_mode=1)
    net = _conv()
    names = net.weight(4), net.weight(4), net.input(4, name="mean"), net.positive(4)
    net.node("BatchNormalization", "v", *names, out="y")
    found[Reason.LIVE_STATISTICS] = net.model("y")
    net = Net(opset=8, ir_version=3)
    found[Reason.PER_POSITION] = norm(norm_behind(net), spatial=0)
    net = _conv()
    net.batch_norm("v", 4, "y")
    net.input(4, name="y.mean")
    found[Reason.OVERRIDABLE] = net.model("y")
    net = _conv()
    names = net.input(4, name="gamma"), net.weight(4), net.weight(4), net.positive(4)
    net.node("BatchNormalization", "v", *names, out="y")
    found[Reason.RUNTIME_PARAMETER] = net.model("y")
    net = _conv()
    net.node("Mul", "v", _range(net, "s"), out="y")
    found[Reason.TOO_COMPLEX] = net.model("y")
    net = Net()
    net.node("Mul", net.input("n", "c"), net.weight(4), out="y")
    found[Reason.AXIS_UNCERTAIN] = net.model("y")
    net = _conv()
    net.batch_norm("v", 3, "y")
    found[Reason.BAD_PARAMETERS] = net.model("y")
    net = _conv()
    bad = net.store([-1.0] * 4)
    net.node("BatchNormalization", "v", bad, bad, bad, bad, out="y")
    found[Reason.BAD_VARIANCE] = net.model("y")
    found[Reason.NOT_FINITE] = _scale(_conv(), [1, 2, 3, np.nan])
    return found


def bad_ways() -> dict[Reason, ModelProto]:
    """Models with an obstacle on the way to the layer."""
    found: dict[Reason, ModelProto] = {}
    imports = [helper.make_opsetid("", 17)]
    net = norm_behind(Net(opset=6, ir_version=3))
    net.node("Mul", "v", net.weight(4), out="y", broadcast=1, axis=1)
    found[Reason.OLD_OPSET] = net.model("y")
    net = Net()
    net.batch_norm(net.input(2, 4, 3), 4, "y")
    found[Reason.GRAPH_INPUT] = net.model("y")
    net = Net()
    net.batch_norm(net.weight(2, 4, 3), 4, "y")
    found[Reason.OUTER_VALUE] = net.model("y")
    found[Reason.GRAPH_OUTPUT] = norm_behind_conv().model("v", "y")
    net = norm_behind_conv()
    branches(net, identity_body("v", "a"), identity_body("y", "b"))
    found[Reason.CAPTURED] = net.model("z")
    net = norm_behind_conv()
    net.node("Relu", "v", out="z")
    found[Reason.FORKED] = net.model("y", "z")
    same = [helper.make_node("Conv", ["a", "b"], ["c"])]
    function = helper.make_function("my", "Layer", ["a", "b"], ["c"], same, imports)
    net = Net()
    net.node("Layer", net.input(2, 3, 5), net.weight(4, 3, 3), out="v", domain="my")
    net.batch_norm("v", 4, "y")
    found[Reason.CUSTOM_OPERATOR] = net.model("y", functions=[function])
    net = _conv()
    net.node("Relu", "v", out="r")
    net.batch_norm("r", 4, "y")
    found[Reason.NO_RULE] = net.model("y")
    net = _conv()
    net.node("Add", "v", net.weight(3), out="a")
    net.node("Mul", "a", net.weight(4, 1), out="y")
    found[Reason.OTHER_AXIS] = net.model("y")
    net = _conv()
    net.node("Cast", "v", out="c", to=HALF)
    net.node("Mul", "c", net.weight(4, 1, elem_type=HALF), out="y")
    found[Reason.CAST_ROUNDS] = net.model("y")
    net = _conv()
    net.node("Dropout", "v", "", net.input(name="t", elem_type=BOOL), out="d")
    net.batch_norm("d", 4, "y")
    found[Reason.DROPOUT_ACTIVE] = net.model("y")
    return found


def bad_layers() -> dict[Reason, ModelProto]:
    """Models whose layer is the obstacle."""
    found: dict[Reason, ModelProto] = {}
    net = Net()
    net.node("Mul", net.input(2, 4, 3), net.weight(4, 1), out="a")
    net.node("Identity", "a", out="i")
    net.batch_norm("i", 4, "y")
    found[Reason.BEHIND_KEPT] = net.model("y")
    net = Net()
    net.weight(4, 3, 3, name="aw")
    branches(net, norm_body(net.input(2, 3, 5), "a"), identity_body("x", "o"))
    found[Reason.HIDDEN_NAME] = net.model("z", "aw")
    found[Reason.MISSING_AXES] = _named_axes()
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.input(4, 3, 3, name="w"), out="v")
    found[Reason.RUNTIME_WEIGHT] = norm(net)
    net = Net()
    net.node("MatMul", net.input(2, 3), net.input(3, 4, name="w"), out="v")
    found[Reason.RUNTIME_OPERANDS] = norm(net)
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), net.input(4, name="b"), out="v")
    found[Reason.RUNTIME_BIAS] = norm(net)
    found[Reason.WEIGHT_TYPE] = _weight_of_integers()
    net = Net()
    net.node("Conv", net.input(2, 3, 4), net.weight(4, 3, 1), out="v")
    net.node("Mul", "v", net.weight(4), out="y")
    found[Reason.NOT_OUTPUT_CHANNELS] = net.model("y")
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), net.weight(1), out="v")
    found[Reason.BAD_LAYER] = norm(net)
    found[Reason.OLD_IR] = left_matmul().model("y")
    net = Net()
    net.node("Conv", net.input(2, 30, 9), net.weight(40, 30, 3, name="large"), out="v")
    net.batch_norm("v", 40, "y")
    net.node("Conv", "x", "large", out="z")
    found[Reason.COPIES] = net.model("y", "z")
    found[Reason.OVERFLOW] = _scale(_conv(HALF, np.full((4, 3, 3), 300)), [1, 2, 3, 300])
    found[Reason.UNDERFLOW] = _scale(_conv(HALF, np.full((4, 3, 3), 1e-3)), [1, 2, 3, 1e-3])
    return found


def norm_behind(net: Net) -> Net:
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    return net


#: Those that have a test of their own: of runs, of functions, and of what the user asks for.
ELSEWHERE = {
    Reason.FAILED_ITS_RUN,
    Reason.IN_FUNCTION,
    Reason.ASKED_TO_KEEP,
    Reason.COMPUTED_COPIES,
    Reason.COPIES,
}


@pytest.mark.parametrize("reason", [r for r in Reason if r not in ELSEWHERE])
def test_every_reason_of_the_planner_is_given_to_some_model(reason: Reason) -> None:
    model = (bad_affines() | bad_ways() | bad_layers() | obstacles())[reason]

    result = fold_unverified(model)

    outcome = result.decision(result.names[-1]).outcome
    assert isinstance(outcome, Kept)
    assert reason in (outcome.reason, outcome.below and outcome.below.reason)
