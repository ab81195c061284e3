"""Transpose: the axis behind it is ``perm`` of the axis before it, not the other way round."""

from __future__ import annotations

from itertools import permutations
from typing import Any
from unittest.mock import Mock

import pytest
from graphs import DOUBLE, FLOAT, TYPES, Net, assert_folds_to, feed_for, fold, refusal, run
from onnx import helper
from oracle import evaluate
from passing import affine_of, assert_goes_down, assert_goes_up, assert_stays, random_affine

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

    assert_folds_to(net.model("y"), "Conv", "Transpose")


@pytest.mark.parametrize("elem_type", TYPES)
def test_without_perm_the_axes_are_reversed(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 4, 5), net.weight(4, 3, 1, 1), out="v")
    net.node("Transpose", "v", out="w")
    net.node("Mul", "w", net.weight(4, 1), out="u")
    net.node("Sub", net.weight(1, 1, 4, 1), "u", out="y")

    assert_folds_to(net.model("y"), "Conv", "Transpose")


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

    assert_folds_to(net.model("y"), "Conv", "Transpose")


def test_an_affine_behind_two_of_them_still_folds_after_a_first_fold() -> None:
    net = Net()
    net.node("MatMul", net.input(5, 3), net.weight(3, 4), out="v")
    net.node("Transpose", "v", out="w")
    net.node("Mul", "w", net.weight(4, 1), out="u")
    net.node("Add", "u", net.weight(4, 1), out="a")
    net.node("Transpose", "a", out="b")
    net.node("Mul", "b", net.weight(4), out="y")

    assert_folds_to(net.model("y"), "MatMul", "Add", "Transpose", "Transpose")


def test_without_perm_and_without_a_known_rank_it_is_refused() -> None:
    """No affine is recognised behind such a node, so the rule is asked directly."""
    around = Mock()
    around.shape.return_value = None
    affine = ChannelAffine(Doubled.exact([1.0, 2.0]), Doubled.exact([0.0, 1.0]), -1)
    node = helper.make_node("Transpose", ["v"], ["w"])

    answer = CARRIERS["Transpose"].up(affine, Passage(node, around, 0))

    assert answer == Kept(Reason.MISSING_AXES, "w", "Transpose")


@pytest.mark.parametrize("perm", [None, *permutations(range(3))])
def test_on_every_axis_it_is_passed_in_both_directions(perm: tuple[int, ...] | None) -> None:
    """Also where the sizes are not known."""
    sizes = (2, 3, 4)
    for axis in (-1, -2, -3):
        for dims in (sizes, ("a", "b", "c")):
            net = Net(DOUBLE)
            given: dict[str, Any] = {} if perm is None else {"perm": perm}
            net.node("Transpose", net.input(*dims), out="y", **given)
            behind = [sizes[i] for i in perm or (2, 1, 0)]
            assert_goes_down(net, random_affine(sizes[axis], axis), a=2, b=3, c=4)
            assert_goes_up(net, random_affine(behind[axis], axis), a=2, b=3, c=4)


@pytest.mark.parametrize("down", [False, True])
def test_an_unknown_rank_needs_a_perm_in_both_directions(*, down: bool) -> None:
    """A scalar does not."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    net.node("Transpose", "x", out="y")

    assert_stays(net, random_affine(3, -2), Reason.MISSING_AXES, down=down)
    (assert_goes_down if down else assert_goes_up)(net, affine_of(-2.0, 3.0, None))


@pytest.mark.parametrize("perm", [None, *permutations(range(3))])
def test_the_definition_agrees_with_onnxruntime(perm: tuple[int, ...] | None) -> None:
    """What the rule is tested against."""
    net = Net(FLOAT)
    given: dict[str, Any] = {} if perm is None else {"perm": perm}
    model = net.model(net.node("Transpose", net.input(2, 3, 4), **given))
    feed = feed_for(model)

    assert (evaluate(model, feed)[0] == run(model, feed)[0]).all()


def einsum(equation: str, *shape: int) -> Net:
    """An Einsum of one operand."""
    net = Net(DOUBLE)
    net.node("Einsum", net.input(*shape), out="y", equation=equation)
    return net


@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("made", ["->" + "".join(p) for p in permutations("cab")] + [""])
def test_an_einsum_of_one_operand_moves_axes_alike(made: str, axis: int) -> None:
    net = einsum("c ab" + made, 2, 3, 4)
    shape = evaluate(net.model("y"), feed_for(net.model("y")))[0].shape

    assert_goes_up(net, random_affine(shape[axis], axis))
    assert_goes_down(net, random_affine((2, 3, 4)[axis], axis))


@pytest.mark.parametrize("elem_type", TYPES)
def test_an_affine_passes_an_einsum_both_ways(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), out="v")
    net.node("Mul", net.node("Einsum", "v", equation="abc->cab"), net.weight(4), out="u")
    net.batch_norm("x", 3, "n")
    net.node("MatMul", net.node("Einsum", "n", equation="abc->acb"), net.weight(3, 2), out="y")
    model = net.model("u", "y")

    assert_folds_to(model, "Conv", "Einsum", "Einsum", "MatMul", "Add")


@pytest.mark.parametrize("affine", [random_affine(3, -1), affine_of(2.0, 0.5, None)])
@pytest.mark.parametrize("equation", ["abc->ab", "aba->ab", "aba->aba", "...a->...a", ""])
def test_an_einsum_that_does_more_is_passed_by_nothing(
    equation: str, affine: ChannelAffine
) -> None:
    """It sums, takes a diagonal, or has anything but letters (condition 1)."""
    model = einsum(equation, 3, 3, 3).model("y")

    for rule in (CARRIERS["Einsum"].up, CARRIERS["Einsum"].down):
        assert rule is not None
        answer = rule(affine, Passage(model.graph.node[0], Mock(opset=17)))
        assert answer == Kept(Reason.UNUSUAL_FORM, "y", "Einsum")


def test_an_einsum_of_two_operands_says_as_a_layer_what_it_does_not_take_in() -> None:
    net = Net()
    net.node("Einsum", net.input(2, 3, 4), net.weight(4, 5), out="v", equation="abc,cd->abd")
    net.node("Mul", "v", net.weight(3, 1), out="y")

    result = fold(net.model("y"))

    assert result.kept("y") == (Reason.NOT_OUTPUT_CHANNELS, "v")


def test_before_an_einsum_of_two_operands_it_is_the_same() -> None:
    net = Net()
    net.batch_norm(net.node("Sigmoid", net.input(2, 3, 4)), 3, "n")
    net.node("Einsum", "n", net.weight(4, 5), out="y", equation="abc,cd->abd")
    outcome = fold(net.model("y")).decision("n").outcome

    assert isinstance(outcome, Kept)
    assert outcome.below == Kept(Reason.NOT_INPUT_CHANNELS, "y", "Einsum")
