"""Max and Min of branches: passed by what keeps the order of numbers."""

from __future__ import annotations

import numpy as np
import passing
import pytest
from graphs import DOUBLE, FLOAT, Net, feed_for, run
from onnx import helper
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine
from folding.carriers import Moved
from folding.plan import Kept, Reason

SHAPE = (2, 3, 5, 7)
Size = int | str | None
#: Every form of the operators, and how many operands it is tried with.
FORMS = [
    (operator, opset, count)
    for operator in ("Max", "Min")
    for opset, count in ((6, 2), (8, 1), (8, 3), (12, 2), (13, 4))
]
#: Constants that broadcasting finds a place for in SHAPE.
CONSTANTS = [(), (1,), (5, 7), (3, 1, 7), (1, 3, 1, 1), (1, 1, 1, 1), (2, 1, 5, 1), SHAPE]
OVER_CHANNELS = affine_of([0.5, 2.0, 0.0], [1.0, -3.0, 0.25], -3)
WITHOUT_ZERO = affine_of([0.5, 2.0, 4.0], [1.0, -3.0, 0.25], -3)
NEGATIVE = affine_of([0.5, -2.0, 4.0], [1.0, -3.0, 0.25], -3)
SHIFT = affine_of([1.0] * 3, [1.0, -3.0, 0.25], -3)
UNIFORM = affine_of([2.5] * 3, [-1.0] * 3, -3)
SCALAR = affine_of(0.5, 2.0, None)


def network(operator: str, *shapes: tuple[Size, ...], opset: int = 17) -> Net:
    """One node on inputs ``a``, ``b`` and so on of these shapes."""
    net = Net(DOUBLE, opset=opset)
    names = [net.input(*shape, name=chr(ord("a") + i)) for i, shape in enumerate(shapes)]
    net.node(operator, *names, out="y")
    return net


def with_constant(operator: str, constant: tuple[int, ...], slot: int) -> Net:
    """One node on an input and a constant in a slot."""
    net = Net(DOUBLE)
    names = [net.input(*SHAPE)]
    names.insert(slot, net.weight(*constant, name="c"))
    net.node(operator, *names, out="y")
    return net


def repeated(operator: str, count: int) -> Net:
    """One node that reads the same value several times."""
    net = Net(DOUBLE)
    net.node(operator, *[net.input(*SHAPE)] * count, out="y")
    return net


def the_way(net: Net, affine: ChannelAffine, *, down: bool = False) -> Moved:
    _, answer = ask(net, affine, down=down)
    assert not isinstance(answer, Kept), answer
    (way,) = answer
    return way


