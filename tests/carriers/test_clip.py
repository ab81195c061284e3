"""Clip: its bounds move along with the affine."""

from __future__ import annotations

from typing import Any

import numpy as np
import passing
import pytest
from graphs import DOUBLE, FLOAT, HALF, Net, feed_for, run
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine
from folding.carriers import Moved
from folding.doubled import Doubled
from folding.floats import FLOATS
from folding.plan import Kept, Reason

SHAPE = (2, 3, 5, 7)
INF = float("inf")
LARGEST = float(np.finfo(np.float32).max)
#: Lower and upper bounds that bound something.
BOUNDS = [(-0.5, 0.75), (0.0, None), (None, 0.25), (0.0, 6.0), (0.5, 0.5), (0.25, INF)]
OPSETS = [11, 12, 13]
#: Scales differ, none is negative, and there is no shift.
SCALES = affine_of([0.5, 2.0, 4.0], [0.0] * 3, -3)
WITH_ZERO = affine_of([0.5, 0.0, 4.0], [0.0] * 3, -3)
UNIFORM = affine_of([2.5] * 3, [-1.0] * 3, -3)
SCALAR = affine_of(0.5, 2.0, None)
SHIFT = affine_of(1.0, -0.5, None)


def network(
    lower: float | None,
    upper: float | None,
    opset: int = 13,
    elem_type: int = DOUBLE,
    dims: tuple[int, ...] = (),
) -> Net:
    """A Clip with bounds of this shape, None for an absent one."""
    net = Net(elem_type, opset=opset)
    net.input(*SHAPE)
    given = {"min": lower, "max": upper}
    if opset < 11:
        present: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        net.node("Clip", "x", out="y", **present)
        return net
    names = [
        net.store(np.full(dims, value), name) if value is not None else ""
        for name, value in given.items()
    ]
    while names and not names[-1]:
        names.pop()
    net.node("Clip", "x", *names, out="y")
    return net


def the_way(net: Net, affine: ChannelAffine, *, down: bool = False) -> Moved:
    _, answer = ask(net, affine, down=down)
    assert not isinstance(answer, Kept), answer
    (way,) = answer
    return way


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("affine", [UNIFORM, SCALAR, SHIFT])
@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
def test_equal_numbers_move_the_bounds(
    lower: float | None, upper: float | None, affine: ChannelAffine, opset: int
) -> None:
    """In both directions, whichever bounds there are."""
    assert_goes_up(network(lower, upper, opset), affine)
    assert_goes_down(network(lower, upper, opset), affine)


@pytest.mark.parametrize("down", [False, True])
def test_absent_and_infinite_bounds_stay_what_they_are(*, down: bool) -> None:
    """They bound nothing; the largest number of the type does as little."""
    for elem_type in (FLOAT, DOUBLE, HALF):
        largest = FLOATS[elem_type].largest
        for upper in (None, INF, largest):
            net = network(0.5, upper, elem_type=elem_type)
            assert set(the_way(net, UNIFORM, down=down).constants) == {1}
        for lower in (None, -INF, -largest):
            net = network(lower, 0.5, elem_type=elem_type)
            assert set(the_way(net, UNIFORM, down=down).constants) == {2}


def test_the_largest_number_of_another_type_is_a_bound() -> None:
    """A float64 may be larger than any float32."""
    assert set(the_way(network(0.5, LARGEST), SCALAR).constants) == {1, 2}


