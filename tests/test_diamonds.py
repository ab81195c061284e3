"""Branches that part at a value and meet again, before a layer and behind one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import BOOL, TYPES, Net, assert_same_function, fold, refusal
from onnx import ModelProto

from folding import ahead, walk
from folding.plan import Folded, Kept, Reason


def norm(net: Net, x: str, channels: int = 4, out: str = "") -> str:
    """A batch norm whose scales are positive, so that it passes a maximum."""
    shift, mean = net.weight(channels), net.weight(channels)
    scale, variance = net.positive(channels), net.positive(channels)
    return net.node("BatchNormalization", x, scale, shift, mean, variance, out=out)


def conv(net: Net, x: str, inputs: int = 4, outputs: int = 4, out: str = "") -> str:
    weight, bias = net.weight(outputs, inputs, 1), net.weight(outputs)
    return net.node("Conv", x, weight, bias, out=out)


def pooled(net: Net, x: str, operator: str = "AveragePool") -> str:
    """An operator that leaves the shape alone."""
    return net.node(operator, x, kernel_shape=[2], auto_pad="SAME_UPPER")


def means(net: Net, x: str) -> str:
    return net.node("GlobalAveragePool", x)


def assert_folds(model: ModelProto, *operators: str) -> Folded:
    """All affines go, and what is left has these operators and is the same."""
    result = fold(model)
    assert all(decision.is_folded for decision in result.plan.decisions), result.plan
    assert result.operators == [*operators]
    assert_same_function(model, result.model)
    again = fold(result.model)
    assert not any(decision.is_folded for decision in again.plan.decisions)
    assert again.model.SerializeToString() == result.model.SerializeToString()
    outcome = result.plan.decisions[-1].outcome
    assert isinstance(outcome, Folded)
    return outcome


# --- downward ------------------------------------------------------------------------------------


def below(model: ModelProto) -> tuple[Reason, str]:
    """Why the only affine stays, which stands behind the input, and what is behind it."""
    result = fold(model)
    (decision,) = result.plan.decisions
    assert isinstance(decision.outcome, Kept)
    assert decision.outcome.below is not None
    assert result.model.SerializeToString() == model.SerializeToString()
    return decision.outcome.below.reason, decision.outcome.below.at


@pytest.mark.parametrize("elem_type", TYPES)
def test_slices_of_one_picture_that_are_joined_bring_its_norm_to_the_layer(elem_type: int) -> None:
    """The first layer of some detectors: a quarter of the pixels in each slice."""
    net = Net(elem_type)
    n = norm(net, net.input(2, 3, 4, 6), 3)
    ends, axes, steps = net.integers(4, 6), net.integers(2, 3), net.integers(2, 2)
    parts = [
        net.node("Slice", n, net.integers(row, column), ends, axes, steps)
        for row in (0, 1)
        for column in (0, 1)
    ]
    joined = net.node("Concat", *parts, axis=1)
    model = net.model(net.node("Conv", joined, net.weight(4, 12, 2, 2), net.weight(4)))

    assert_folds(model, *["Slice"] * 4, "Concat", "Conv")


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_two_poolings_may_be_joined_along_any_axis(axis: int, elem_type: int) -> None:
    """Along the channels there are twice as many, along another axis the same."""
    net = Net(elem_type)
    n = norm(net, net.input(2, 4, 5))
    both = net.node("Concat", pooled(net, n, "MaxPool"), pooled(net, n), axis=axis)
    model = net.model(conv(net, both, 8 if axis == 1 else 4))

    assert_folds(model, "MaxPool", "AveragePool", "Concat", "Conv")


def test_branches_that_are_both_turned_may_be_joined_along_another_axis() -> None:
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    turned = [net.node("Transpose", n, perm=[0, 2, 1]) for _ in range(2)]
    both = net.node("Concat", *turned, axis=1)
    model = net.model(net.node("Add", net.node("MatMul", both, net.weight(4, 3)), net.weight(3)))

    assert_folds(model, "Transpose", "Transpose", "Concat", "MatMul", "Add")


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean", "Max", "Min"])
def test_a_value_beside_its_own_means_carries_its_norm_on(operator: str, elem_type: int) -> None:
    """The shifts are added up; behind a Sub nothing of them is left."""
    net = Net(elem_type)
    n = norm(net, net.input(2, 4, 5))
    model = net.model(conv(net, net.node(operator, n, means(net, n))))

    assert_folds(model, "GlobalAveragePool", operator, "Conv")


def test_a_norm_may_come_to_an_operator_by_one_way_directly_and_by_another_late() -> None:
    """The operator waits for the long way, along which another affine is taken."""
    net = Net()
    n = net.node("Mul", net.input(2, 4, 5), net.weight(4, 1))
    late = n
    for _ in range(3):
        late = pooled(net, net.node("Identity", late))
    late = net.node("Add", late, net.weight(4, 1))
    model = net.model(conv(net, net.node("Sub", late, n)))

    result = fold(model)

    assert "Mul" not in result.operators
    assert_same_function(model, result.model)


def test_scales_that_meet_in_a_product_are_multiplied() -> None:
    net = Net()
    n = net.node("Mul", net.input(2, 4, 5), net.weight(4, 1))
    model = net.model(conv(net, net.node("Mul", n, means(net, n))))

    assert_folds(model, "GlobalAveragePool", "Mul", "Conv")


def test_a_constant_beside_branches_that_meet_is_divided() -> None:
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    model = net.model(conv(net, net.node("Sum", n, net.weight(4, 5), pooled(net, n))))

    assert_folds(model, "AveragePool", "Sum", "Conv")


def test_a_diamond_may_stand_in_another_one() -> None:
    net = Net()
    value = norm(net, net.input(2, 4, 5))
    for _ in range(60):
        value = net.node("Mean", value, net.node("Identity", value))
    model = net.model(conv(net, value))

    result = fold(model)

    assert result.plan.decisions[0].is_folded
    assert_same_function(model, result.model)


def test_a_shift_alone_goes_down_beside_what_does_not_carry_it() -> None:
    """What is only added is added once for each way."""
    net = Net()
    n = net.node("Sub", net.input(2, 4, 5), net.weight(4, 1))
    sums = net.node("Sum", n, "x", net.node("Identity", n))
    model = net.model(net.batch_norm(conv(net, sums), 4))

    result = fold(model)

    assert "BatchNormalization" not in result.operators
    assert_same_function(model, result.model)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean", "Max", "Min"])
def test_branches_that_carry_different_numbers_do_not_meet(operator: str) -> None:
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    other = net.node("Mul", n, net.store(2.0))
    model = net.model(conv(net, net.node(operator, n, other, out="both")))

    assert below(model) == (Reason.BRANCHES_DIFFER, "both")


def test_branches_along_different_axes_do_not_meet() -> None:
    """As many rows as columns: only the axes tell that the numbers are not the same ones."""
    net = Net()
    n = norm(net, net.input(2, 4, 4))
    turned = net.node("Transpose", n, perm=[0, 2, 1])
    for operator in ("Add", "Concat"):
        given: dict[str, Any] = {"axis": 0} if operator == "Concat" else {}
        copy = Net(nodes=[*net.nodes], inputs=net.inputs, stored={**net.stored})
        model = copy.model(conv(copy, copy.node(operator, n, turned, out="both", **given)))
        assert below(model) == (Reason.BRANCHES_DIFFER, "both")


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean", "Max", "Min", "Concat"])
def test_what_else_is_joined_must_carry_the_affine_too(operator: str) -> None:
    """Also where all but one of the branches do; along the channels a Concat keeps them apart."""
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    parts = [n, *([pooled(net, n)] if operator not in ("Add", "Sub") else []), pooled(net, "x")]
    given: dict[str, Any] = {"axis": 2} if operator == "Concat" else {}
    model = net.model(conv(net, net.node(operator, *parts, out="both", **given)))

    assert below(model) == (Reason.OTHER_BRANCH, "both")


def test_along_the_channels_other_branches_may_be_joined() -> None:
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    parts = [pooled(net, n), pooled(net, "x"), n]
    model = net.model(conv(net, net.node("Concat", *parts, axis=1), 12))

    assert_folds(model, "AveragePool", "AveragePool", "Concat", "Conv")


def test_a_shift_does_not_pass_a_product_of_two_branches() -> None:
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    model = net.model(conv(net, net.node("Mul", n, means(net, n), out="both")))

    assert below(model) == (Reason.SHIFT_BLOCKED, "both")


def test_a_layer_does_not_take_one_affine_in_by_two_inputs() -> None:
    net = Net()
    n = net.node("Mul", net.input(4, 4), net.weight(4))
    model = net.model(net.node("Gemm", n, net.weight(4, 4), net.node("Identity", n), out="both"))

    assert below(model) == (Reason.UNUSUAL_FORM, "both")


@pytest.mark.parametrize("who", ["output", "body", "reader"])
def test_a_branch_that_others_see_keeps_all(who: str) -> None:
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    arm = net.node("Identity", n, out="arm")
    y = conv(net, net.node("Mean", pooled(net, n), arm))
    model = net.model(*_seen(net, arm, who), y)

    found = {"output": Reason.GRAPH_OUTPUT, "body": Reason.CAPTURED, "reader": Reason.NO_RULE}
    assert below(model)[0] is found[who]


def _seen(net: Net, value: str, who: str) -> list[str]:
    """Let somebody else see a value; the outputs of the model that this makes."""
    if who == "output":
        return [value]
    if who == "reader":
        return [net.node("Sigmoid", value)]
    body = Net()
    body.node("Identity", value, out="o")
    graph = body.graph("o")
    condition = net.input(name="condition", elem_type=BOOL)
    return [net.node("If", condition, out="z", then_branch=graph, else_branch=graph)]


def test_a_shape_that_was_asked_of_a_branch_is_asked_of_what_it_is_now() -> None:
    net = Net()
    n = norm(net, net.input(2, 4, 5))
    arm = net.node("Identity", n)
    model = net.model(conv(net, net.node("Mean", n, arm)), net.node("Shape", arm))

    assert_folds(model, "Identity", "Mean", "Conv", "Shape")


def test_two_layers_that_need_an_add_each_get_two_of_different_names() -> None:
    """The name of the affine is free for one of them."""
    net = Net()
    n = net.node("Mul", net.input(2, 4), net.weight(4))
    n = net.node("Add", n, net.weight(4), name="norm")
    model = net.model(*(net.node("MatMul", n, net.weight(4, 3)) for _ in range(2)))

    result = fold(model)

    assert result.operators == ["MatMul", "Add", "MatMul", "Add"]
    assert [node.name for node in result.model.graph.node] == ["", "norm", "", ""]


# --- upward --------------------------------------------------------------------------------------


def scaled(net: Net, x: str, channels: int = 4) -> str:
    return net.node("Mul", x, net.weight(channels, 1), out="y")


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("operator", ["Sub", "Add", "Sum", "Mean"])
@pytest.mark.parametrize("arm", [means, pooled])
def test_a_scale_goes_up_where_all_readers_of_a_value_ask_for_it(
    arm: Callable[[Net, str], str], operator: str, elem_type: int
) -> None:
    """A layer's output beside its own means, in either order."""
    for order in (1, -1):
        net = Net(elem_type)
        h = conv(net, net.input(2, 3, 5), 3)
        scaled(net, net.node(operator, *[h, arm(net, h)][::order]))
        operators = [node.op_type for node in net.nodes[:-1]]

        assert len(assert_folds(net.model("y"), *operators).into) == 1


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("numbers", ["uniform", "repeated"])
def test_behind_two_global_poolings_a_norm_goes_up_if_it_treats_both_alike(
    numbers: str, elem_type: int
) -> None:
    net = Net(elem_type)
    h = conv(net, net.input(2, 3, 5), 3)
    both = net.node("Concat", means(net, h), net.node("GlobalMaxPool", h), axis=1)
    four = net.random.uniform(0.5, 2.0, (4, 1 if numbers == "uniform" else 4))
    parameters = [net.store(np.tile(np.broadcast_to(one, 4), 2)) for one in four]
    net.node("BatchNormalization", both, *parameters, out="y")

    assert_folds(net.model("y"), "Conv", "GlobalAveragePool", "GlobalMaxPool", "Concat")