@pytest.mark.parametrize(("operator", "opset", "count"), FORMS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_up_all_operands_take_the_affine(axis: int, operator: str, opset: int, count: int) -> None:
    """Zero is among its scales."""
    net = network(operator, *[SHAPE] * count, opset=opset)
    affine = random_affine(SHAPE[axis], axis, sign=1)

    assert_goes_up(net, affine)
    assert set(the_way(net, affine).affines) == set(range(count))


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, SHIFT, UNIFORM, SCALAR])
def test_up_any_numbers_that_are_not_negative_pass(affine: ChannelAffine, operator: str) -> None:
    """Different ones, equal ones, shifts alone and scalars."""
    assert_goes_up(network(operator, SHAPE, SHAPE, SHAPE), affine)


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("affine", [UNIFORM, SCALAR])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), (), ("one", "one", 5, 7)])
def test_up_an_operand_without_the_channels_takes_equal_numbers(
    thin: tuple[Size, ...], affine: ChannelAffine, operator: str
) -> None:
    """It keeps its shape, and it need not even be known."""
    assert_goes_up(network(operator, SHAPE, thin), affine, one=1)
    assert_goes_up(network(operator, thin, SHAPE), affine, one=1)


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, SHIFT, UNIFORM, SCALAR])
def test_up_a_constant_operand_takes_the_affine_in(
    affine: ChannelAffine, slot: int, constant: tuple[int, ...], operator: str
) -> None:
    """It may grow along the channels."""
    net = with_constant(operator, constant, slot)

    assert_goes_up(net, affine)
    way = the_way(net, affine)
    assert (set(way.constants), set(way.affines)) == ({slot}, {1 - slot})


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("down", [False, True])
def test_a_constant_of_zero_stays_if_there_is_no_shift(operator: str, *, down: bool) -> None:
    """Max(x, 0) is Relu, and does not grow a vector of zeros."""
    net = Net(DOUBLE)
    net.node(operator, net.input(*SHAPE), net.store(0.0), out="y")
    scales = affine_of(WITHOUT_ZERO.scale.high, [0.0] * 3, -3)

    (assert_goes_down if down else assert_goes_up)(net, scales)
    assert not the_way(net, scales, down=down).constants


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_the_same_constant_may_stand_in_several_slots(operator: str) -> None:
    """Each has its new value."""
    net = Net(DOUBLE)
    net.node(operator, net.weight(5, 7, name="c"), net.input(*SHAPE), "c", out="y")

    assert_goes_up(net, OVER_CHANNELS)
    assert_goes_down(net, WITHOUT_ZERO, place=1)


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("down", [False, True])
def test_a_negative_scale_stays(operator: str, *, down: bool) -> None:
    """One among others is enough (condition 1)."""
    assert_stays(network(operator, SHAPE, SHAPE), NEGATIVE, Reason.NEGATIVE_SCALE, down=down)
    assert_stays(with_constant(operator, (5, 7), 1), NEGATIVE, Reason.NEGATIVE_SCALE, down=down)
    assert_stays(repeated(operator, 2), NEGATIVE, Reason.NEGATIVE_SCALE, down=down)


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), ()])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, SHIFT])
def test_up_an_operand_without_the_channels_stops_different_numbers(
    affine: ChannelAffine, thin: tuple[int, ...], operator: str
) -> None:
    """It would grow, by the shift alone as well (condition 2)."""
    assert_stays(network(operator, SHAPE, thin), affine, Reason.OPERAND_GROWS)
    assert_stays(network(operator, thin, SHAPE), affine, Reason.OPERAND_GROWS)


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_up_an_operand_of_unknown_size_stops_different_numbers(operator: str) -> None:
    """It might have one channel for all (condition 2)."""
    net = network(operator, SHAPE, (2, "c", 5, 7))

    assert_stays(net, OVER_CHANNELS, Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_up_an_operand_of_unknown_rank_stops_different_numbers(operator: str) -> None:
    """It might lack the axis (condition 2)."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("b", DOUBLE, None))
    net.node(operator, net.input(*SHAPE), "b", out="y")

    assert_stays(net, OVER_CHANNELS, Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("down", [False, True])
def test_a_constant_that_is_not_evaluated_stops_everything(
    monkeypatch: pytest.MonkeyPatch, *, down: bool
) -> None:
    """What it would become is not known (conditions 2 and 3)."""
    monkeypatch.setattr(passing.Around, "numbers", lambda *_: None)

    assert_stays(with_constant("Max", (5, 7), 1), WITHOUT_ZERO, Reason.TOO_COMPLEX, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_a_constant_that_is_not_finite_stays(*, down: bool) -> None:
    """Nothing is computed with such numbers (conditions 2 and 3)."""
    net = Net(DOUBLE)
    net.node("Max", net.input(2, 2, 2), net.store([[0.0, -np.inf], [0.0, 0.0]]), out="y")

    assert_stays(net, affine_of([2.0, 3.0], [0.0, 1.0], -2), Reason.NOT_FINITE, down=down)


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, SHIFT, UNIFORM, SCALAR])
def test_a_value_with_itself_passes_everything(
    affine: ChannelAffine, count: int, operator: str
) -> None:
    """The operator does nothing."""
    net = repeated(operator, count)

    assert_goes_down(net, affine, place=count - 1)
    parts = the_way(net, affine).affines
    assert set(parts) == set(range(count))
    for part in parts.values():
        assert (part.scale.high == affine.scale.high).all()
        assert (part.shift.high == affine.shift.high).all()


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("affine", [WITHOUT_ZERO, SHIFT, UNIFORM, SCALAR])
def test_down_constants_move_back(
    affine: ChannelAffine, slot: int, constant: tuple[int, ...], operator: str
) -> None:
    """They are where the affine reaches what they were."""
    assert_goes_down(with_constant(operator, constant, slot), affine, place=1 - slot)


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_down_one_channel_that_is_stretched_becomes_a_scalar(operator: str) -> None:
    """The result has more channels than the operand."""
    net = Net(DOUBLE)
    net.node(operator, net.input(2, 1, 5), net.weight(3, 5), out="y")

    assert_goes_down(net, affine_of([2.0], [1.0], -2))
    assert the_way(net, affine_of([2.0], [1.0], -2), down=True).affines[0].axis is None


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize("affine", [WITHOUT_ZERO, SHIFT, SCALAR])
@pytest.mark.parametrize("place", [0, 1])
def test_down_everything_stays_beside_another_branch(
    place: int, affine: ChannelAffine, operator: str
) -> None:
    """The other operand is not moved along (condition 3)."""
    net = network(operator, SHAPE, SHAPE)

    assert_stays(net, affine, Reason.OTHER_BRANCH, down=True, place=place)


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_down_one_branch_among_constants_is_enough_to_stay(operator: str) -> None:
    """All others must be constants (condition 3)."""
    net = Net(DOUBLE)
    net.node(operator, net.input(*SHAPE), net.weight(5, 7), net.input(7, name="b"), out="y")

    assert_stays(net, WITHOUT_ZERO, Reason.OTHER_BRANCH, down=True)


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_down_a_zero_scale_stays_beside_a_constant(operator: str) -> None:
    """It never reaches the constant (condition 3)."""
    net = with_constant(operator, (5, 7), 1)

    assert_stays(net, OVER_CHANNELS, Reason.UNUSUAL_FORM, down=True)


@pytest.mark.parametrize(("operator", "opset", "count"), FORMS)
def test_the_definitions_agree_with_onnxruntime(operator: str, opset: int, count: int) -> None:
    """What the tests above compare with is what the operator is."""
    net = Net(FLOAT, opset=max(opset, 7))
    shapes = [SHAPE] * count if opset < 8 else [SHAPE, (5, 7), (3, 1, 7), (1,)][:count]
    names = [net.input(*shape, name=f"x{i}") for i, shape in enumerate(shapes)]
    net.node(operator, *names, out="y")
    model = net.model("y")
    feed = feed_for(model)

    np.testing.assert_array_equal(evaluate(model, feed)[0], run(model, feed)[0])
