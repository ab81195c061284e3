"""Folds that some tool gets wrong today: each is right here, or is not made and says why.

Every model is square where that hides a wrong axis: as many channels as columns, rows or features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graphs import BOOL, FLOAT, HALF, Net, assert_same_function, distance, feed_for, fold, run
from onnx import ModelProto, TensorProto

from folding.plan import Folded, Kept, Reason

SIDE = 4


def convolved(net: Net) -> str:
    """A Conv of [2, 4, 4, 4] to the same shape."""
    x = net.input(2, SIDE, SIDE, SIDE)
    return net.node("Conv", x, net.weight(SIDE, SIDE, 1, 1), net.weight(SIDE), out="v")


def multiplied(net: Net) -> str:
    """A MatMul of [4, 4, 4] to the same shape."""
    return net.node("MatMul", net.input(SIDE, SIDE, SIDE), net.weight(SIDE, SIDE), out="v")


def constant_on_the_columns() -> ModelProto:
    net = Net()
    net.node("Mul", convolved(net), net.weight(SIDE), out="y")
    return net.model("y")


def constant_on_the_rows() -> ModelProto:
    net = Net()
    net.node("Mul", convolved(net), net.weight(SIDE, 1), out="y")
    return net.model("y")


def norm_of_transposed_products() -> ModelProto:
    """Axis 1 of the transposed value is the last of the product's data, not of its columns."""
    net = Net()
    net.node("Transpose", multiplied(net), perm=[0, 1, 2], out="t")
    net.batch_norm("t", SIDE, "y")
    return net.model("y")


def norm_of_reshaped_products() -> ModelProto:
    net = Net()
    net.node("Reshape", multiplied(net), net.integers(SIDE, SIDE, SIDE, 1), out="r")
    net.batch_norm("r", SIDE, "y")
    return net.model("y")


def training_mode() -> ModelProto:
    net = Net()
    net.batch_norm(convolved(net), SIDE, "y", training_mode=1)
    return net.model("y")


def live_statistics() -> ModelProto:
    net = Net()
    v = convolved(net)
    mean = net.node("ReduceMean", v, axes=[0, 2, 3], keepdims=0)
    variance = net.node("ReduceMean", net.node("Mul", v, v), axes=[0, 2, 3], keepdims=0)
    net.node("BatchNormalization", v, net.weight(SIDE), net.weight(SIDE), mean, variance, out="y")
    return net.model("y")


def norm_of_the_wrong_axis() -> ModelProto:
    """A network of channels last, whose norm was given the axis of channels first."""
    net = Net()
    v = net.node("Transpose", convolved(net), perm=[0, 2, 3, 1])
    net.batch_norm(v, SIDE, "y")
    return net.model("y")


def overridable_parameter() -> ModelProto:
    net = Net()
    net.batch_norm(convolved(net), SIDE, "y")
    net.input(SIDE, name="y.gamma")
    return net.model("y")


def overridable_weight() -> ModelProto:
    net = Net()
    x = net.input(2, SIDE, SIDE)
    net.node("Conv", x, net.weight(SIDE, SIDE, 1, name="w"), out="v")
    net.batch_norm("v", SIDE, "y")
    net.input(SIDE, SIDE, 1, name="w")
    return net.model("y")


def captured_value() -> ModelProto:
    net = Net()
    net.batch_norm(convolved(net), SIDE, "y")
    body = Net()
    body.node("Identity", "v", out="o")
    graph = body.graph("o")
    condition = net.input(name="condition", elem_type=BOOL)
    net.node("If", condition, out="z", then_branch=graph, else_branch=graph)
    return net.model("y", "z")


STAYS: dict[str, tuple[Callable[[], ModelProto], Reason]] = {
    "a constant of the columns": (constant_on_the_columns, Reason.NOT_OUTPUT_CHANNELS),
    "a constant of the rows": (constant_on_the_rows, Reason.NOT_OUTPUT_CHANNELS),
    "MatMul, Transpose": (norm_of_transposed_products, Reason.NOT_OUTPUT_CHANNELS),
    "MatMul, Reshape": (norm_of_reshaped_products, Reason.NOT_OUTPUT_CHANNELS),
    "training mode": (training_mode, Reason.TRAINING_MODE),
    "live statistics": (live_statistics, Reason.LIVE_STATISTICS),
    "the wrong axis": (norm_of_the_wrong_axis, Reason.NOT_OUTPUT_CHANNELS),
    "an overridable parameter": (overridable_parameter, Reason.OVERRIDABLE),
    "an overridable weight": (overridable_weight, Reason.OVERRIDABLE),
    "a captured value": (captured_value, Reason.CAPTURED),
}


@pytest.mark.parametrize("trap", STAYS)
def test_what_no_fold_is_exact_for_stays_byte_for_byte(trap: str) -> None:
    build, reason = STAYS[trap]
    model = build()

    result = fold(model)

    (decision,) = (d for d in result.plan.decisions if d.name == "y")
    assert isinstance(decision.outcome, Kept)
    assert decision.outcome.reason is reason
    assert result.model.SerializeToString() == model.SerializeToString()


def shared_parameters() -> ModelProto:
    net = Net()
    x = net.input(2, SIDE, SIDE)
    names = [net.weight(SIDE) for _ in range(3)] + [net.positive(SIDE)]
    for out in "yz":
        v = net.node("Conv", x, net.weight(SIDE, SIDE, 1))
        net.node("BatchNormalization", v, *names, out=out)
    return net.model("y", "z")


