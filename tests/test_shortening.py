"""Affines that stay, in as few of their own nodes as hold them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, HALF, TYPES, Net, assert_same_function, fold, refusal
from onnx import ModelProto, helper, numpy_helper

import folding
from folding.plan import Folded, Reason
from folding.read_back import plan_from

CHANNELS = 4
EPSILON = 1e-5


def step(net: Net, value: str, operator: str) -> str:
    """One more affine along the channels; ``Minus`` is a constant minus the value."""
    if operator == "BatchNormalization":
        return net.batch_norm(value, CHANNELS)
    if operator == "Neg":
        return net.node("Neg", value)
    constant = net.weight(CHANNELS, 1)
    pair = [constant, value] if operator == "Minus" else [value, constant]
    return net.node("Sub" if operator == "Minus" else operator, *pair)


def begun(net: Net) -> str:
    """What no affine goes into, above."""
    return net.node("Sigmoid", net.input(2, CHANNELS, 5), out="a")


def ended(net: Net, value: str, *others: str) -> ModelProto:
    """What none passes, below."""
    net.node("Sigmoid", value, out="y")
    return net.model("y", *others)


def between(net: Net, *operators: str) -> ModelProto:
    value = begun(net)
    for operator in operators:
        value = step(net, value, operator)
    return ended(net, value)


def assert_shortened(model: ModelProto, *operators: str) -> Folded:
    """The only affine stays in these nodes, and folding changes nothing more; its outcome."""
    result = fold(model)
    assert result.operators == ["Sigmoid", *operators, "Sigmoid"]
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()
    (decision,) = result.plan.decisions
    assert isinstance(decision.outcome, Folded)
    assert decision.outcome.stays
    assert decision.outcome.operator == operators[0]
    return decision.outcome


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("BatchNormalization BatchNormalization", "BatchNormalization"),
        ("BatchNormalization Mul Add", "BatchNormalization"),
        ("Mul Add BatchNormalization", "BatchNormalization"),
        ("Sub BatchNormalization Neg BatchNormalization", "BatchNormalization"),
        ("Mul Add Mul Add", "Mul Add"),
        ("Add Mul Add Mul", "Mul Add"),
        ("Sub Div Sub Div Sub", "Div Sub"),
        ("Add Sub Mul", "Sub Mul"),
        ("Add Mul Div", "Add Mul"),
        ("Add Minus Neg Mul", "Sub Mul"),
        ("Mul Mul Minus", "Mul Sub"),
        ("Minus Add", "Sub"),
        ("Mul Neg Div", "Mul"),
        ("Neg Div Div", "Div"),
    ],
)
def test_a_run_between_what_none_passes_becomes_as_short_as_it_can(
    before: str, after: str, elem_type: int
) -> None:
    model = between(Net(elem_type), *before.split())

    outcome = assert_shortened(model, *after.split())

    assert outcome.rest is not None
    assert (outcome.rest.reason, outcome.rest.at) == (Reason.NO_RULE, "a")


@pytest.mark.parametrize("operators", ["Mul Add", "Add Mul", "Neg Add", "Mul Minus", "Minus Mul"])
def test_what_is_as_short_as_it_can_be_stays_as_it_is(operators: str) -> None:
    assert refusal(between(Net(), *operators.split()))[0] is Reason.NO_RULE


def affine_of(net: Net, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of a BatchNormalization, by its definition."""
    gamma, beta, mean, var = (net.stored[f"{prefix}.{n}"] for n in ("gamma", "beta", "mean", "var"))
    scale = gamma / np.sqrt(var + np.float64(np.float32(EPSILON)))
    return scale, beta - mean * scale


def test_the_first_batch_norm_takes_in_what_is_behind_with_its_own_mean() -> None:
    net = Net(DOUBLE)
    value = net.batch_norm(net.batch_norm(begun(net), CHANNELS, "b"), CHANNELS, "c")
    scale, shift = affine_of(net, "c")

    found = fold(ended(net, value)).tensors

    np.testing.assert_allclose(found["b.gamma"], net.stored["b.gamma"] * scale, rtol=1e-15)
    np.testing.assert_allclose(found["b.beta"], net.stored["b.beta"] * scale + shift, rtol=1e-14)
    np.testing.assert_array_equal(found["b.mean"], net.stored["b.mean"])
    np.testing.assert_array_equal(found["b.var"], net.stored["b.var"])
    assert "c.gamma" not in found


