"""What goes over many carriers at once comes out as if it had gone over each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, HALF, Net, assert_folds_to, assert_same_function, fold, plan

from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.plan import Kept, Reason
from folding.traces import alike, key_of, move_of, traced

#: Of two channels and three pixels: views whose last axis, or the one before, has both channels.
VIEWS = ([1, 6], [1, 2, 3, 1], [2, 1, 3], [1, 2, 1, 3])


def affine(scale: list[float], shift: list[float] | float = 0.0) -> ChannelAffine:
    return ChannelAffine(Doubled.exact(scale), Doubled.exact(shift), -1)


def reshaped(net: Net, value: str, *views: list[int]) -> str:
    for view in views:
        value = net.node("Reshape", value, net.integers(*view))
    return value


def layer(net: Net) -> str:
    """Two channels of three pixels."""
    return net.node("Conv", net.input(1, 3, 3), net.weight(2, 3, 1))


def scaled(net: Net, value: str, numbers: Any) -> str:
    return net.node("Mul", value, net.store(numbers))


@pytest.mark.parametrize(
    ("scale", "shift", "same"),
    [
        ([1.0, 2.0], 0.0, ()),
        ([1.0, 1.0], [3.0, 4.0], ()),
        ([1.0, 2.0, 1.0, 2.0], 0.0, (0, 1, 0, 1)),
        ([0.0, -0.0], [1.0, 1.0], (0, 0)),
    ],
)
def test_channels_are_alike_whose_scales_and_shifts_are_the_same(
    scale: list[float], shift: list[float] | float, same: tuple[int, ...]
) -> None:
    assert alike(affine(scale, shift)) == same


def test_a_trace_has_the_key_of_the_affine() -> None:
    """Else what it meets on its way would be asked of another one."""
    for one in (affine([3.0, 2.0]), affine([1.0, -1.0, 1.0], 2.0), affine([5.0, 5.0, 4.0], 1.0)):
        trace = traced(one, alike(one))

        assert key_of(trace, 1, alike(trace)) == key_of(one, 1, alike(one))


def test_a_move_takes_each_number_with_its_error_along() -> None:
    """Channels with the same numbers may not be known equally well."""
    scale = Doubled(np.array([2.0, 2.0]), np.array([0.0, 0.0]), np.array([2.0, 9.0]))
    one = ChannelAffine(scale, Doubled.exact([1.0, 1.0]), -1)
    trace = traced(one, alike(one))
    moved = move_of(trace.of_channels(np.array([1, 1, 0, 0]), -3), trace).of(one)

    assert (moved.axis, moved.channels) == (-3, 4)
    assert moved.scale.magnitude.tolist() == [9.0, 9.0, 2.0, 2.0]
    assert moved.shift.high.tolist() == [1.0] * 4


@pytest.mark.parametrize("view", VIEWS)
def test_affines_between_reshapes_go_to_the_layer_one_by_one(view: list[int]) -> None:
    """Each goes over all that those before have gone over."""
    net = Net(DOUBLE)
    value = layer(net)
    for _ in range(4):
        value = reshaped(net, value, view, [1, 2, 3])
        value = net.batch_norm(value, 2)
    model = net.model(value)

    assert_folds_to(model, "Conv", *["Reshape"] * 8)


def test_numbers_that_repeat_may_go_where_others_cannot() -> None:
    """What passes a row of carriers is not known by the number of channels alone."""
    repeated, others = [2.0] * 3 + [3.0] * 3, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    net = Net(DOUBLE)
    value = reshaped(net, layer(net), [2, 3], [1, 6])
    for numbers in (repeated, repeated, others):
        value = reshaped(net, scaled(net, value, numbers), [1, 2, 3], [1, 6])
    model = net.model(value)

    result = fold(model)

    assert [decision.is_folded for decision in result.plan.decisions] == [True, True, False]
    assert result.operators.count("Mul") == 1
    assert_same_function(model, result.model)


def test_an_affine_goes_over_numbers_that_cost_something_and_over_reshapes() -> None:
    """A number is folded only with the norm behind it, since the weight is shared."""
    net = Net(DOUBLE)
    weight = net.weight(2, 3, 1)
    value = net.node("Conv", net.input(1, 3, 3), weight)
    for number in (3.0, 5.0):
        value = reshaped(net, value, [1, 2, 3, 1], [1, 6])
        value = net.node("Mul", value, net.store(number))
    value = scaled(net, reshaped(net, value, [6]), [2.0] * 3 + [5.0] * 3)
    model = net.model(value, net.node("Conv", "x", weight))

    assert_folds_to(model, "Conv", *["Reshape"] * 5, "Conv")


def rounded(net: Net) -> str:
    """What no affine passes, though each may pass those before it on the way there."""
    return net.node("Cast", net.node("Conv", *as_float(net)), to=HALF)


def as_float(net: Net) -> tuple[str, str]:
    """Data and a weight for a layer."""
    return net.input(1, 3, 3, elem_type=FLOAT), net.weight(2, 3, 1, elem_type=FLOAT)


def test_an_affine_does_not_come_over_one_along_another_axis_as_the_same_number_does() -> None:
    net = Net(HALF)
    value = scaled(net, rounded(net), [[2.0], [3.0]])
    value = scaled(net, net.node("Identity", value), [2.0, 2.0, 2.0])
    value = scaled(net, net.node("Identity", value), [2.0, 3.0, 4.0])
    outcomes = [decision.outcome for decision in plan(net.model(value))]

    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Kept)]
    assert reasons[-1] is Reason.OTHER_AXIS
