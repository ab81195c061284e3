"""Affines on long ways: what rules, each right alone, must not make of one another."""

from __future__ import annotations

from graphs import DOUBLE, Net, assert_same_function, fold


def test_a_scalar_scale_beside_a_vector_of_shifts_goes_down_alone() -> None:
    net = Net(DOUBLE)
    net.node("Relu", net.input(2, 3), out="v")
    net.node("Mul", "v", net.store(0.5), out="u")
    net.node("Add", "u", net.weight(2, 1), out="w")
    net.node("Split", "w", net.integers(1, 1), out="a,b", axis=0)
    net.node("MatMul", "a", net.weight(3, 2), out="y")
    net.node("MatMul", "b", net.weight(3, 2), out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.operators == ["Relu", "Add", "Split", "MatMul", "MatMul"]
    assert_same_function(model, result.model)