def test_behind_others_a_batch_norm_has_no_mean() -> None:
    net = Net(DOUBLE)
    factor = net.weight(CHANNELS, 1)
    value = net.batch_norm(net.node("Mul", begun(net), factor), CHANNELS, "c")
    shift = affine_of(net, "c")[1]

    found = fold(ended(net, value)).tensors

    gamma = net.stored["c.gamma"] * net.stored[factor].ravel()
    np.testing.assert_allclose(found["c.gamma"], gamma, rtol=1e-15)
    np.testing.assert_allclose(found["c.beta"], shift, rtol=1e-14)
    np.testing.assert_array_equal(found["c.mean"], 0)
    assert factor not in found


def test_a_mean_far_from_what_comes_in_costs_no_digits() -> None:
    """500 would be subtracted from values below 1, of which none has more than 7 digits."""
    net = Net()
    scaled = net.node("Mul", begun(net), net.store([[1000.0]] * CHANNELS))
    value = net.batch_norm(scaled, CHANNELS, "c")
    net.stored["c.mean"][:] = 500
    model = ended(net, value)

    _, report = folding.fold_model(model)

    assert report.verification.name == "equivalent"
    assert [d.is_folded for d in report.plan.decisions] == [True]


def test_a_scalar_constant_does_not_grow_where_a_vector_is_there() -> None:
    net = Net()
    value = net.node("Mul", begun(net), net.store(0.5, "number"))
    value = net.node("Mul", value, net.weight(CHANNELS, 1, name="vector"), out="b")

    result = fold(ended(net, value))

    assert result.operators == ["Sigmoid", "Mul", "Sigmoid"]
    assert [*result.tensors] == ["vector"]


