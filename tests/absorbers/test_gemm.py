"""Gemm: alpha stays, beta is multiplied into C, and C grows to the width of the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import TYPES, Net, assert_folds_to, assert_same_function, fold, refusal
from onnx import helper

from folding.plan import Reason

ROWS, DEPTH, WIDTH = 3, 5, 4
SHAPES_OF_C = [(), (1,), (WIDTH,), (1, 1), (1, WIDTH), (ROWS, 1), (ROWS, WIDTH)]


def dense(net: Net, *c: str, at: int = 0, bt: int = 0, **attributes: Any) -> None:
    """A Gemm of a [3, 5] with a [5, 4], either of them stored transposed."""
    a = net.input(*((DEPTH, ROWS) if at else (ROWS, DEPTH)))
    b = net.weight(*((WIDTH, DEPTH) if bt else (DEPTH, WIDTH)), name="b")
    net.node("Gemm", a, b, *c, out="v", transA=at, transB=bt, **attributes)


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("transposed", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("shape", SHAPES_OF_C)
@pytest.mark.parametrize("beta", [1.0, 0.75, 0.0])
def test_a_batch_norm_disappears_into_b_and_c(
    elem_type: int, transposed: tuple[int, int], shape: tuple[int, ...], beta: float
) -> None:
    net = Net(elem_type)
    at, bt = transposed
    dense(net, net.weight(*shape), at=at, bt=bt, alpha=-0.5, beta=beta)
    net.batch_norm("v", WIDTH, "y")

    assert_folds_to(net.model("y"), "Gemm")


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_c_that_is_absent_is_created(elem_type: int) -> None:
    net = Net(elem_type)
    dense(net, bt=1, alpha=2.0, beta=0.5)
    net.batch_norm("v", WIDTH, "y")

    assert_folds_to(net.model("y"), "Gemm")


def test_a_scale_alone_creates_no_c() -> None:
    net = Net()
    dense(net)
    net.node("Mul", "v", net.weight(WIDTH), out="y")
    model = net.model("y")

    result = fold(model)

    assert [len(node.input) for node in result.model.graph.node] == [2]
    assert_same_function(model, result.model)


def test_beta_becomes_one_and_the_other_attributes_stay() -> None:
    net = Net()
    dense(net, net.weight(WIDTH), bt=1, alpha=0.25, beta=0.5)
    net.batch_norm("v", WIDTH, "y")

    folded = fold(net.model("y")).model.graph.node[0]

    given = {a.name: helper.get_attribute_value(a) for a in folded.attribute}
    assert given == {"alpha": 0.25, "beta": 1.0, "transA": 0, "transB": 1}


def test_with_beta_zero_an_infinite_c_counts_for_nothing() -> None:
    net = Net()
    dense(net, net.store([1.0, -2.0, 3e38, 0.0], "c"), beta=0.0)
    net.node("Mul", "v", net.weight(WIDTH), out="w")
    net.node("Add", "w", net.store([1.0, 2.0, 3.0, 4.0]), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.tensors["c"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert_same_function(model, result.model)


def test_a_matrix_used_as_both_b_and_c_is_copied() -> None:
    net = Net()
    square = net.weight(WIDTH, WIDTH, name="b")
    net.node("Gemm", net.input(WIDTH, WIDTH), square, square, out="v")
    net.batch_norm("v", WIDTH, "y")

    assert_folds_to(net.model("y"), "Gemm")


def test_a_b_computed_at_run_time_is_refused_although_a_is_constant() -> None:
    net = Net()
    net.node("Gemm", net.weight(3, 5), net.input(5, 4), out="v")
    net.batch_norm("v", 4, "y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_WEIGHT, "v")


def test_a_c_computed_at_run_time_is_refused() -> None:
    net = Net()
    dense(net, net.input(WIDTH, name="c"))
    net.batch_norm("v", WIDTH, "y")

    assert refusal(net.model("y")) == (Reason.RUNTIME_BIAS, "v")


def test_a_c_that_a_caller_may_override_is_refused() -> None:
    net = Net()
    dense(net, net.weight(WIDTH, name="c"))
    net.input(WIDTH, name="c")
    net.batch_norm("v", WIDTH, "y")

    assert refusal(net.model("y")) == (Reason.OVERRIDABLE, "c")


def test_an_affine_along_the_rows_stays_even_in_a_square() -> None:
    net = Net()
    net.node("Gemm", net.input(4, 5), net.weight(5, 4), out="v")
    net.node("Mul", "v", net.weight(4, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_below_opset_7_it_is_refused() -> None:
    net = Net(opset=6, ir_version=3)
    net.node("Gemm", net.input(3, 5), net.weight(5, 4), net.weight(4), out="v", broadcast=1)
    net.batch_norm("v", 4, "y", is_test=1)

    assert refusal(net.model("y")) == (Reason.OLD_OPSET, "v")


def test_a_c_that_does_not_broadcast_is_refused() -> None:
    net = Net()
    dense(net, net.weight(3))
    net.batch_norm("v", WIDTH, "y")

    assert refusal(net.model("y")) == (Reason.BAD_LAYER, "v")


def test_every_row_of_c_keeps_its_own_number() -> None:
    net = Net()
    dense(net, net.store([[1.0], [2.0], [3.0]], "c"))
    net.node("Mul", "v", net.store([1.0, 2.0, 3.0, 4.0]), out="y")

    result = fold(net.model("y"))

    c = result.tensors[result.model.graph.node[0].input[2]]
    np.testing.assert_array_equal(c, np.outer([1, 2, 3], [1, 2, 3, 4]))
