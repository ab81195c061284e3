"""Products and quotients of branches: a scale goes to one operand."""

from __future__ import annotations

import numpy as np
import passing
import pytest
from graphs import DOUBLE, Net
from onnx import helper
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine
from folding.carriers import Moved
from folding.plan import Reason

SHAPE = (2, 3, 5, 7)
Size = int | str | None
FORMS = [("Mul", 7), ("Mul", 13), ("Mul", 14), ("Div", 7), ("Div", 13), ("Div", 14)]
#: Constants that broadcasting finds a place for in SHAPE.
CONSTANTS = [(), (1,), (5, 7), (3, 1, 7), (1, 3, 1, 1), (1, 1, 1, 1), (2, 1, 5, 1), SHAPE]
OVER_CHANNELS = affine_of([0.5, -2.0, 4.0], [0.0] * 3, -3)
WITH_ZERO = affine_of([0.5, 0.0, -4.0], [0.0] * 3, -3)
UNIFORM = affine_of([-2.5] * 3, [0.0] * 3, -3)
SCALAR = affine_of(-0.5, 0.0, None)


def network(operator: str, *shapes: tuple[Size, ...], opset: int = 17) -> Net:
    """One node on inputs ``a`` and ``b`` of these shapes."""
    net = Net(DOUBLE, opset=opset)
    names = [net.input(*shape, name="ab"[i]) for i, shape in enumerate(shapes)]
    net.node(operator, *names, out="y")
    return net


def with_constant(operator: str, constant: tuple[int, ...], slot: int) -> Net:
    """One node on an input and a constant in a slot."""
    net = Net(DOUBLE)
    names = [net.input(*SHAPE)]
    names.insert(slot, net.weight(*constant, name="c"))
    net.node(operator, *names, out="y")
    return net


def squared(operator: str) -> Net:
    """One node that reads the same value twice."""
    net = Net(DOUBLE)
    net.node(operator, net.input(*SHAPE), "x", out="y")
    return net


def ways(net: Net, affine: ChannelAffine) -> tuple[Moved, ...]:
    _, answer = ask(net, affine)
    assert isinstance(answer, tuple), answer
    return answer


def places(net: Net, affine: ChannelAffine) -> list[list[int]]:
    """The slots that have an affine, way by way."""
    return [list(way.affines) for way in ways(net, affine)]


@pytest.mark.parametrize(("operator", "opset"), FORMS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_up_a_scale_goes_to_either_operand(axis: int, operator: str, opset: int) -> None:
    """Both ways are exact, with scales of both signs."""
    net = network(operator, SHAPE, SHAPE, opset=opset)
    affine = random_affine(SHAPE[axis], axis, shift=False)

    assert_goes_up(net, affine)
    assert places(net, affine) == [[0], [1]]


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("affine", [UNIFORM, SCALAR])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), ("one", "one", 5, 7)])
def test_up_equal_scales_go_to_any_operand(
    thin: tuple[Size, ...], affine: ChannelAffine, operator: str
) -> None:
    """Also to one that lacks the channels, and if they are written as a vector."""
    net = network(operator, SHAPE, thin)

    assert_goes_up(net, affine, one=1)
    assert places(net, affine) == [[0], [1]]


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), (), ("one", "one", 5, 7)])
@pytest.mark.parametrize("slot", [0, 1])
def test_up_different_scales_go_to_the_operand_that_has_the_channels(
    slot: int, thin: tuple[Size, ...], operator: str
) -> None:
    """The other one would grow (condition 2), or is not known to have them."""
    net = network(operator, *([thin, SHAPE] if slot else [SHAPE, thin]))

    assert_goes_up(net, OVER_CHANNELS, one=1)
    assert places(net, OVER_CHANNELS) == [[slot]]


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_up_a_gate_may_be_scaled_instead(operator: str) -> None:
    """It has all channels, and one number for each: squeeze and excite."""
    net = network(operator, SHAPE, (2, 3, 1, 1))

    assert_goes_up(net, OVER_CHANNELS)
    assert places(net, OVER_CHANNELS) == [[0], [1]]


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, UNIFORM, SCALAR])
def test_up_a_constant_operand_takes_in_the_scale(
    affine: ChannelAffine, slot: int, constant: tuple[int, ...], operator: str
) -> None:
    """It may grow along the channels, and nothing is left to travel."""
    net = with_constant(operator, constant, slot)

    assert_goes_up(net, affine)
    (way,) = ways(net, affine)
    assert set(way.constants) == {slot}
    assert not way.affines


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_up_a_zero_scale_goes_to_a_factor_and_never_to_a_divisor(operator: str) -> None:
    """Nothing can be divided by it (condition 3)."""
    net = network(operator, SHAPE, SHAPE)

    assert_goes_up(net, WITH_ZERO)
    assert places(net, WITH_ZERO) == ([[0]] if operator == "Div" else [[0], [1]])


