"""The inputs of operators that take them in any order."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
from graphs import Net
from onnx import ModelProto
from pairs import judged

from folding.equivalence.foreign import Different, Matched, NotEstablished


def branches(order: list[int], *, named: bool = True, wrong: int = -1) -> ModelProto:
    """A Sum of convolutions of one shape in some order, of which one may have another weight."""
    net = Net()
    x = net.node("Sigmoid", net.input(1, 2, 4, 4))
    values = {}
    for number in sorted(order):
        weight = net.weight(2, 2, 1, 1, name=f"w{number}")
        net.stored[weight] = net.stored[weight] * np.float32(1.01 if number == wrong else 1.0)
        name = f"b{number}" if named else f"{'ba'[len(order) > number + 1]}{order.index(number)}"
        values[number] = net.node("Conv", x, weight, out=name)
    net.node("Sum", *(values[number] for number in order), out="y")
    return net.model("y")


def test_branches_that_are_alike_are_found_by_their_names() -> None:
    assert isinstance(judged(branches([0, 1, 2]), branches([2, 0, 1])), Matched)


@pytest.mark.parametrize("wrong", range(3))
def test_the_one_that_is_wrong_is_told(wrong: int) -> None:
    found = judged(branches([0, 1, 2]), branches([2, 0, 1], wrong=wrong))

    assert isinstance(found, Different)
    assert found.at == f"w{wrong}"


def test_where_no_name_tells_which_is_which_nothing_is_said_of_other_numbers() -> None:
    found = judged(branches([0, 1, 2]), branches([2, 0, 1], named=False))

    assert isinstance(found, NotEstablished)


def test_a_value_that_is_read_twice_is_itself() -> None:
    """In any order, with others between."""
    made = []
    for order in ("aab", "aba", "baa", "abb"):
        net = Net()
        net.input(2, 3)
        values = {"a": net.node("Sigmoid", "x"), "b": net.node("Tanh", "x")}
        net.node("Sum", *(values[letter] for letter in order), out="y")
        made.append(net.model("y"))
    same, other = made[:3], made[3]
    assert all(isinstance(judged(made[0], model), Matched) for model in same)
    assert not isinstance(judged(made[0], other), Matched)


def test_many_inputs_take_no_longer_each() -> None:
    net = Net()
    x = net.node("Sigmoid", net.input(2))
    net.node("Max", *[x] * 20_000, *(net.node("Neg", x) for _ in range(2_000)), out="y")
    model = net.model("y")
    start = process_time()

    assert isinstance(judged(model, model), Matched)

    assert process_time() - start < 10