@pytest.mark.parametrize("place", [0, 1])
def test_who_asks_for_the_shape_of_what_is_gone_asks_another(place: int) -> None:
    net = Net()
    values = [begun(net)]
    for operator in ("Mul", "BatchNormalization", "Mul", "Mul"):
        values.append(step(net, values[-1], operator))
    net.node("Shape", values[1 + 2 * place], out="z")
    model = ended(net, values[-1], "z")

    result = fold(model)

    assert result.operators == ["Sigmoid", "BatchNormalization", "Shape", "Sigmoid"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("seen", ["read", "an output"])
def test_parameters_that_others_see_are_as_they_were(seen: str) -> None:
    net = Net()
    value = net.batch_norm(net.batch_norm(begun(net), CHANNELS, "b"), CHANNELS, "c")
    others = ["b.gamma"] if seen == "an output" else [net.node("Abs", "b.gamma", out="z")]
    model = ended(net, value, *others)

    result = fold(model)

    assert result.operators.count("BatchNormalization") == 1
    np.testing.assert_array_equal(result.tensors["b.gamma"], net.stored["b.gamma"])
    assert_same_function(model, result.model)


def test_two_that_share_all_parameters_are_one_with_its_own() -> None:
    net = Net()
    names = [net.weight(4), net.weight(4), net.weight(4), net.positive(4)]
    value = begun(net)
    for _ in range(2):
        value = net.node("BatchNormalization", value, *names)

    assert_shortened(ended(net, value), "BatchNormalization")


def test_below_ir_4_no_constants_come_for_fewer_nodes() -> None:
    """Each would be a node: two parameters that others read, for one node that goes."""
    net = Net(ir_version=3)
    names = [net.weight(4), net.weight(4), net.weight(4), net.positive(4)]
    value = begun(net)
    for _ in range(2):
        value = net.node("BatchNormalization", value, *names)

    assert refusal(ended(net, value))[0] is Reason.NO_RULE


def test_below_ir_4_constants_change_in_their_places() -> None:
    assert_shortened(between(Net(ir_version=3), "BatchNormalization", "Mul"), "BatchNormalization")


def test_mere_numbers_are_listed_nowhere_and_stay() -> None:
    net = Net()
    value = begun(net)
    for operator in ("Mul", "Add", "Mul", "Add"):
        value = net.node(operator, value, net.store(0.5))
    model = ended(net, value)

    result = fold(model)

    assert not result.plan.decisions
    assert result.model.SerializeToString() == model.SerializeToString()


def test_what_was_asked_to_be_kept_stays_whole() -> None:
    model = between(Net(), "BatchNormalization", "Mul")

    kept, report = folding.fold_model(model, keep=["mul2"])

    assert kept.SerializeToString() == model.SerializeToString()
    assert not report.plan.kept_for_strict


def test_affines_along_other_axes_are_no_run() -> None:
    net = Net()
    value = net.node("Mul", net.batch_norm(begun(net), CHANNELS), net.weight(5))
    model = ended(net, value)

    assert fold(model).model.SerializeToString() == model.SerializeToString()


def test_a_batch_norm_of_one_channel_takes_in_nothing_along_another_axis() -> None:
    net = Net()
    value = net.batch_norm(net.node("Sigmoid", net.input(2, 1, 5)), 1)
    model = ended(net, net.node("Mul", value, net.weight(5)))

    assert refusal(model)[0] is Reason.NO_RULE


def test_a_div_has_no_scale_of_zero() -> None:
    net = Net()
    value = step(net, step(net, begun(net), "Div"), "Add")
    model = ended(net, net.node("Mul", value, net.store([[0.0], [1.0], [2.0], [3.0]])))

    assert refusal(model)[0] is Reason.NO_RULE


def test_a_mul_has() -> None:
    net = Net()
    value = step(net, begun(net), "Div")
    model = ended(net, net.node("Mul", value, net.store([[0.0], [1.0], [2.0], [3.0]])))

    assert_shortened(model, "Mul")


def halves(*numbers: float) -> ModelProto:
    """Some factors in a row in float16."""
    net = Net(HALF)
    value = begun(net)
    for number in numbers:
        value = net.node("Mul", value, net.store([[number]] * CHANNELS))
    return ended(net, value)


def test_numbers_that_overflow_leave_it_whole() -> None:
    assert refusal(halves(300.0, 300.0))[0] is Reason.NO_RULE


def test_so_do_numbers_that_lose_digits_by_being_small() -> None:
    assert refusal(halves(1.37e-3, 1.37e-3))[0] is Reason.NO_RULE


def test_numbers_that_fit_do_not() -> None:
    assert_shortened(halves(300.0, 1.37e-3), "Mul")


def test_a_shift_that_all_but_cancels_is_no_loss() -> None:
    """What is left of 0.1 - 0.1 is no normal float16, far below the roundings of either."""
    net = Net(HALF)
    value = net.node("Add", begun(net), net.store([[0.1]] * CHANNELS))
    value = net.batch_norm(value, CHANNELS, "b")
    for name, number in (("gamma", 1.0), ("beta", -0.1), ("mean", 0.0), ("var", 1.0)):
        net.stored[f"b.{name}"][:] = number
    model = ended(net, value)

    assert_shortened(model, "BatchNormalization")
    left = np.abs(fold(model).tensors["b.beta"])
    assert (left > 0).all()
    assert (left < np.finfo(np.float16).tiny).all()


@pytest.mark.parametrize("place", ["c.gamma", "b.beta"])
def test_what_a_caller_may_override_is_no_run(place: str) -> None:
    net = Net()
    value = net.batch_norm(net.batch_norm(begun(net), CHANNELS, "b"), CHANNELS, "c")
    model = ended(net, value)
    model.graph.input.append(helper.make_tensor_value_info(place, FLOAT, [CHANNELS]))

    assert fold(model).model.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("seen", ["read", "an output"])
def test_a_value_that_others_see_stays(seen: str) -> None:
    net = Net()
    value = net.batch_norm(net.batch_norm(begun(net), CHANNELS, "b"), CHANNELS, "c")
    others = ["b"] if seen == "an output" else [net.node("Abs", "b", out="z")]
    model = ended(net, value, *others)

    assert fold(model).model.SerializeToString() == model.SerializeToString()


def test_an_affine_that_is_shorter_takes_in_what_the_longer_did_not() -> None:
    """Nothing goes into a Neg, which is gone when the BatchNormalization has it."""
    net = Net()
    value = step(net, step(net, begun(net), "BatchNormalization"), "Neg")
    pooled = net.node("AveragePool", value, kernel_shape=[2])
    value = step(net, step(net, pooled, "Mul"), "Add")
    model = ended(net, value)

    result = fold(model)

    assert result.operators == ["Sigmoid", "BatchNormalization", "AveragePool", "Sigmoid"]
    assert_same_function(model, result.model)
    assert [d.is_partial for d in result.plan.decisions] == [True, False]
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()


def test_the_bias_that_a_fold_leaves_goes_in_too() -> None:
    net = Net()
    value = net.node("MatMul", net.input(2, CHANNELS, 3), net.weight(3, 5))
    value = net.node("Add", net.node("Mul", value, net.weight(5)), net.store(0.5))
    model = ended(net, net.batch_norm(value, CHANNELS))

    result = fold(model)

    assert result.operators == ["MatMul", "BatchNormalization", "Sigmoid"]
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()


def test_it_is_told_as_partial_and_strict_minds_it() -> None:
    net = Net()
    value = net.batch_norm(net.batch_norm(begun(net), CHANNELS, "b"), CHANNELS, "c")
    plan = fold(ended(net, value)).plan

    (decision,) = plan.decisions

    told = decision.to_dict()
    assert (told["outcome"], told["into"], told["nodes"]) == ("partial", ["b"], ["b", "c"])
    assert (told["reason"], told["at"]) == ("NO_RULE", "a")
    assert told["text"] == (
        "folded into BatchNormalization 'b'; that stays:"
        " no rule lets an affine pass this operator (Sigmoid 'a')"
    )
    assert plan.kept_for_strict == 1
    assert plan.counts["partial"] == 1
    again = plan_from(json.loads(json.dumps(plan.to_dict())))
    assert again.to_dict() == plan.to_dict()
    assert again.kept_for_strict == 1


def test_a_wrong_number_in_it_is_found() -> None:
    model = between(Net(), "BatchNormalization", "BatchNormalization")
    wrong = fold(model).model
    for tensor in wrong.graph.initializer:
        if tensor.name.endswith("gamma"):
            array = numpy_helper.to_array(tensor) * np.float32(1.0001)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    assert folding.verify(model, wrong).name == "different"


def test_equal_numbers_along_another_axis_are_one_number() -> None:
    """The run has taken in a scale for each channel; its shift is as long as another axis."""
    net = Net(DOUBLE)
    value = net.node("Sigmoid", net.input(2, 4, 1, 3))
    value = net.node("Sub", net.store(np.full((2, 1, 1, 1), 0.7)), value)
    value = net.node("Mul", net.node("Add", value, net.store(0.3)), net.store([[[1.5]]]))
    zeros = net.store(np.zeros(4))
    norm = [net.weight(4), zeros, zeros, net.positive(4)]
    model = ended(net, net.node("BatchNormalization", value, *norm))

    result = fold(model)

    assert_same_function(model, result.model)
    assert result.operators == ["Sigmoid", "Add", "Mul", "Sigmoid"]


def test_numbers_that_took_in_channels_are_a_run_too() -> None:
    """Mere numbers stay as they are, until an affine of channels goes into one of them."""
    net = Net(DOUBLE)
    value = net.node("Add", net.node("Mul", begun(net), net.store(2.0)), net.store(0.3))
    value = net.node("Relu", net.node("Mul", value, net.store(1.5)))
    model = ended(net, net.node("Mul", value, net.positive(CHANNELS, 1)))

    result = fold(model)

    assert result.operators == ["Sigmoid", "Mul", "Add", "Relu", "Sigmoid"]
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()
