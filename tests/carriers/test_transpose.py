"""Transpose: the axis behind it is ``perm`` of the axis before it, not the other way round."""

from __future__ import annotations

from itertools import permutations
from unittest.mock import Mock

import pytest
from graphs import TYPES, Net, assert_same_function, fold, refusal
from onnx import helper

from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Passage
from folding.doubled import Doubled
from folding.plan import Kept, Reason


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("perm", list(permutations(range(4))))
def test_every_permutation_finds_the_channels(elem_type: int, perm: tuple[int, ...]) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(3, 2, 3, 3), net.weight(3, 2, 1, 1), out="v")
    net.node("Transpose", "v", out="w", perm=perm)
    vector = [3 if axis == 1 else 1 for axis in perm]
    net.node("Mul", "w", net.weight(*vector), out="u")
    net.node("Add", "u", net.weight(*vector), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Transpose"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_without_perm_the_axes_are_reversed(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 4, 5), net.weight(4, 3, 1, 1), out="v")
    net.node("Transpose", "v", out="w")
    net.node("Mul", "w", net.weight(4, 1), out="u")
    net.node("Sub", net.weight(1, 1, 4, 1), "u", out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Transpose"]
    assert_same_function(model, result.model)


def test_a_batch_norm_on_another_axis_of_the_same_length_stays() -> None:
    net = Net()
    net.node("Conv", net.input(4, 4, 4), net.weight(4, 4, 1), out="v")
    net.node("Transpose", "v", out="w", perm=[0, 2, 1])
    net.batch_norm("w", 4, "y")

    assert refusal(net.model("y")) == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_a_scalar_passes_without_a_question() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Transpose", "v", out="w")
    net.node("Mul", "w", net.store(0.5), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Transpose"]
    assert_same_function(model, result.model)


def test_an_affine_behind_two_of_them_still_folds_after_a_first_fold() -> None:
    net = Net()
    net.node("MatMul", net.input(5, 3), net.weight(3, 4), out="v")
    net.node("Transpose", "v", out="w")
    net.node("Mul", "w", net.weight(4, 1), out="u")
    net.node("Add", "u", net.weight(4, 1), out="a")
    net.node("Transpose", "a", out="b")
    net.node("Mul", "b", net.weight(4), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["MatMul", "Add", "Transpose", "Transpose"]
    assert_same_function(model, result.model)


def test_without_perm_and_without_a_known_rank_it_is_refused() -> None:
    """No affine is recognised behind such a node, so the rule is asked directly."""
    around = Mock()
    around.shape.return_value = None
    affine = ChannelAffine(Doubled.exact([1.0, 2.0]), Doubled.exact([0.0, 1.0]), -1)
    node = helper.make_node("Transpose", ["v"], ["w"])

    answer = CARRIERS["Transpose"].up(affine, Passage(node, around, 0))

    assert answer == Kept(Reason.MISSING_AXES, "w", "Transpose")
