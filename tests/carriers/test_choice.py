"""Where of two branches: passed by every affine, whichever branch is taken."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import BOOL, DOUBLE, FLOAT, TYPES, Net, assert_same_function, feed_for, fold, run
from oracle import evaluate
from passing import (
    affine_of,
    ask,
    assert_goes_down,
    assert_goes_up,
    assert_joins,
    assert_joins_not,
    assert_stays,
    random_affine,
)

from folding.affine import ChannelAffine
from folding.carriers import Moved
from folding.plan import Kept, Reason

SHAPE = (2, 3, 5, 7)
CONDITIONS = [(), (7,), (3, 1, 1), (2, 1, 5, 1), SHAPE]
CONSTANTS = [(), (1,), (5, 7), (3, 1, 7), SHAPE]
MIXED = affine_of([0.5, -2.0, 0.0], [1.0, -3.0, 0.25], -3)
WITHOUT_ZERO = affine_of([0.5, -2.0, 4.0], [1.0, -3.0, 0.25], -3)
SHIFT = affine_of([1.0] * 3, [1.0, -3.0, 0.25], -3)
UNIFORM = affine_of([-2.5] * 3, [-1.0] * 3, -3)
SCALAR = affine_of(-0.5, 2.0, None)


def condition(net: Net, *shape: int) -> str:
    return net.store(net.random.random(shape) < 0.5, "c", 0)


def network(
    one: tuple[int | str, ...] = SHAPE,
    other: tuple[int | str, ...] = SHAPE,
    mask: tuple[int, ...] = SHAPE,
    elem_type: int = DOUBLE,
) -> Net:
    """A Where of two inputs, by a constant condition of any truths."""
    net = Net(elem_type)
    names = net.input(*one, name="a"), net.input(*other, name="b")
    net.node("Where", condition(net, *mask), *names, out="y")
    return net


def with_constant(shape: tuple[int, ...], slot: int, mask: tuple[int, ...] = SHAPE) -> Net:
    """A Where of an input and a constant, which is in the slot."""
    net = Net(DOUBLE)
    names = [net.input(*SHAPE), net.weight(*shape)]
    net.node("Where", condition(net, *mask), *names[:: 1 if slot == 2 else -1], out="y")
    return net


def the_way(net: Net, affine: ChannelAffine) -> Moved:
    _, answer = ask(net, affine)
    assert not isinstance(answer, Kept), answer
    (way,) = answer
    return way


@pytest.mark.parametrize("mask", CONDITIONS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_up_both_branches_take_the_affine(axis: int, mask: tuple[int, ...]) -> None:
    """Of any sign, zero among them; the condition may be of any shape."""
    net = network(mask=mask)
    for sign in (0, 1):
        affine = random_affine(SHAPE[axis], axis, sign=sign)

        assert_goes_up(net, affine)
        assert set(the_way(net, affine).affines) == {1, 2}


@pytest.mark.parametrize("affine", [UNIFORM, SCALAR])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), ()])
def test_up_a_branch_without_the_channels_takes_equal_numbers(
    thin: tuple[int, ...], affine: ChannelAffine
) -> None:
    """It keeps its shape."""
    assert_goes_up(network(SHAPE, thin), affine)
    assert_goes_up(network(thin, SHAPE), affine)


@pytest.mark.parametrize("slot", [1, 2])
@pytest.mark.parametrize("shape", CONSTANTS)
@pytest.mark.parametrize("affine", [MIXED, SHIFT, UNIFORM, SCALAR])
def test_up_a_constant_branch_takes_the_affine_in(
    affine: ChannelAffine, shape: tuple[int, ...], slot: int
) -> None:
    """It may grow along the channels."""
    net = with_constant(shape, slot)

    assert_goes_up(net, affine)
    way = the_way(net, affine)
    assert (set(way.constants), set(way.affines)) == ({slot}, {3 - slot})


def test_up_what_changes_nothing_goes_to_a_branch_and_never_to_the_condition() -> None:
    """The condition is no number."""
    nothing = affine_of([1.0] * 3, [0.0] * 3, -3)
    net = Net(DOUBLE)
    net.node("Where", net.input(*SHAPE, name="c", elem_type=BOOL), net.weight(), net.input(*SHAPE))
    assert set(the_way(net, nothing).affines) == {2}

    net.nodes.clear()
    net.node("Where", "c", net.weight(3, 1, 1), net.weight(), out="y")
    assert set(the_way(net, nothing).constants) == {1, 2}


@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), ()])
@pytest.mark.parametrize("affine", [MIXED, SHIFT])
def test_up_a_branch_without_the_channels_stops_different_numbers(
    affine: ChannelAffine, thin: tuple[int, ...]
) -> None:
    """It would grow (condition 1)."""
    assert_stays(network(SHAPE, thin), affine, Reason.OPERAND_GROWS)
    assert_stays(network(thin, SHAPE), affine, Reason.OPERAND_GROWS)


def test_up_a_branch_of_unknown_size_stops_different_numbers() -> None:
    """It might have one channel for all (condition 1)."""
    assert_stays(network(SHAPE, (2, "c", 5, 7)), MIXED, Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("slot", [1, 2])
@pytest.mark.parametrize("shape", CONSTANTS)
@pytest.mark.parametrize("affine", [WITHOUT_ZERO, SHIFT, UNIFORM, SCALAR])
def test_down_a_constant_moves_back(
    affine: ChannelAffine, shape: tuple[int, ...], slot: int
) -> None:
    """It is where the affine reaches what it was."""
    assert_goes_down(with_constant(shape, slot), affine, place=3 - slot)


@pytest.mark.parametrize("affine", [MIXED, SHIFT, UNIFORM, SCALAR])
def test_down_the_same_affine_before_both_branches_passes(affine: ChannelAffine) -> None:
    """Zero scales as well, and where both are one value."""
    assert_joins(network(), {1: affine, 2: affine})
    net = Net(DOUBLE)
    net.node("Where", condition(net, *SHAPE), net.input(*SHAPE), "x", out="y")
    assert_goes_down(net, affine, place=2)


def test_down_different_affines_stay() -> None:
    """Their channels are mixed (condition 2)."""
    assert_joins_not(network(), {1: MIXED, 2: WITHOUT_ZERO}, Reason.BRANCHES_DIFFER)


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("affine", [WITHOUT_ZERO, SHIFT, SCALAR])
def test_down_everything_stays_beside_another_branch(affine: ChannelAffine, place: int) -> None:
    """It is not moved along (condition 2)."""
    assert_stays(network(), affine, Reason.OTHER_BRANCH, down=True, place=place)


def test_down_a_zero_scale_stays_beside_a_constant() -> None:
    """It never reaches the constant (condition 2)."""
    assert_stays(with_constant((5, 7), 2), MIXED, Reason.UNUSUAL_FORM, down=True, place=1)


@pytest.mark.parametrize("mask", CONDITIONS)
def test_the_definition_agrees_with_onnxruntime(mask: tuple[int, ...]) -> None:
    """What the tests above compare with is what the operator is."""
    model = network((3, 1, 7), SHAPE, mask, FLOAT).model("y")
    feed = feed_for(model)

    np.testing.assert_array_equal(evaluate(model, feed)[0], run(model, feed)[0])


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("down", [False, True])
def test_a_norm_goes_through_a_choice(elem_type: int, *, down: bool) -> None:
    """Of a layer and a constant, by a condition known at run time."""
    net = Net(elem_type)
    x = net.input(2, 4, 5)
    data = net.batch_norm(x, 4) if down else net.node("Conv", x, net.weight(4, 4, 1))
    mask = net.input(2, 1, 5, name="mask", elem_type=BOOL)
    chosen = net.node("Where", mask, data, net.store(0.5))
    end = net.node("Conv", chosen, net.weight(4, 4, 1)) if down else net.batch_norm(chosen, 4)
    model = net.model(end)

    result = fold(model)

    assert sorted(result.operators) == ["Conv", "Where"]
    assert_same_function(model, result.model)