def test_a_shape_that_was_asked_of_the_parting_value_or_a_branch_is_asked_again() -> None:
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3)
    arm = pooled(net, h)
    shapes = [net.node("Shape", value) for value in (h, arm)]
    scaled(net, net.node("Sub", arm, h))
    model = net.model("y", *shapes)

    assert_folds(model, "Conv", "AveragePool", "Shape", "Shape", "Sub")


def test_a_number_that_stays_on_a_branch_is_not_passed_unseen() -> None:
    """It stays because its own data parts; and what parts behind it is no reason to skip it."""
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    half = net.node("Div", net.node("Identity", h), net.store(2.0))
    parts = [half, net.node("Identity", h), net.node("Relu", half)]
    net.node("Mul", net.node("Concat", *parts, axis=2), net.positive(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.FORKED, "h")


def test_a_branch_may_begin_where_others_part() -> None:
    """One line goes on from the inner parting, and ends at the outer one."""
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3)
    inner = net.node("Identity", h)
    scaled(net, net.node("Mean", pooled(net, inner), inner, pooled(net, h)))
    operators = [node.op_type for node in net.nodes[:-1]]

    assert_folds(net.model("y"), *operators)


def test_values_may_part_again_on_a_branch_and_go_through_a_split() -> None:
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3)
    net.node("Split", pooled(net, h), net.integers(2, 2), out="a,b", axis=1)
    a = net.node("Sub", "a", means(net, "a"))
    whole = net.node("Concat", a, "b", axis=1)
    scaled(net, net.node("Sum", whole, h, means(net, h)))
    model = net.model("y")

    operators = [node.op_type for node in net.nodes[:-1]]
    assert_folds(model, *operators)


