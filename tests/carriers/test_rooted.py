"""Carriers of a constant, whose sizes come at run time: the constant takes the affine in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, INT64, Net, assert_folds_to, assert_same_function, fold, plan, refusal
from passing import Around, affine_of, random_affine

from folding.carriers import Moved, Passage
from folding.carriers.rooted import taken_in
from folding.plan import Kept, Reason


def layer(net: Net, size: int | str = "n") -> str:
    """Of the shape [batch, length, channels]."""
    return net.node("MatMul", net.input(size, "s", 5), net.weight(5, 4), out="h")


def batch(net: Net, *rest: int) -> str:
    """A shape that begins with the batch's size, as exporters compute it."""
    sizes = net.node("Slice", net.node("Shape", "x"), net.integers(0), net.integers(1))
    return net.node("Concat", sizes, net.integers(*rest), axis=0)


def expanded(net: Net) -> str:
    """The class token of a transformer."""
    return net.node("Expand", net.weight(1, 1, 4, name="k"), batch(net, 1, 4), out="e")


def tiled(net: Net) -> str:
    return net.node("Tile", net.weight(1, 2, 4, name="k"), batch(net, 3, 1), out="e")


def cut(net: Net) -> str:
    """As many rows of a table as there is data."""
    size = net.node("Slice", net.node("Shape", "x"), net.integers(1), net.integers(2))
    given = net.weight(1, 9, 4, name="k"), net.integers(0), size, net.integers(1)
    return net.node("Slice", *given, out="e")


def normed(net: Net, value: str) -> None:
    net.node("Mul", value, net.weight(4), out="m")
    net.node("Add", "m", net.weight(4), out="y")


Made = Callable[[Net], str]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("made", [expanded, tiled])
def test_a_repeated_constant_takes_in_what_goes_to_its_branch(made: Made, *, first: bool) -> None:
    net = Net(DOUBLE, opset=17)
    pair = [layer(net), made(net)]
    normed(net, net.node("Concat", *(pair[::-1] if first else pair), axis=1))
    model = net.model("y")

    result = fold(model)

    assert result.decision("y").is_folded
    assert "Mul" not in result.operators
    assert not np.array_equal(result.tensors["k"], net.stored["k"])
    assert_same_function(model, result.model)


def test_so_does_a_table_of_which_as_much_is_taken_as_there_is_data() -> None:
    net = Net(DOUBLE)
    normed(net, net.node("Concat", layer(net, 1), cut(net), axis=1))
    model = net.model("y")

    result = fold(model)

    assert result.decision("y").is_folded
    assert_same_function(model, result.model)


@pytest.mark.parametrize("made", [expanded, tiled])
def test_a_constant_that_others_read_is_copied(made: Made) -> None:
    net = Net(DOUBLE)
    normed(net, net.node("Concat", layer(net), made(net), axis=1))
    net.node("ReduceMax", "k", keepdims=0, out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.decision("y").is_folded
    assert np.array_equal(result.tensors["k"], net.stored["k"])
    assert_same_function(model, result.model)


@pytest.mark.parametrize("operator", ["Concat", "Add", "Mul", "Max"])
def test_a_constant_may_be_the_first_operand(operator: str) -> None:
    net = Net(DOUBLE)
    net.node("MatMul", net.input(1, 3, 5), net.weight(5, 4), out="h")
    given: dict[str, Any] = {"axis": 1} if operator == "Concat" else {}
    joined = net.node(operator, net.weight(1, 3, 4), "h", **given)
    net.node("Mul", joined, net.positive(4), out="y")

    assert_folds_to(net.model("y"), "MatMul", operator)


def test_a_constant_that_is_too_large_to_evaluate_stays() -> None:
    net = Net()
    net.node("Expand", net.store(np.ones((1, 1, 1025, 1024)), "k"), _sizes(net), out="e")
    net.node("Mul", "e", net.weight(1024), out="y")

    assert refusal(net.model("y")) == (Reason.TOO_COMPLEX, "e")


def _sizes(net: Net) -> str:
    return net.node("Shape", net.input("n", 1, 1, 1))


def test_a_constant_that_is_not_finite_stays() -> None:
    net = Net()
    net.node("Expand", net.store([[1.0, np.inf]], "k"), _sizes(net), out="e")
    net.node("Mul", "e", net.weight(2), out="y")

    (decision,) = plan(net.model("y"))

    assert isinstance(decision.outcome, Kept)
    assert (decision.outcome.reason, decision.outcome.at) == (Reason.NOT_FINITE, "e")


def test_a_constant_does_not_grow() -> None:
    net = Net()
    net.node("Expand", net.weight(1, 1, name="k"), net.integers(3, 4), out="e")
    model = net.model("e")
    passage = Passage(model.graph.node[-1], Around(model))

    grown = taken_in([Moved({0: random_affine(4, -1)})], passage)
    whole = taken_in([Moved({0: random_affine(4, -1)}), Moved({0: affine_of(2, 1, None)})], passage)

    assert isinstance(grown, Kept)
    assert grown.reason is Reason.OPERAND_GROWS
    assert isinstance(whole, tuple)
    assert [(dict(way.affines), way.constants[0].shape) for way in whole] == [({}, (1, 1))]


def test_an_embedding_is_refused_for_its_own_reason() -> None:
    """Not for what the operator would say of data that is no constant."""
    net = Net()
    net.node("Gather", net.weight(6, 4, name="k"), net.input(3, elem_type=INT64), out="e")
    net.node("Mul", "e", net.weight(3, 1), out="y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "e")
