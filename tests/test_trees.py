"""Affines that travel: several layers at once, downward, and the scale alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from graphs import (
    TYPES,
    Net,
    assert_folds_to,
    assert_same_function,
    distance,
    feed_for,
    fold,
    refusal,
    run,
)
from onnx import ModelProto

from folding.plan import Folded, Kept, Reason


def conv(net: Net, x: str, inputs: int, outputs: int, *, bias: bool = True, **given: Any) -> str:
    more = [net.weight(outputs)] if bias else []
    return net.node("Conv", x, net.weight(outputs, inputs, 2), *more, **given)


def folded_to(model: ModelProto, *operators: str) -> Folded:
    """The outcome of the only affine, after all was folded to these operators."""
    result = fold(model)
    assert result.operators == [*operators]
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()
    outcome = result.plan.decisions[-1].outcome
    assert isinstance(outcome, Folded)
    return outcome


# --- upward, into several layers -----------------------------------------------------------------


@pytest.mark.parametrize("elem_type", TYPES)
def test_behind_a_concat_each_branch_takes_its_channels(elem_type: int) -> None:
    net = Net(elem_type)
    x = net.input(2, 3, 5)
    both = net.node("Concat", conv(net, x, 3, 4), conv(net, x, 3, 2, bias=False), axis=1)
    net.batch_norm(both, 6, "y")

    outcome = folded_to(net.model("y"), "Conv", "Conv", "Concat")

    assert len(outcome.into) == 2


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
def test_behind_a_sum_all_branches_take_the_scale_and_one_the_shift(
    operator: str, elem_type: int
) -> None:
    net = Net(elem_type)
    x = net.input(2, 3, 5)
    both = net.node(operator, conv(net, x, 3, 4), conv(net, x, 3, 4))
    net.batch_norm(both, 4, "y")

    folded_to(net.model("y"), "Conv", "Conv", operator)


def test_the_shift_goes_where_it_can() -> None:
    """A Relu lets no shift pass, so the other branch takes it."""
    net = Net()
    x = net.input(2, 3, 5)
    left, right = net.node("Relu", conv(net, x, 3, 4)), conv(net, x, 3, 4)
    net.node("Mul", net.node("Add", left, right), net.positive(4, 1), out="s")
    net.node("Add", "s", net.weight(4, 1), out="y")

    folded_to(net.model("y"), "Conv", "Relu", "Conv", "Add")


def test_where_no_branch_takes_the_shift_nothing_but_the_scale_goes() -> None:
    net = Net()
    x = net.input(2, 3, 5)
    left, right = (net.node("Relu", conv(net, x, 3, 4)) for _ in range(2))
    net.node("Mul", net.node("Add", left, right), net.positive(4, 1), out="s")
    net.node("Add", "s", net.weight(4, 1), out="y")

    outcome = folded_to(net.model("y"), "Conv", "Relu", "Conv", "Relu", "Add", "Add")

    assert outcome.rest is not None
    assert outcome.rest.reason is Reason.SHIFT_BLOCKED


def test_one_branch_that_cannot_take_it_keeps_all() -> None:
    """Folded into one branch alone the sum would be another."""
    net = Net()
    x = net.input(2, 4, 5)
    both = net.node("Add", net.node("Conv", x, net.weight(4, 4, 1)), net.node("Sigmoid", x))
    net.batch_norm(both, 4, "y")

    assert refusal(net.model("y")) == (Reason.NO_RULE, "sigmoid1")


def test_trees_may_be_deep() -> None:
    """Sums of sums, each behind another operator, and the same value twice."""
    net = Net()
    x = net.input(2, 3, 5)
    value = conv(net, x, 3, 4)
    for number in range(1200):
        other = net.node("Identity", conv(net, x, 3, 4)) if number % 40 == 0 else value
        value = net.node("Add", value, other)
        value = net.node("Mul", value, net.store(0.5)) if other == value else value
    net.batch_norm(net.node("Identity", value), 4, "y")
    model = net.model("y")

    result = fold(model)

    assert result.plan.decisions[-1].is_folded
    assert "BatchNormalization" not in result.operators


def test_a_constant_branch_takes_its_part() -> None:
    net = Net()
    table = net.weight(4, 4)
    both = net.node("Add", conv(net, net.input(2, 3, 5), 3, 4), table)
    net.batch_norm(both, 4, "y")

    folded_to(net.model("y"), "Conv", "Add")


def test_a_gate_takes_the_scale_on_one_side() -> None:
    """Squeeze and excite: the scale goes into the branch that has the channels."""
    net = Net()
    x = net.input(2, 3, 5)
    value = conv(net, x, 3, 4)
    gate = net.node("Sigmoid", net.node("GlobalAveragePool", conv(net, x, 3, 4)))
    net.node("Mul", net.node("Mul", value, gate), net.weight(4, 1), out="y")

    folded_to(net.model("y"), "Conv", "Conv", "GlobalAveragePool", "Sigmoid", "Mul")


def test_a_part_of_a_split_is_scaled_for_itself() -> None:
    net = Net()
    value = conv(net, net.input(2, 3, 5), 3, 6)
    net.node("Split", value, net.integers(2, 4), out="a,b", axis=1)
    net.batch_norm("b", 4, "y")
    model = net.model("y", "a")

    folded_to(model, "Conv", "Split")


# --- downward ------------------------------------------------------------------------------------

LAYERS: dict[str, tuple[Callable[[Net, str], str], list[str]]] = {
    "Conv": (lambda net, x: conv(net, x, 4, 3), ["Conv"]),
    "grouped Conv": (
        lambda net, x: net.node("Conv", x, net.weight(6, 2, 2), group=2),
        ["Conv"],
    ),
    "MatMul": (lambda net, x: net.node("MatMul", net.weight(3, 4), x), ["MatMul", "Add"]),
    "MatMul with a bias": (
        lambda net, x: net.node("Add", net.node("MatMul", net.weight(3, 4), x), net.weight(3, 1)),
        ["MatMul", "Add"],
    ),
    "behind carriers": (
        lambda net, x: conv(net, net.node("MaxPool", x, kernel_shape=[2]), 4, 3),
        ["MaxPool", "Conv"],
    ),
}


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_an_affine_of_the_input_goes_down_into_a_layer(name: str, elem_type: int) -> None:
    net = Net(elem_type)
    layer, operators = LAYERS[name]
    net.node("Mul", net.input(2, 4, 5), net.positive(4, 1), out="s")
    net.node("Add", "s", net.weight(4, 1), out="n")
    net.node("Identity", layer(net, "n"), out="y")

    folded_to(net.model("y"), *operators, "Identity")


def test_all_readers_take_it_or_none() -> None:
    net = Net()
    n = net.batch_norm(net.input(2, 4, 5), 4)
    one, other = conv(net, n, 4, 3), net.node("AveragePool", n, kernel_shape=[2])
    model = net.model(one, conv(net, other, 4, 2, bias=False))

    outcome = folded_to(model, "Conv", "AveragePool", "Conv")

    assert len(outcome.into) == 2


def test_one_reader_that_cannot_take_it_keeps_all() -> None:
    net = Net()
    n = net.batch_norm(net.input(2, 4, 5), 4, "n")
    model = net.model(conv(net, n, 4, 3), net.node("Sigmoid", n, name="wall"))

    result = fold(model)

    outcome = result.decision("n").outcome
    assert isinstance(outcome, Kept)
    assert (outcome.reason, outcome.at) == (Reason.GRAPH_INPUT, "x")
    assert outcome.below is not None
    assert (outcome.below.reason, outcome.below.at) == (Reason.NO_RULE, "wall")
    assert "behind it, no rule lets an affine pass this operator (Sigmoid 'wall')" in str(outcome)


@pytest.mark.parametrize("who", ["output", "body"])
def test_a_value_that_others_see_stays(who: str) -> None:
    net = Net()
    n = net.batch_norm(net.input(2, 4, 5), 4, "n")
    y = conv(net, n, 4, 3)
    model = net.model(y, "n") if who == "output" else net.model(y)
    if who == "body":
        model = _with_branches(net, y)

    outcome = fold(model).decision("n").outcome

    assert isinstance(outcome, Kept)
    assert outcome.below is not None
    wanted = Reason.GRAPH_OUTPUT if who == "output" else Reason.CAPTURED
    assert outcome.below.reason is wanted


def _with_branches(net: Net, y: str) -> ModelProto:
    body = Net()
    body.node("Identity", "n", out="o")
    graph = body.graph("o")
    condition = net.input(name="condition", elem_type=9)
    net.node("If", condition, out="z", then_branch=graph, else_branch=graph)
    return net.model(y, "z")


def test_what_is_before_it_may_be_read_by_others() -> None:
    net = Net()
    x = net.input(2, 4, 5)
    n = net.batch_norm(x, 4)
    model = net.model(conv(net, n, 4, 3), net.node("Sigmoid", x))

    folded_to(model, "Conv", "Sigmoid")


def test_an_affine_on_the_way_down_is_taken_along() -> None:
    net = Net()
    n = net.node("Identity", net.batch_norm(net.input(2, 4, 5), 4))
    model = net.model(conv(net, net.batch_norm(n, 4), 4, 3))

    result = fold(model)

    assert result.operators == ["Identity", "Conv"]
    assert [d.is_folded for d in result.plan.decisions] == [True, True]
    assert_same_function(model, result.model)


def test_a_layer_takes_one_affine_at_its_input_and_one_at_its_output() -> None:
    net = Net()
    n = net.batch_norm(net.input(2, 4, 5), 4)

    assert_folds_to(net.model(net.batch_norm(conv(net, n, 4, 3), 3)), "Conv")


def test_a_shape_that_was_asked_of_it_is_asked_of_the_value_before() -> None:
    net = Net()
    n = net.batch_norm(net.input(2, 4, 5), 4)
    model = net.model(conv(net, n, 4, 3), net.node("Shape", n))

    folded_to(model, "Conv", "Shape")


# --- the scale alone -----------------------------------------------------------------------------


def spelled(net: Net, x: str, out: str, *, positive: bool = True) -> str:
    scale = net.positive(4, 1) if positive else net.weight(4, 1)
    return net.node("Add", net.node("Mul", x, scale), net.weight(4, 1), out=out)


@pytest.mark.parametrize("elem_type", TYPES)
def test_behind_a_relu_the_shift_stays(elem_type: int) -> None:
    net = Net(elem_type)
    spelled(net, net.node("Relu", conv(net, net.input(2, 3, 5), 3, 4)), "y")

    outcome = folded_to(net.model("y"), "Conv", "Relu", "Add")

    assert outcome.rest is not None
    assert (outcome.rest.reason, outcome.rest.operator) == (Reason.SHIFT_BLOCKED, "Relu")


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("order", ["Mul, Add", "Sub, Mul", "Sub, Div, Add"])
def test_before_a_padding_layer_the_shift_stays(order: str, elem_type: int) -> None:
    net = Net(elem_type)
    value = net.input(2, 4, 5)
    for operator in order.split(", "):
        value = net.node(operator, value, net.positive(4, 1))
    net.node("Conv", value, net.weight(3, 4, 3), pads=[1, 1], out="y")

    outcome = folded_to(net.model("y"), "Add", "Conv")

    assert outcome.rest is not None
    assert outcome.rest.below is not None
    assert outcome.rest.below.reason is Reason.PADS_ZEROS


def test_a_zero_scale_cannot_be_undone_for_the_shift_before_it() -> None:
    net = Net()
    net.node("Mul", net.input(2, 4, 5), net.store([[1.0], [0.0], [2.0], [3.0]]), out="s")
    net.node("Add", "s", net.weight(4, 1), out="n")
    net.node("Conv", "n", net.weight(3, 4, 3), pads=[1, 1], out="y")

    assert refusal(net.model("y")) == (Reason.GRAPH_INPUT, "x")


def test_a_single_node_saves_nothing_and_stays() -> None:
    net = Net()
    net.batch_norm(net.node("Relu", conv(net, net.input(2, 3, 5), 3, 4)), 4, "y")

    assert refusal(net.model("y")) == (Reason.SHIFT_BLOCKED, "relu1")


def test_a_negative_scale_does_not_pass_a_relu() -> None:
    net = Net()
    spelled(net, net.node("Relu", conv(net, net.input(2, 3, 5), 3, 4)), "y", positive=False)

    assert refusal(net.model("y"))[0] in (Reason.SHIFT_BLOCKED, Reason.NEGATIVE_SCALE)


def test_what_stays_is_a_bias_and_no_affine_any_more() -> None:
    net = Net()
    spelled(net, net.node("Relu", conv(net, net.input(2, 3, 5), 3, 4)), "y")
    first = fold(net.model("y"))

    assert first.plan.counts["partial"] == 1
    assert fold(first.model).plan.decisions == []


def test_nodes_never_become_more() -> None:
    """Two products without a bias would need an Add each for one batch norm."""
    net = Net()
    n = net.batch_norm(net.input(2, 4), 4, "n")
    model = net.model(*(net.node("MatMul", n, net.weight(4, 3)) for _ in range(2)))

    outcome = fold(model).decision("n").outcome

    assert isinstance(outcome, Kept)
    assert outcome.below is not None
    assert outcome.below.reason is Reason.MORE_NODES


def test_the_report_says_what_stayed_and_why() -> None:
    net = Net()
    spelled(net, net.node("Relu", conv(net, net.input(2, 3, 5), 3, 4), out="r"), "y")

    said = fold(net.model("y")).decision("y").to_dict()

    assert (said["outcome"], said["reason"], said["at"]) == ("partial", "SHIFT_BLOCKED", "r")
    assert said["into"] == ["conv0"]
    assert said["below"] == {"reason": "GRAPH_OUTPUT", "at": "y", "at_operator": ""}
    assert said["nodes"] == ["mul2", "y"]


# --- in bodies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["in the body", "outside"])
def test_in_a_loop_the_state_has_no_shape_but_the_weight_has(where: str) -> None:
    """The state may change its shape with every turn; a Conv gives the rank of its weight."""
    net, body = Net(), Net()
    body.input(name="turn", elem_type=7)
    body.input(name="go", elem_type=9)
    body.input(2, 4, 5, name="state")
    holder = body if where == "in the body" else net
    holder.weight(4, 4, 1, name="w")
    body.node("Conv", "state", "w", out="m")
    body.batch_norm("m", 4, out="n")
    body.node("Identity", "go", out="on")
    graph = body.graph("on", "n")
    for value, kind in zip(graph.output, (9, 1), strict=True):
        value.type.tensor_type.elem_type = kind
    turns = net.integers(3)
    net.node("Loop", turns, "", net.input(2, 4, 5), out="y", body=graph)
    model = net.model("y")

    result = fold(model)

    assert [d.is_folded for d in result.plan.decisions] == [True]
    before, after = (run(m, feed_for(model))[0] for m in (model, result.model))
    assert distance(before, after) < 2e-5


def test_a_shape_that_was_asked_of_what_is_taken_along_is_asked_of_what_is_left() -> None:
    net = Net()
    first = net.node("Identity", net.batch_norm(net.input(2, 4, 5), 4))
    second = net.batch_norm(first, 4)

    assert_folds_to(
        net.model(conv(net, second, 4, 3), net.node("Shape", second)), "Identity", "Conv", "Shape"
    )