def test_of_an_unknown_type_only_infinity_bounds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number may be smaller than its largest."""
    monkeypatch.setattr(passing.Around, "type", lambda *_: 0)

    way = the_way(network(-INF, LARGEST, elem_type=FLOAT), affine_of(0.5, 0.0, None))

    assert set(way.constants) == {2}


def test_bounds_keep_their_shape() -> None:
    """Some exporters write them as vectors of one number."""
    for check in (assert_goes_up, assert_goes_down):
        check(network(-0.5, 0.75, dims=(1,)), UNIFORM)
    way = the_way(network(-0.5, 0.75, dims=(1,)), UNIFORM)
    assert [value.shape for value in way.constants.values()] == [(1,), (1,)]


@pytest.mark.parametrize("opset", [6, *OPSETS])
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
@pytest.mark.parametrize(
    ("lower", "upper"),
    [(0.0, None), (None, 0.0), (0.0, INF), (0.0, LARGEST), (-LARGEST, 0.0), (0.0, 0.0)],
)
def test_different_scales_pass_bounds_of_zero(
    lower: float | None, upper: float | None, axis: int, opset: int
) -> None:
    """As they pass a Relu, zero scales too; attributes need not change for that."""
    affine = random_affine(SHAPE[axis], axis, sign=1, shift=False)
    for check in (assert_goes_up, assert_goes_down):
        check(network(lower, upper, opset, FLOAT), affine)
    for down in (False, True):
        assert not the_way(network(lower, upper, opset, FLOAT), affine, down=down).constants


@pytest.mark.parametrize("opset", [6, *OPSETS])
@pytest.mark.parametrize("bounds", [(None, None), (-INF, INF), (-LARGEST, None)])
def test_without_bounds_everything_passes(
    bounds: tuple[float | None, float | None], opset: int
) -> None:
    """The operator does nothing then, and negative scales do no harm."""
    affine = random_affine(3, -3)

    assert_goes_up(network(*bounds, opset, FLOAT), affine)
    assert_goes_down(network(*bounds, opset, FLOAT), affine)


def test_up_different_scales_move_a_bound_of_zero_with_an_equal_shift() -> None:
    """What the bound becomes is the shift, for all channels."""
    affine = affine_of([0.5, 2.0, 0.0], [0.75] * 3, -3)

    assert_goes_up(network(0.0, None), affine)


def test_down_different_scales_pass_a_bound_that_is_the_shift() -> None:
    """There the data before the affine was zero, whatever its scale, and zero itself too."""
    affine = affine_of([0.5, 2.0, 0.0], [0.75] * 3, -3)

    assert_goes_down(network(0.75, None), affine)


def test_up_a_zero_scale_leaves_nothing_but_the_shift() -> None:
    """The bounds are the shift then, and so is everything between them."""
    assert_goes_up(network(-0.5, 0.75), affine_of(0.0, 2.0, None))


def test_the_shift_may_be_one_number_beside_a_vector_of_scales() -> None:
    """An affine's parts need not have the same shape."""
    affine = affine_of([0.5, 2.0, 4.0], 0.0, -3)

    assert_goes_up(network(0.0, None), affine)
    assert_goes_down(network(0.0, None), affine)


@pytest.mark.parametrize("opset", [6, *OPSETS])
@pytest.mark.parametrize("down", [False, True])
def test_a_negative_scale_stays(opset: int, *, down: bool) -> None:
    """It would turn the bounds round (condition 1)."""
    for scale in ([0.5, -1.0, 2.0], [-1.0] * 3):
        affine = affine_of(scale, [0.0] * 3, -3)
        assert_stays(network(0.0, None, opset), affine, Reason.NEGATIVE_SCALE, down=down)


@pytest.mark.parametrize("affine", [affine_of(0.0, 2.0, None), WITH_ZERO])
def test_down_a_zero_scale_never_reaches_a_bound(affine: ChannelAffine) -> None:
    """Unless the bound is the shift (condition 1)."""
    assert_stays(network(-0.5, None), affine, Reason.UNUSUAL_FORM, down=True)
    assert_stays(network(None, 0.75), affine, Reason.UNUSUAL_FORM, down=True)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("bounds", [(-0.5, None), (None, 0.75), (0.0, 6.0)])