def shared_weight() -> ModelProto:
    net = Net()
    x, weight = net.input(2, SIDE, SIDE), net.weight(SIDE, SIDE, 1)
    for out in "yz":
        net.batch_norm(net.node("Conv", x, weight), SIDE, out)
    return net.model("y", "z")


def weight_that_is_an_output() -> ModelProto:
    net = Net()
    net.node("Conv", net.input(2, SIDE, SIDE), net.weight(SIDE, SIDE, 1, name="w"), out="v")
    net.batch_norm("v", SIDE, "y")
    return net.model("y", "w")


def grouped_transposed_convolution() -> ModelProto:
    """Four groups with two outputs each, of eight inputs: no axis of the weight is the outputs'."""
    net = Net()
    x = net.input(2, 8, 5)
    net.node("ConvTranspose", x, net.weight(8, 2, 3), net.weight(8), out="v", group=4)
    net.batch_norm("v", 8, "y")
    return net.model("y")


def gemm_with_factors() -> ModelProto:
    net = Net()
    x, b, c = net.input(SIDE, SIDE), net.weight(SIDE, SIDE), net.weight(SIDE)
    net.node("Gemm", x, b, c, out="v", alpha=-0.5, beta=3.0, transB=1)
    net.batch_norm("v", SIDE, "y")
    return net.model("y")


def gemm_without_its_bias() -> ModelProto:
    net = Net()
    x, b, c = net.input(SIDE, SIDE), net.weight(SIDE, SIDE), net.weight(SIDE, SIDE)
    net.node("Gemm", x, b, c, out="v", beta=0.0)
    net.batch_norm("v", SIDE, "y")
    return net.model("y")


FOLDS: dict[str, Callable[[], ModelProto]] = {
    "two norms with the same parameters": shared_parameters,
    "two norms behind one weight": shared_weight,
    "a weight that is also an output": weight_that_is_an_output,
    "a grouped ConvTranspose": grouped_transposed_convolution,
    "alpha and beta": gemm_with_factors,
    "beta of zero": gemm_without_its_bias,
}


@pytest.mark.parametrize("trap", FOLDS)
def test_what_folds_gives_the_same_numbers(trap: str) -> None:
    model = FOLDS[trap]()

    result = fold(model)

    assert all(decision.is_folded for decision in result.plan.decisions)
    assert "BatchNormalization" not in result.operators
    assert_same_function(model, result.model)


@pytest.mark.parametrize(
    ("weight", "scale", "reason"), [(300.0, 300.0, "OVERFLOW"), (1e-3, 1e-3, "UNDERFLOW")]
)
def test_numbers_that_do_not_fit_half_precision_are_not_folded(
    weight: float, scale: float, reason: str
) -> None:
    """The source gives numbers there: a folded weight of infinity would give NaN."""
    net = Net(HALF)
    x = net.input(1, SIDE, SIDE)
    net.node("Conv", x, net.store(np.full((SIDE, SIDE, 1), weight)), out="v")
    net.node("Mul", "v", net.store([[1.0], [2.0], [3.0], [scale]]), out="y")
    model = net.model("y")

    result = fold(model)

    outcome = result.decision("y").outcome
    assert isinstance(outcome, Kept)
    assert outcome.reason is Reason[reason]
    feed = {"x": np.full((1, SIDE, SIDE), 2.0**-10, np.float16)}
    assert distance(*(run(m, feed)[0] for m in (model, result.model))) == 0


@pytest.mark.parametrize("elem_type", [FLOAT, TensorProto.DOUBLE])
def test_in_square_models_the_right_axis_folds(elem_type: int) -> None:
    net = Net(elem_type)
    v = net.node("Transpose", convolved(net), perm=[0, 2, 3, 1])
    net.node("Add", net.node("Mul", v, net.weight(SIDE)), net.weight(SIDE), out="y")
    model = net.model("y")

    result = fold(model)

    assert isinstance(result.decision("y").outcome, Folded)
    assert_same_function(model, result.model)


def test_a_caller_that_overrides_a_parameter_gets_what_it_asked_for() -> None:
    model = overridable_parameter()
    gamma = np.linspace(1, 2, SIDE, dtype=np.float32)
    feed = feed_for(model) | {"y.gamma": gamma}

    before, after = (run(m, feed)[0] for m in (model, fold(model).model))

    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("is_read", [False, True])
def test_a_weight_whose_name_a_body_takes_for_its_own_is_copied(*, is_read: bool) -> None:
    """Runtimes do not agree on what such a name means, so the stored numbers stay."""
    net = Net()
    v = net.node("Conv", net.input(2, 3, 5), net.weight(SIDE, 3, 1, name="w"))
    net.batch_norm(v, SIDE, "y")
    body = Net(seed=1)
    body.weight(SIDE, 3, 1, name="w")
    body.node("Identity", "w" if is_read else body.weight(1, name="b"), out="o")
    condition = net.input(name="condition", elem_type=BOOL)
    graph = body.graph("o")
    net.node("If", condition, out="z", then_branch=graph, else_branch=graph)
    model = net.model("y", "z")

    result = fold(model)

    assert isinstance(result.decision("y").outcome, Folded)
    np.testing.assert_array_equal(result.tensors.get("w", net.stored["w"]), net.stored["w"])
    feed = feed_for(model)
    for before, after in zip(run(model, feed), run(result.model, feed), strict=True):
        assert distance(before, after) < 1e-5