def test_diamonds_may_be_many_in_a_row() -> None:
    net = Net()
    value = conv(net, net.input(2, 3, 5), 3)
    for _ in range(60):
        value = net.node("Mean", value, net.node("Identity", value))
    scaled(net, value)
    model = net.model("y")

    result = fold(model)

    assert result.plan.decisions[0].is_folded
    assert_same_function(model, result.model)


def test_more_than_some_diamonds_are_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long row of them would be walked by each of many affines."""
    monkeypatch.setattr(ahead, "_MOST_FORKS", 2)
    net = Net()
    value = conv(net, net.input(2, 3, 5), 3, out="h")
    for _ in range(3):
        value = net.node("Mean", value, net.node("Identity", value))
    scaled(net, value)

    assert refusal(net.model("y")) == (Reason.TOO_MANY_WAYS, "h")


def test_more_than_some_ways_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node is named whose other ways are left."""
    net = Net()
    x = net.input(2, 4, 5)
    first = net.node("Relu", net.node("Conv", x, net.weight(4, 4, 1)))
    net.node("Add", first, net.node("Conv", x, net.weight(4, 4, 1)), out="b")
    net.batch_norm("b", 4, "y")
    net.stored["y.gamma"] = abs(net.stored["y.gamma"])
    model = net.model("y")

    monkeypatch.setattr(walk, "_MOST_TRIES", 0)
    assert refusal(model) == (Reason.TOO_MANY_WAYS, "b")
    monkeypatch.setattr(walk, "_MOST_TRIES", 1)
    assert fold(model).operators == ["Conv", "Relu", "Conv", "Add"]