def test_up_a_zero_scale_does_not_go_to_a_constant_divisor() -> None:
    """The other operand takes it (condition 3)."""
    net = with_constant("Div", (5, 7), 1)

    assert_goes_up(net, WITH_ZERO)
    assert places(net, WITH_ZERO) == [[0]]


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_up_beside_a_constant_that_is_not_evaluated_the_scale_goes_to_the_other(
    operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the constant would become is not known."""
    monkeypatch.setattr(passing.Around, "numbers", lambda *_: None)

    assert places(with_constant(operator, (5, 7), 1), OVER_CHANNELS) == [[0]]


@pytest.mark.parametrize(("operator", "opset"), FORMS)
@pytest.mark.parametrize("down", [False, True])
def test_a_shift_stays(operator: str, opset: int, *, down: bool) -> None:
    """It would be multiplied by the other operand (condition 1)."""
    net = network(operator, SHAPE, SHAPE, opset=opset)

    assert_stays(net, random_affine(3, -3), Reason.SHIFT_BLOCKED, down=down)


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_up_different_scales_stay_if_no_operand_is_known_to_have_the_channels(
    operator: str,
) -> None:
    """One of them must, but which is not known (condition 2)."""
    net = network(operator, (2, "c", 5), (2, "d", 5))

    assert_stays(net, affine_of([1.0, 2.0, 3.0], [0.0] * 3, -2), Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_up_different_scales_do_not_go_to_an_operand_of_unknown_rank(operator: str) -> None:
    """It might lack the axis (condition 2)."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("b", DOUBLE, None))
    net.node(operator, net.input(*SHAPE), "b", out="y")

    assert places(net, OVER_CHANNELS) == [[0]]
    assert places(net, UNIFORM) == [[0], [1]]


def test_up_zero_scales_stay_if_the_dividend_has_no_channels() -> None:
    """The divisor has them, but cannot take a zero (conditions 2 and 3)."""
    net = network("Div", (5, 7), SHAPE)

    assert_stays(net, WITH_ZERO, Reason.OPERAND_GROWS)


def test_up_an_infinite_factor_does_not_take_a_zero_scale() -> None:
    """Nothing is computed with such numbers."""
    net = Net(DOUBLE)
    net.node("Mul", net.input(2, 2, 2), net.store([[1.0, np.inf], [1.0, 1.0]]), out="y")

    assert_stays(net, affine_of([2.0, 0.0], [0.0, 0.0], -2), Reason.NOT_FINITE)


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_up_a_value_with_itself_stays(operator: str) -> None:
    """What goes to one operand would go to both (condition 4)."""
    assert_stays(squared(operator), OVER_CHANNELS, Reason.UNUSUAL_FORM)


@pytest.mark.parametrize(("operator", "opset"), FORMS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
@pytest.mark.parametrize("place", [0, 1])
def test_down_a_scale_passes_from_either_operand(
    place: int, axis: int, operator: str, opset: int
) -> None:
    """Behind a divisor it is the reciprocal."""
    net = network(operator, SHAPE, SHAPE, opset=opset)

    assert_goes_down(net, random_affine(SHAPE[axis], axis, shift=False), place=place)
    assert_goes_down(net, SCALAR, place=place)


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("other", [(5, 7), (1,), (2, 1, 5, 7), ("one", "one", 5, 7), (4, *SHAPE)])
@pytest.mark.parametrize("place", [0, 1])
def test_down_a_scale_passes_whatever_the_other_operand_is(
    place: int, other: tuple[Size, ...], operator: str
) -> None:
    """The result has the channels where they were, counted from the right."""
    net = network(operator, *([other, SHAPE] if place else [SHAPE, other]))

    assert_goes_down(net, OVER_CHANNELS, place=place, one=1)


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("place", [0, 1])
def test_down_constants_stay_what_they_are(place: int, operator: str) -> None:
    """The scale is only multiplied at another time."""
    net = with_constant(operator, (5, 7), 1 - place)

    assert_goes_down(net, OVER_CHANNELS, place=place)
    _, answer = ask(net, OVER_CHANNELS, down=True, place=place)
    assert isinstance(answer, tuple)
    assert not answer[0].constants


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("place", [0, 1])
def test_down_one_channel_that_is_stretched_becomes_a_scalar(place: int, operator: str) -> None:
    """The result has more channels than the operand."""
    shapes = [(2, 1, 5), (2, 3, 5)]
    net = network(operator, *(shapes[::-1] if place else shapes))

    assert_goes_down(net, affine_of([2.0], [0.0], -2), place=place)
    _, answer = ask(net, affine_of([2.0], [0.0], -2), down=True, place=place)
    assert isinstance(answer, tuple)
    assert answer[0].affines[0].axis is None


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, WITH_ZERO, SCALAR])
def test_down_a_square_squares_the_scale(affine: ChannelAffine, place: int) -> None:
    """Both operands carry it."""
    assert_goes_down(squared("Mul"), affine, place=place)


