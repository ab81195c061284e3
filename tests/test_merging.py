"""Affines that go into others, where neither comes to a layer."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, HALF, TYPES, Net, assert_same_function, fold
from onnx import ModelProto, checker, helper

import folding
from folding.plan import Folded, Kept, Reason

NEGATIVE = "negative"


def merged(model: ModelProto, *operators: str) -> list[Folded | Kept]:
    """The outcomes, after all was folded to these operators and folding changes nothing more."""
    result = fold(model)
    assert result.operators == [*operators]
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()
    return [decision.outcome for decision in result.plan.decisions]


def pooled(net: Net, value: str) -> str:
    return net.node("MaxPool", value, kernel_shape=[2])


def ended(net: Net, value: str) -> ModelProto:
    """What nothing passes, at the end of a model."""
    net.node("Sigmoid", value, out="y")
    return net.model("y")


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_batch_norm_that_stays_takes_in_what_is_behind(elem_type: int) -> None:
    net = Net(elem_type)
    a = net.batch_norm(net.input(2, 4, 5), 4, "a")
    scaled = net.node("Mul", pooled(net, a), net.positive(4, 1))
    model = ended(net, net.node("Add", scaled, net.weight(4, 1), out="b"))

    first, second = merged(model, "BatchNormalization", "MaxPool", "Sigmoid")

    assert isinstance(first, Kept)
    assert isinstance(second, Folded)
    assert second.operator == "BatchNormalization"


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("second", ["Add", "Sub"])
@pytest.mark.parametrize("first", ["Mul", "Div"])
def test_so_do_the_steps_of_arithmetic(first: str, second: str, elem_type: int) -> None:
    net = Net(elem_type)
    step = net.node(first, net.input(2, 4, 5), net.weight(4, 1))
    step = net.node(second, step, net.weight(4, 1), out="a")
    turned = net.node("Transpose", step, perm=[0, 2, 1])
    scaled = net.node("Mul", turned, net.weight(4))
    model = ended(net, net.node("Add", scaled, net.weight(4), out="b"))

    merged(model, first, second, "Transpose", "Sigmoid")


def test_a_scale_goes_into_a_scale_alone() -> None:
    net = Net()
    a = net.node("Mul", net.input(2, 4, 5), net.weight(4, 1), out="a")
    model = ended(net, net.node("Mul", pooled(net, a), net.positive(4, 1), out="b"))

    merged(model, "Mul", "MaxPool", "Sigmoid")


def test_a_number_grows_to_take_in_channels() -> None:
    net = Net()
    a = net.node("Mul", net.input(2, 4, 5), net.store(0.5), out="a")
    model = ended(net, net.node("Mul", pooled(net, a), net.positive(4, 1), out="b"))

    merged(model, "Mul", "MaxPool", "Sigmoid")


@pytest.mark.parametrize("scale", [0.0, 1.5])
@pytest.mark.parametrize("operator", ["Identity", "Abs"])
def test_a_scale_goes_into_zero_which_stays_zero(operator: str, scale: float) -> None:
    """The values behind have new names, and nothing else than the zero says why."""
    net = Net()
    a = net.node("Mul", net.input(2, 4, 5), net.store(0.0), out="a")
    passed = net.node(operator, a)
    scaled = net.node("Mul", passed, net.store([[scale]] * 3 + [[0.5]]), out="b")

    merged(ended(net, scaled), "Mul", operator, "Sigmoid")


def test_a_number_goes_into_a_batch_norm() -> None:
    net = Net()
    a = net.batch_norm(net.input(2, 4, 5), 4, "a")
    model = ended(net, net.node("Mul", pooled(net, a), net.store(0.5), out="b"))

    merged(model, "BatchNormalization", "MaxPool", "Sigmoid")


def test_the_gamma_and_beta_of_live_statistics_take_it_in() -> None:
    net = Net()
    x = net.input(2, 4, 5)
    apart = net.node("Sub", x, net.node("ReduceMean", x, axes=[2]))
    scaled = net.node("Mul", apart, net.weight(4, 1))
    live = net.node("Add", scaled, net.weight(4, 1), out="a")
    model = ended(net, net.batch_norm(net.node("Transpose", live, perm=[0, 1, 2]), 4, "b"))

    merged(model, "ReduceMean", "Sub", "Mul", "Add", "Transpose", "Sigmoid")


@pytest.mark.parametrize("count", [2, 5])
def test_several_go_into_the_same_one(count: int) -> None:
    """Each changes the numbers that the one before it left."""
    net = Net()
    value = net.batch_norm(net.input(2, 4, 12), 4, "a")
    for number in range(count):
        scaled = net.node("Mul", pooled(net, value), net.positive(4, 1))
        value = net.node("Add", scaled, net.weight(4, 1), out=f"b{number}")

    merged(ended(net, value), "BatchNormalization", *["MaxPool"] * count, "Sigmoid")


def test_what_shares_its_parameters_keeps_its_own() -> None:
    net = Net()
    x = net.input(2, 4, 5)
    names = [net.weight(4), net.weight(4), net.weight(4), net.positive(4)]
    one, other = (net.node("BatchNormalization", x, *names, out=out) for out in "ab")
    scaled = net.node("Mul", pooled(net, one), net.positive(4, 1), out="c")
    net.node("Sigmoid", scaled, out="y")
    net.node("Sigmoid", other, out="z")

    result = fold(model := net.model("y", "z"))

    assert result.operators == ["BatchNormalization"] * 2 + ["MaxPool"] + ["Sigmoid"] * 2
    assert_same_function(model, result.model)


def test_both_branches_of_a_sum_take_the_scale() -> None:
    net = Net()
    x = net.input(2, 4, 5)
    one, other = (net.batch_norm(x, 4, out) for out in "ab")
    both = net.node("Add", net.node("Identity", one), net.node("Identity", other))
    norms = ["BatchNormalization"] * 2

    merged(
        ended(net, net.batch_norm(both, 4, "c")), *norms, "Identity", "Identity", "Add", "Sigmoid"
    )


def test_a_layer_beside_takes_its_part() -> None:
    net = Net()
    x = net.input(2, 4, 5)
    norm = net.node("Identity", net.batch_norm(x, 4, "a"))
    both = net.node("Add", norm, net.node("Conv", x, net.weight(4, 4, 1)))
    model = ended(net, net.batch_norm(both, 4, "b"))

    merged(model, "BatchNormalization", "Identity", "Conv", "Add", "Sigmoid")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_others_may_be_composed_with_is_not_once_it_has_changed(count: int) -> None:
    """Behind a conversion all are composed, and stop at it; then each goes into the first."""
    net = Net(DOUBLE)
    wide = net.node("Cast", net.input(2, 4, 12, elem_type=FLOAT), to=DOUBLE)
    value = net.batch_norm(wide, 4, "a")
    for number in range(count):
        scaled = net.node("Mul", pooled(net, value), net.positive(4, 1))
        value = net.node("Add", scaled, net.weight(4, 1), out=f"b{number}")

    outcomes = merged(
        ended(net, value), "Cast", "BatchNormalization", *["MaxPool"] * count, "Sigmoid"
    )

    assert [isinstance(outcome, Folded) for outcome in outcomes] == [False] + [True] * count


def test_what_goes_into_one_goes_no_further_with_it() -> None:
    """The third goes into the second, which cannot go into the first."""
    net = Net()
    a = net.batch_norm(net.input(2, 4, 9), 4, "a")
    rooted = net.node("Sqrt", net.node("Abs", a))
    b = net.batch_norm(rooted, 4, "b")
    model = ended(net, net.node("Mul", pooled(net, b), net.positive(4, 1), out="c"))

    outcomes = merged(
        model, "BatchNormalization", "Abs", "Sqrt", "BatchNormalization", "MaxPool", "Sigmoid"
    )

    assert [isinstance(outcome, Folded) for outcome in outcomes] == [False, False, True]


# --- what has other numbers then -----------------------------------------------------------------


@pytest.mark.parametrize("elem_type", TYPES)
def test_one_whose_scales_are_positive_then_goes_on_to_a_layer(elem_type: int) -> None:
    net = Net(elem_type)
    conv = net.node("Conv", net.input(2, 4, 6), net.weight(3, 4, 1))
    a = net.batch_norm(pooled(net, conv), 3, "a")
    net.stored["a.gamma"] = -np.abs(net.stored["a.gamma"])
    scale = net.store(-np.abs(net.stored[net.weight(3, 1)]))
    model = ended(net, net.node("Mul", net.node("Identity", a), scale, out="b"))

    outcomes = merged(model, "Conv", "MaxPool", "Identity", "Sigmoid")

    assert all(isinstance(outcome, Folded) for outcome in outcomes)


def test_one_that_is_uniform_then_goes_on_to_layers_of_any_axis() -> None:
    net = Net()
    x = net.input(2, 4, 3)
    both = net.node("Add", *(net.node("MatMul", x, net.weight(3, 5)) for _ in range(2)))
    scale = np.array([[0.5], [2.0], [4.0], [0.25]])
    a = net.node("Mul", both, net.store(scale), out="a")
    passed = net.node("Identity", a)
    model = ended(net, net.node("Div", passed, net.store(2 * scale), out="b"))

    merged(model, "MatMul", "MatMul", "Add", "Identity", "Sigmoid")


def test_one_goes_down_where_another_axis_was_in_the_way() -> None:
    net = Net()
    a = net.batch_norm(net.input(2, 4, 5), 4, "a")
    tiled = net.node("Tile", a, net.integers(1, 1, 2))
    b = net.node("Mul", net.node("Mul", tiled, net.store(1.5)), net.store([0.5] * 10), out="b")
    net.node("Conv", b, net.weight(6, 4, 1), out="y")

    merged(net.model("y"), "Tile", "Conv")


def test_a_number_that_has_grown_is_worth_a_copy() -> None:
    """A mere number goes only where it needs none."""
    net = Net()
    x, weight = net.input(2, 4, 6), net.weight(4, 4, 1)
    net.node("Conv", net.node("Sigmoid", x), weight, out="z")
    pool = pooled(net, net.node("Conv", x, weight))
    a = net.node("Mul", pool, net.store(-0.5), out="a")
    net.store([[-0.5], [-2.0], [-3.0], [-1.0]], NEGATIVE)
    net.node("Mul", net.node("Identity", a), NEGATIVE, out="y")

    merged(net.model("y", "z"), "Sigmoid", "Conv", "Conv", "MaxPool", "Identity")


def test_its_value_has_the_name_that_it_got_when_others_went_into_it() -> None:
    """Between the layer and what went into the affine there is but one new value each."""
    net = Net(elem_type=DOUBLE)
    conv = net.node("Conv", net.input(2, 4, 6), net.weight(3, 4, 1), out="conv")
    a = net.node("Mul", net.node("MaxPool", conv, kernel_shape=[2], out="pool"), NEGATIVE, out="a")
    b = net.node("Mul", net.node("Identity", a, out="passed"), NEGATIVE, out="b")
    net.store([[-0.5], [-2.0], [-3.0]], NEGATIVE)
    model = ended(net, b)

    result = fold(model)

    assert result.plan.changed_values == {"conv": "conv_folded", "a": "a_folded"}
    assert [node.output[0] for node in result.model.graph.node] == [
        "conv_folded",
        "a_folded",
        "b",
        "y",
    ]


def test_what_follows_knows_its_channels_whether_a_constant_has_grown_or_not() -> None:
    net = Net()
    scaled = net.node("Mul", net.input("n", 1, 6), net.weight(1, 2, 1))
    wide = net.node("Unsqueeze", scaled, net.integers(0))
    norm = net.node("Identity", net.node("Sigmoid", net.batch_norm(wide, 2, "a"), out="c"))
    net.stored["a.beta"][:] = net.stored["a.mean"][:] = 0
    model = ended(net, net.node("Mul", norm, net.weight(1, 2, 1, 1), out="b"))

    result = fold(model)

    assert result.operators == ["Mul", "Unsqueeze", "Sigmoid", "Identity", "Mul", "Sigmoid"]
    assert result.kept("b") == fold(result.model).kept("b") == (Reason.NO_RULE, "c")


def test_a_tensor_that_is_an_input_too_grows_under_another_name() -> None:
    """A mere number goes into it first, for which it has room."""
    net = Net(ir_version=3, opset=9)
    a = net.node("Mul", net.input("n", 4, 5), net.weight(2, 1, 1), out="a")
    b = net.node("Mul", net.node("Identity", a), net.store(0.5), out="b")
    net.node("Mul", net.node("Identity", b), net.weight(4, 1), out="y")

    merged(model := net.model("y"), "Constant", "Mul", "Identity", "Identity")
    checker.check_model(fold(model).model, full_check=True)


# --- what stays ----------------------------------------------------------------------------------


def stays(model: ModelProto, name: str = "b") -> tuple[Reason, str]:
    """The reason and culprit of an affine, where nothing at all was folded."""
    result = fold(model)
    assert result.model.SerializeToString() == model.SerializeToString()
    return result.kept(name)


@pytest.mark.parametrize("first", ["Mul", "BatchNormalization"])
def test_one_of_another_axis_stays(first: str) -> None:
    net = Net()
    x = net.input(2, 4, 5)
    is_norm = first == "BatchNormalization"
    a = net.batch_norm(x, 4, "a") if is_norm else net.node("Mul", x, net.weight(4, 1), out="a")
    model = ended(net, net.node("Mul", net.node("Identity", a), net.positive(5), out="b"))

    assert stays(model) == (Reason.BEHIND_KEPT, "a")


def test_a_number_does_not_grow_along_another_axis_than_its_affine() -> None:
    net = Net()
    scaled = net.node("Mul", net.input(2, 4, 5), net.weight(4, 1))
    a = net.node("Add", scaled, net.store(0.5), out="a")
    model = ended(net, net.node("Mul", net.node("Identity", a), net.positive(5), out="b"))

    assert stays(model) == (Reason.BEHIND_KEPT, "a")


def test_a_number_that_has_grown_takes_in_the_same_axis_alone() -> None:
    net = Net()
    a = net.node("Mul", net.input(2, 4, 5), net.store(0.5), out="a")
    b = net.node("Mul", net.node("Identity", a), net.positive(4, 1), out="b")
    model = ended(net, net.node("Mul", net.node("Identity", b), net.positive(5), out="c"))

    merged(model, "Mul", "Identity", "Identity", "Mul", "Sigmoid")


def test_a_shift_does_not_go_into_a_scale() -> None:
    net = Net()
    a = net.node("Mul", net.input(2, 4, 5), net.weight(4, 1), out="a")
    model = ended(net, net.batch_norm(net.node("Identity", a), 4, "b"))

    assert stays(model) == (Reason.BEHIND_KEPT, "a")


def test_a_negated_value_takes_nothing_in() -> None:
    net = Net()
    a = net.node("Add", net.node("Neg", net.input(2, 4, 5)), net.weight(4, 1), out="a")
    model = ended(net, net.node("Mul", net.node("Identity", a), net.positive(4, 1), out="b"))

    assert stays(model) == (Reason.BEHIND_KEPT, "a")


def test_what_others_see_does_not_change() -> None:
    net = Net()
    a = net.batch_norm(net.input(2, 4, 5), 4, "a")
    model = ended(net, net.node("Mul", pooled(net, a), net.positive(4, 1), out="b"))
    net.node("Sigmoid", "a", out="z")

    assert stays(net.model("y", "z")) == (Reason.FORKED, "a")
    assert stays(_with_output(model)) == (Reason.GRAPH_OUTPUT, "a")


def _with_output(model: ModelProto) -> ModelProto:
    shaped = helper.make_tensor_value_info("a", FLOAT, [2, 4, 5])
    model.graph.output.append(shaped)
    return model


def test_numbers_that_overflow_are_not_merged() -> None:
    net = Net(HALF)
    a = net.batch_norm(net.input(2, 4, 5), 4, "a")
    net.stored["a.gamma"][:] = 300
    model = ended(net, net.node("Mul", pooled(net, a), net.store([[300.0]] * 4), out="b"))

    assert stays(model) == (Reason.OVERFLOW, "a.gamma")


def test_what_was_asked_to_be_kept_is_not_changed() -> None:
    net = Net()
    a = net.batch_norm(net.input(2, 4, 5), 4, "a")
    model = ended(net, net.node("Mul", pooled(net, a), net.positive(4, 1), out="b"))

    kept, report = folding.fold_model(model, keep=["a"])

    assert kept.SerializeToString() == model.SerializeToString()
    assert [d.is_folded for d in report.plan.decisions] == [False, False]