def test_the_values_that_go_on_with_other_content_are_listed() -> None:
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    scaled(net, net.node("Sub", h, net.node("GlobalAveragePool", h, out="m"), out="s"))

    result = fold(net.model("y"))

    assert result.plan.changed_values == {"h": "h_folded", "m": "m_folded"}


@pytest.mark.parametrize("operator", ["Add", "Sum", "Mean"])
@pytest.mark.parametrize("half", [False, True])
def test_branches_of_a_sum_share_the_shift(operator: str, *, half: bool) -> None:
    """Else they would ask different things of the value."""
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    joined = net.node(operator, means(net, h), net.node("GlobalMaxPool", h))
    norm(net, net.node("Mul", joined, net.store(0.5)) if half else joined, out="y")

    assert_folds(net.model("y"), "Conv", "GlobalAveragePool", "GlobalMaxPool", operator)


def test_one_of_the_branches_may_be_the_value_itself() -> None:
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    net.batch_norm(net.node("Add", h, pooled(net, h)), 4, "y")

    assert_folds(net.model("y"), "Conv", "AveragePool", "Add")


def test_branches_share_what_comes_to_one_operand_of_a_sum_behind() -> None:
    """The other operand takes no shift at all, neither all of it nor a half."""
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3)
    inner = net.node("Add", means(net, h), net.node("GlobalMaxPool", h))
    other = net.node("Relu", conv(net, "x", 3))
    norm(net, net.node("Add", inner, other), out="y")

    model = net.model("y")
    assert_folds(model, "Conv", "GlobalAveragePool", "GlobalMaxPool", "Add", "Conv", "Relu", "Add")


