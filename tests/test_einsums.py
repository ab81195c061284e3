"""Einsums on which ONNX's shape inference is wrong: nothing is taken from it there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, Net, distance, feed_for, fold, fold_unverified, run
from onnx import TensorProto, helper

from folding.einsums import may_be_longer
from folding.graph import index
from folding.modelfile import in_memory


@pytest.mark.parametrize(
    ("equation", "shapes", "expected"),
    [
        ("bz,abc->abz", [(1, 3), (None, None, 2)], True),
        ("bz,abc->abz", [(1, 3), (4, 5, 2)], True),
        ("bz,abc->abz", [(1, 3), (4, 1, 2)], False),
        ("abc,bz->abz", [(None, None, 2), (1, 3)], False),
        ("abc,bz->abz", [(1, 5, 2), (5, 3)], False),
        ("...a,...b->...", [(1, 3), (None, 3)], True),
        ("...a,...b->...", [(None, 3), (1, 3)], False),
        ("z...a,...->z...", [(5, 1, 3), (2, 1)], False),
        ("z...a,...->z...", [(5, 1, 3), (2,)], True),
        ("...a,a->...a", [(1, 1, 3), (3,)], False),
        ("ab,bc->ac", [(1, 4), None], True),
        ("ab,bc->ac", [(3, 4), None], False),
        ("aa->a", [(1, None)], True),
    ],
)
def test_only_a_length_of_one_that_another_operand_may_change_is_in_doubt(
    equation: str, shapes: list[tuple[int | None, ...] | None], *, expected: bool
) -> None:
    """It is the first operand with a letter whose length inference believes."""
    assert may_be_longer(equation, shapes) is expected


@pytest.mark.parametrize("in_function", [False, True])
def test_a_shift_is_not_divided_by_a_length_that_is_not_known(*, in_function: bool) -> None:
    """What inference takes for one row may be three."""
    net = Net()
    x = net.input("a", "n", 2)
    if in_function:
        net.node("product", net.weight(1, 3), x, domain="own", out="v")
    else:
        net.node("Einsum", net.weight(1, 3), x, equation="bz,abc->abz", out="v")
    v = net.node("MatMul", "v", net.weight(3, 4))
    total = net.node("ReduceSum", v, net.integers(1), keepdims=0)
    net.node("Add", net.node("Mul", total, net.weight(4)), net.weight(4), out="y")
    node = helper.make_node("Einsum", ["w", "x"], ["v"], equation="bz,abc->abz")
    imports = [helper.make_opsetid("", net.opset)]
    function = helper.make_function("own", "product", ["w", "x"], ["v"], [node], imports)
    model = net.model("y", functions=[function] if in_function else [])

    folded = fold_unverified(model).model

    for rows in (1, 3):
        feed = {"x": np.arange(4 * rows, dtype=np.float32).reshape(2, rows, 2)}
        assert distance(run(model, feed)[0], run(folded, feed)[0]) < 1e-5


def test_what_a_result_in_doubt_leads_to_is_in_doubt_too() -> None:
    """The second length is only in doubt since the first is."""
    net = Net()
    v = net.node("Einsum", net.weight(1, 3), net.input(2, "n", 2), equation="bz,abc->abz")
    v = net.node("Reshape", net.node("Cast", v, to=FLOAT), net.integers(2, -1, 3))
    v = net.node("Einsum", net.weight(1, 3), v, equation="bz,abz->abz")
    v = net.node("MatMul", v, net.weight(3, 4))
    total = net.node("ReduceSum", v, net.integers(1), keepdims=0)
    net.node("Add", net.node("Mul", total, net.weight(4)), net.weight(4), out="y")
    model = net.model("y")

    folded = fold_unverified(model).model

    feed = feed_for(model) | {"x": np.ones((2, 3, 2), np.float32)}
    assert distance(run(model, feed)[0], run(folded, feed)[0]) < 1e-5


def test_an_einsum_without_doubt_keeps_its_shape() -> None:
    net = Net()
    v = net.node("Einsum", net.input(1, 5, 4), net.weight(4, 3), equation="bij,jk->bik")
    total = net.node("ReduceSum", v, net.integers(1), keepdims=0)
    net.node("Add", net.node("Mul", total, net.weight(3)), net.weight(3), out="y")

    result = fold(net.model("y"))

    assert result.decision("y").is_folded


def test_the_type_of_an_einsum_in_doubt_is_known() -> None:
    net = Net()
    net.node("Einsum", net.weight(1, 3), net.input("a", "n", 2), equation="bz,abc->abz", out="y")

    (scope,), problem = index(in_memory(net.model("y")))

    assert (scope.type("y"), scope.shape("y"), problem) == (FLOAT, None, None)


@pytest.mark.parametrize("other", ["t", "u"])
def test_an_einsum_is_judged_by_the_values_of_its_own_branch(other: str) -> None:
    """The other branch may use a name for a value of another shape."""
    net = Net()
    net.input(2, 3)
    net.input(2, 1, name="narrow")
    net.input(name="flag", elem_type=TensorProto.BOOL)
    here, there = Net(seed=1), Net(seed=2)
    joined = here.node("Einsum", here.node("Relu", "narrow", out="t"), "x", equation="ab,ab->ab")
    product = here.node("MatMul", here.weight(4, 2, name="w"), joined)
    total = here.node("ReduceSum", product, here.integers(1, name="axes"), keepdims=1)
    scaled = here.node("Mul", total, here.weight(4, 1, name="g"))
    here.node("Add", scaled, here.weight(4, 1, name="b"), out="one")
    there.node("Relu", "x", out=other)
    product = there.node("MatMul", there.weight(4, 2, name="v"), other)
    there.node("ReduceSum", product, there.integers(1, name="last"), out="two", keepdims=1)
    bodies: dict[str, Any] = {"else_branch": here.graph("one"), "then_branch": there.graph("two")}
    net.node("If", "flag", out="y", **bodies)
    model = net.model("y")

    folded = fold_unverified(model).model

    feed = feed_for(model) | {"flag": np.array(False)}
    assert distance(run(model, feed)[0], run(folded, feed)[0]) < 1e-5