def test_different_scales_stay_before_other_bounds(
    bounds: tuple[float | None, float | None], *, down: bool
) -> None:
    """They would differ by channel (condition 2)."""
    assert_stays(network(*bounds), SCALES, Reason.OPERAND_GROWS, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_different_shifts_stay(*, down: bool) -> None:
    """Even a bound of zero would differ by channel (condition 2)."""
    affine = affine_of([2.0] * 3, [1.0, -3.0, 0.25], -3)

    assert_stays(network(0.0, None), affine, Reason.OPERAND_GROWS, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_shifts_that_differ_by_less_than_a_float64_can_tell_stay(*, down: bool) -> None:
    """They are told apart as they are everywhere (condition 2)."""
    shift = Doubled.exact([1.0] * 3) + Doubled.exact([0.0, 0.0, 1e-20])

    affine = ChannelAffine(Doubled.exact([2.0] * 3), shift, -3)

    assert_stays(network(0.5, None), affine, Reason.OPERAND_GROWS, down=down)


@pytest.mark.parametrize("bounds", [(INF, None), (None, -INF)])
@pytest.mark.parametrize("down", [False, True])
def test_a_bound_that_lets_nothing_through_stays_as_it_is(
    bounds: tuple[float | None, float | None], *, down: bool
) -> None:
    """Everything is infinite behind it (condition 2)."""
    assert_stays(network(*bounds), SCALAR, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("name", ["min", "max"])
@pytest.mark.parametrize("down", [False, True])
def test_a_bound_computed_at_run_time_stops_everything(name: str, *, down: bool) -> None:
    """It has no new value (condition 3)."""
    net = Net(DOUBLE)
    names = ("", net.input(name=name)) if name == "max" else (net.input(name=name),)
    net.node("Clip", net.input(*SHAPE), *names, out="y")

    assert_stays(net, SCALAR, Reason.RUNTIME_PARAMETER, down=down)


@pytest.mark.parametrize("opset", [6, *OPSETS])
@pytest.mark.parametrize("down", [False, True])
def test_bounds_out_of_order_stop_everything(opset: int, *, down: bool) -> None:
    """What they mean was left open below opset 13 (condition 3)."""
    assert_stays(network(0.5, -0.5, opset), SCALAR, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("bounds", [(float("nan"), 1.0), (None, float("nan"))])
@pytest.mark.parametrize("down", [False, True])
def test_a_bound_that_is_no_number_stops_everything(
    bounds: tuple[float | None, float | None], *, down: bool
) -> None:
    """It has no order with others (condition 3)."""
    assert_stays(network(*bounds), SCALAR, Reason.NOT_FINITE, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_bounds_of_several_numbers_stop_everything(*, down: bool) -> None:
    """By the definition there is one for all (condition 3)."""
    net = network(0.0, None, dims=(7,))

    assert_stays(net, SCALAR, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("bounds", [(-0.5, 0.75), (0.0, 6.0), (None, 0.75)])
def test_below_opset_11_bounds_do_not_move(
    bounds: tuple[float | None, float | None], *, down: bool
) -> None:
    """They are attributes (condition 4)."""
    for affine in (UNIFORM, SCALAR):
        assert_stays(network(*bounds, opset=6), affine, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("place", [1, 2])
def test_down_an_affine_before_a_bound_stays(place: int) -> None:
    """Only the data is carried (condition 5)."""
    assert_stays(network(-0.5, 0.75), SCALAR, Reason.UNUSUAL_FORM, down=True, place=place)


@pytest.mark.parametrize("opset", [7, *OPSETS])
@pytest.mark.parametrize(("lower", "upper"), [*BOUNDS, (None, None), (-LARGEST, LARGEST)])
def test_the_definition_agrees_with_onnxruntime(
    lower: float | None, upper: float | None, opset: int
) -> None:
    """What the tests above compare with is what the operator is."""
    model = network(lower, upper, opset, FLOAT).model("y")
    feed = feed_for(model)

    np.testing.assert_array_equal(evaluate(model, feed)[0], run(model, feed)[0])