def test_another_operand_takes_all_of_the_shift_where_there_is_one() -> None:
    """What the branches that meet ask is the scale alone, so that only its bias gets the shift."""
    net = Net()
    h = net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), out="h")
    other = net.node("Conv", "x", net.weight(4, 3, 1), out="o")
    joined = net.node("Sum", means(net, h), net.node("GlobalMaxPool", h), means(net, other))
    norm(net, joined, out="y")
    model = net.model("y")

    assert_folds(
        model, "Conv", "Conv", "GlobalAveragePool", "GlobalMaxPool", "GlobalAveragePool", "Sum"
    )
    assert [len(node.input) for node in fold(model).model.graph.node[:2]] == [2, 3]


def test_a_shift_that_the_branches_cannot_share_stays() -> None:
    """Behind a Sub equal shifts are gone."""
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    net.batch_norm(net.node("Sub", h, pooled(net, h)), 4, "y")

    assert refusal(net.model("y")) == (Reason.BRANCHES_DIFFER, "h")


def test_the_scale_alone_goes_up_where_the_shift_may_stay() -> None:
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3)
    product = net.node("Mul", net.node("Sub", h, pooled(net, h)), net.weight(4, 1))
    net.node("Add", product, net.weight(4, 1), out="y")

    outcome = assert_folds(net.model("y"), "Conv", "AveragePool", "Sub", "Add")

    assert outcome.rest is not None
    assert outcome.rest.reason is Reason.BRANCHES_DIFFER


def test_branches_that_ask_different_things_of_a_value_stay() -> None:
    """The numbers of the two halves are not the same."""
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    norm(net, net.node("Concat", means(net, h), net.node("GlobalMaxPool", h), axis=1), 8, "y")

    assert refusal(net.model("y")) == (Reason.BRANCHES_DIFFER, "h")


def test_branches_that_ask_along_different_axes_stay() -> None:
    net = Net()
    h = conv(net, net.input(2, 3, 4), 3, out="h")
    scaled(net, net.node("Add", h, net.node("Transpose", h, perm=[0, 2, 1])))

    assert refusal(net.model("y")) == (Reason.BRANCHES_DIFFER, "h")


def test_a_branch_that_is_asked_nothing_keeps_all() -> None:
    """A gate takes the scale on one side only, and half of a Concat may be left as it is."""
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    scaled(net, net.node("Mul", h, means(net, h)))
    assert refusal(net.model("y")) == (Reason.FORKED, "h")
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    both = net.node("Concat", means(net, h), net.node("GlobalMaxPool", h), axis=1)
    net.node("Mul", both, net.store([[2.0]] * 4 + [[1.0]] * 4), out="y")
    assert refusal(net.model("y")) == (Reason.FORKED, "h")


@pytest.mark.parametrize("who", ["output", "body", "reader", "carrier", "late"])
def test_a_value_that_others_see_stays_as_it_is(who: str) -> None:
    net = Net()
    h = conv(net, net.input(2, 3, 5), 3, out="h")
    aside = [net.node("Relu", h)] if who == "carrier" else []
    scaled(net, net.node("Sub", h, means(net, h)))
    if who == "late":
        aside = [net.node("Add", h, "y")]
    elif who != "carrier":
        aside = _seen(net, h, who)

    found = {"output": Reason.GRAPH_OUTPUT, "body": Reason.CAPTURED}
    assert refusal(net.model("y", *aside)) == (found.get(who, Reason.FORKED), "h")


def test_a_value_with_very_many_readers_is_not_asked_for_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each affine that comes to it looks at its readers."""
    monkeypatch.setattr(ahead, "_MOST_READERS", 3)
    for count, reason in ((3, None), (4, Reason.TOO_MANY_WAYS)):
        net = Net()
        h = conv(net, net.input(2, 3, 5), 3, out="h")
        scaled(net, net.node("Sum", *(net.node("Identity", h) for _ in range(count))))
        outcome = fold(net.model("y")).plan.decisions[0].outcome
        assert (outcome.reason if isinstance(outcome, Kept) else None) is reason


def test_where_a_way_ends_at_a_fork_another_one_is_tried() -> None:
    """The shift of the sum goes to the branch that has a layer of its own."""
    net = Net()
    x = net.input(2, 3, 5)
    h = conv(net, x, 3)
    split = net.node("Sub", h, means(net, h))
    net.batch_norm(net.node("Add", split, conv(net, x, 3)), 4, "y")
    model = net.model("y")

    assert_folds(model, "Conv", "GlobalAveragePool", "Sub", "Conv", "Add")
