"""What recurrent layers begin with, where that is 0 or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Net, distance, feed_for, run
from onnx import ModelProto, TensorProto, numpy_helper
from pairs import judged

from folding.equivalence.foreign import Matched

INT32 = TensorProto.INT32
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(
    operator: str, *, state: str = "", bias: bool = False, peephole: bool = False, number: float = 0
) -> ModelProto:
    """A recurrent layer whose first states are stored, computed as said, or left out."""
    net, rows = Net(), GATES[operator] * 2
    inputs = [net.input(3, "n", 4), net.weight(1, rows, 4), net.weight(1, rows, 2)]
    inputs.append(net.store(np.full((1, 2 * rows), number)) if bias else "")
    batch = net.node("Shape", "x", start=1, end=2)
    shape = net.node("Concat", net.integers(1), batch, net.integers(2), axis=0)
    whole = ""
    if state == "ConstantOfShape":
        value = numpy_helper.from_array(np.array([number], np.float32))
        said: dict[str, Any] = {"value": value} if number else {}
        whole = net.node(state, shape, **said)
    elif state == "Expand":
        whole = net.node(state, net.store(number), shape)
    inputs += ["", whole, *([whole] if operator == "LSTM" else [])]
    inputs += [net.store(np.full((1, 6), number))] if peephole else []
    net.node(operator, *inputs, out="y", hidden_size=2)
    return net.model("y")


ZEROS = [
    ("LSTM", {"state": "ConstantOfShape"}),
    ("GRU", {"state": "ConstantOfShape"}),
    ("RNN", {"state": "Expand"}),
    ("LSTM", {"state": "Expand", "peephole": True}),
    ("GRU", {"bias": True}),
]


@pytest.mark.parametrize(("operator", "given"), ZEROS)
def test_zeros_to_begin_with_are_as_good_as_none(operator: str, given: dict[str, Any]) -> None:
    """Whichever of both a tool writes, the function is the same."""
    one, other = recurrent(operator, **given), recurrent(operator)
    feed = feed_for(one)
    assert distance(run(one, feed)[0], run(other, feed)[0]) == 0
    assert isinstance(judged(one, other), Matched)
    assert isinstance(judged(other, one), Matched)


@pytest.mark.parametrize(("operator", "given"), ZEROS)
def test_other_numbers_to_begin_with_are_not(operator: str, given: dict[str, Any]) -> None:
    one, other = recurrent(operator, **given, number=0.5), recurrent(operator)
    assert not isinstance(judged(one, other), Matched)


def test_a_state_that_is_given_at_run_time_is_not_left_out() -> None:
    """Nobody knows what it is."""
    models = []
    for is_left_out in (False, True):
        net = Net()
        inputs = [net.input(3, 1, 4), net.weight(1, 2, 4), net.weight(1, 2, 2), "", ""]
        state = net.input(1, 1, 2, name="state")
        net.node("RNN", *inputs, *([] if is_left_out else [state]), out="y", hidden_size=2)
        models.append(net.model("y"))
    assert not isinstance(judged(*models), Matched)


def test_lengths_of_0_are_no_state() -> None:
    """They say how many steps are taken."""
    models = []
    for is_left_out in (False, True):
        net = Net()
        inputs = [net.input(3, 1, 4), net.weight(1, 2, 4), net.weight(1, 2, 2), ""]
        lengths = [] if is_left_out else [net.store([0], elem_type=INT32)]
        net.node("RNN", *inputs, *lengths, out="y", hidden_size=2)
        models.append(net.model("y"))
    assert not isinstance(judged(*models), Matched)


def test_zeros_that_are_only_so_without_rounding_are_none() -> None:
    """In float32, 1e8 + 1 is 1e8."""
    net = Net()
    number = net.node("Add", net.store(np.full((1, 4), 1e8)), net.store(1.0))
    number = net.node("Sub", net.node("Sub", number, net.store(1e8)), net.store(1.0))
    inputs = [net.input(3, "n", 4), net.weight(1, 2, 4), net.weight(1, 2, 2)]
    net.node("RNN", *inputs, number, out="y", hidden_size=2)
    assert not isinstance(judged(net.model("y"), recurrent("RNN")), Matched)


def test_what_is_called_so_elsewhere_may_give_anything() -> None:
    """An operator of another domain is not that of ONNX."""
    net = Net()
    inputs = [net.input(3, "n", 4), net.weight(1, 2, 4), net.weight(1, 2, 2), "", ""]
    state = net.node("ConstantOfShape", net.integers(1, 1, 2), domain="elsewhere")
    net.node("RNN", *inputs, state, out="y", hidden_size=2)
    assert not isinstance(judged(net.model("y"), recurrent("RNN")), Matched)