def test_down_a_square_of_one_channel_has_a_scalar_behind_it() -> None:
    """As behind any product."""
    net = Net(DOUBLE)
    net.node("Mul", net.input(2, 1, 5), "x", out="y")

    assert_goes_down(net, affine_of([-3.0], [0.0], -2))
    _, answer = ask(net, affine_of([-3.0], [0.0], -2), down=True)
    assert isinstance(answer, tuple)
    assert answer[0].affines[0].axis is None


@pytest.mark.parametrize("place", [0, 1])
def test_down_a_zero_scale_passes_a_factor(place: int) -> None:
    """It makes zeros either way."""
    assert_goes_down(network("Mul", SHAPE, SHAPE), WITH_ZERO, place=place)
    assert_goes_down(network("Div", SHAPE, SHAPE), WITH_ZERO, place=0)


def test_down_a_zero_scale_before_a_divisor_stays() -> None:
    """Its reciprocal is no number (condition 3)."""
    net = network("Div", SHAPE, SHAPE)

    assert_stays(net, WITH_ZERO, Reason.UNUSUAL_FORM, down=True, place=1)


@pytest.mark.parametrize("place", [0, 1])
def test_down_a_value_divided_by_itself_stays(place: int) -> None:
    """Nothing of the scale reaches the result (condition 4)."""
    assert_stays(squared("Div"), OVER_CHANNELS, Reason.UNUSUAL_FORM, down=True, place=place)


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("down", [False, True])
def test_below_opset_7_nothing_passes(operator: str, *, down: bool) -> None:
    """An attribute says how the operands are broadcast (condition 5)."""
    net = Net(DOUBLE, opset=6)
    net.node(operator, net.input(*SHAPE), net.input(*SHAPE, name="b"), out="y", broadcast=1)

    assert_stays(net, OVER_CHANNELS, Reason.OLD_OPSET, down=down)
