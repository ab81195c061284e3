"""The axis of an affine behind data of unknown rank: the last one, if a MatMul tells its length."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Feed, Net, distance, fold, plan, run
from onnx import ModelProto, helper
from oracle import evaluate

from folding.plan import Kept, Reason


def of_any_rank() -> tuple[Net, str]:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", net.elem_type, None))
    return net, "x"


def matmul(net: Net, x: str, *dims: int) -> str:
    return net.node("MatMul", x, net.weight(*dims), out="v")


def feed(*shape: int) -> Feed:
    return {"x": np.random.default_rng(3).standard_normal(shape).astype(np.float32)}


def kept(net: Net, output: str) -> tuple[Reason, str]:
    """Why the affine stays; the runs need a shape, so the plan is asked alone."""
    (decision,) = [d for d in plan(net.model(output)) if d.name == output]
    assert isinstance(decision.outcome, Kept), decision
    return decision.outcome.reason, decision.outcome.at


def assert_same_for_all_ranks(one: ModelProto, other: ModelProto, *shapes: tuple[int, ...]) -> None:
    for shape in shapes:
        for compute in (evaluate, run):
            pairs = zip(compute(one, feed(*shape)), compute(other, feed(*shape)), strict=True)
            assert all(distance(a, b) < 2e-5 for a, b in pairs)


@pytest.mark.parametrize("between", ["Identity", "Neg"])
def test_a_matmul_makes_the_last_axis_whatever_the_rank(between: str) -> None:
    net, x = of_any_rank()
    value = net.node(between, matmul(net, x, 5, 4))
    value = net.node("Add", value, net.weight(4))
    value = net.node("Mul", net.weight(1), value)
    net.node("Sub", net.node("Mul", value, net.weight(4)), net.weight(4), out="y")
    model = net.model("y")

    result = fold(model)

    assert sorted(o for o in result.operators if o != "Identity") == ["Add", "MatMul"]
    assert_same_for_all_ranks(model, result.model, (5,), (3, 5), (2, 3, 5))


def test_a_matmul_of_stacked_constants_makes_it_too() -> None:
    net, x = of_any_rank()
    net.node("Mul", matmul(net, x, 2, 5, 4), net.weight(4), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["MatMul"]
    assert_same_for_all_ranks(model, result.model, (5,), (3, 5), (2, 3, 5))


def test_a_layer_behind_takes_in_what_acts_along_it() -> None:
    net, x = of_any_rank()
    relu = net.node("Relu", matmul(net, x, 5, 4))
    affine = net.node("Add", net.node("Mul", relu, net.weight(4)), net.weight(4), out="a")
    net.node("MatMul", affine, net.weight(4, 3), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["MatMul", "Relu", "MatMul", "Add"]
    assert_same_for_all_ranks(model, result.model, (5,), (3, 5), (2, 3, 5))


def test_a_constant_with_more_axes_may_give_the_data_some() -> None:
    net, x = of_any_rank()
    net.node("Mul", matmul(net, x, 5, 4), net.weight(1, 4), out="y")

    assert kept(net, "y") == (Reason.AXIS_UNCERTAIN, "v")


@pytest.mark.parametrize("dims", [(4,), (1, 4)])
def test_one_between_that_may_give_the_data_its_last_axis_is_refused(dims: tuple[int, ...]) -> None:
    net, x = of_any_rank()
    grown = net.node("Add", matmul(net, x, 5, 1), net.weight(*dims), out="g")
    net.node("Mul", grown, net.weight(4), out="y")

    assert kept(net, "y") == (Reason.AXIS_UNCERTAIN, "g")


def test_a_vector_may_leave_no_axis() -> None:
    net, x = of_any_rank()
    net.node("Mul", matmul(net, x, 5), net.weight(5), out="y")

    assert kept(net, "y") == (Reason.AXIS_UNCERTAIN, "v")


@pytest.mark.parametrize("slot", [0, 1])
def test_a_constant_on_the_left_or_none_does_not_tell_the_last_axis(slot: int) -> None:
    net, x = of_any_rank()
    net.inputs.append(helper.make_tensor_value_info("w", net.elem_type, None))
    operands = (net.weight(4, 5), x) if slot else (x, "w")
    net.node("Mul", net.node("MatMul", *operands, out="v"), net.weight(4), out="y")

    assert kept(net, "y") == (Reason.AXIS_UNCERTAIN, "v")


def test_another_operator_between_is_not_looked_through() -> None:
    net, x = of_any_rank()
    turned = net.node("Transpose", matmul(net, x, 5, 4), out="t")
    net.node("Mul", turned, net.weight(4), out="y")

    assert kept(net, "y") == (Reason.AXIS_UNCERTAIN, "t")
