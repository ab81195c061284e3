"""Affines on long ways: what rules, each right alone, must not make of one another."""

from __future__ import annotations

import pytest
from graphs import DOUBLE, Net, assert_same_function, fold


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
