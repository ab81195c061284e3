"""Relu, LeakyRelu and PRelu: passed by what leaves each number on its side of zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, Net, feed_for, run
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine
from folding.carriers import CARRIERS
from folding.plan import Reason

SHAPE = (2, 3, 5, 7)
FORMS: list[tuple[str, dict[str, Any], int]] = [
    ("Relu", {}, 6),
    ("Relu", {}, 13),
    ("Relu", {}, 14),
    ("LeakyRelu", {}, 6),
    ("LeakyRelu", {"alpha": 0.25}, 16),
    ("LeakyRelu", {"alpha": -1.5}, 16),
    ("LeakyRelu", {"alpha": 3.0}, 16),
    ("PRelu", {}, 6),
    ("PRelu", {}, 7),
    ("PRelu", {}, 9),
    ("PRelu", {}, 16),
]


def network(operator: str, attributes: dict[str, Any], opset: int, elem_type: int = DOUBLE) -> Net:
    net = Net(elem_type, opset=opset)
    net.input(*SHAPE)
    slope = [net.weight(3) if opset < 7 else net.weight(3, 1, 1)] if operator == "PRelu" else []
    net.node(operator, "x", *slope, out="y", **attributes)
    return net


@pytest.mark.parametrize(("operator", "attributes", "opset"), FORMS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_scales_that_are_not_negative_pass_in_both_directions(
    axis: int, operator: str, attributes: dict[str, Any], opset: int
) -> None:
    """Zero is among them, on every axis, whatever the slope is."""
    affine = random_affine(SHAPE[axis], axis, sign=1, shift=False)

    assert_goes_up(network(operator, attributes, opset), affine)
    assert_goes_down(network(operator, attributes, opset), affine)


@pytest.mark.parametrize(("operator", "attributes", "opset"), FORMS)
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_a_scalar_passes(
    scale: float, operator: str, attributes: dict[str, Any], opset: int
) -> None:
    """One number for all channels has no axis."""
    affine = affine_of(scale, 0.0, None)

    assert_goes_up(network(operator, attributes, opset), affine)
    assert_goes_down(network(operator, attributes, opset), affine)


@pytest.mark.parametrize("slope", [(), (1,), (5, 1), (7,), (2, 3, 5, 7)])
def test_a_slope_of_any_shape_may_be_computed_at_run_time(slope: tuple[int, ...]) -> None:
    """A PRelu's slope stays what it is."""
    for check in (assert_goes_up, assert_goes_down):
        net = Net(DOUBLE)
        net.node("PRelu", net.input(*SHAPE), net.input(*slope, name="slope"), out="y")
        check(net, random_affine(3, -3, sign=1, shift=False))


@pytest.mark.parametrize(("operator", "attributes", "opset"), FORMS)
@pytest.mark.parametrize("down", [False, True])
def test_a_shift_stays(
    operator: str, attributes: dict[str, Any], opset: int, *, down: bool
) -> None:
    """It would move zero (condition 1)."""
    net = network(operator, attributes, opset)

    assert_stays(net, random_affine(3, -3, sign=1), Reason.SHIFT_BLOCKED, down=down)


@pytest.mark.parametrize(("operator", "attributes", "opset"), FORMS)
@pytest.mark.parametrize("down", [False, True])
def test_a_negative_scale_stays(
    operator: str, attributes: dict[str, Any], opset: int, *, down: bool
) -> None:
    """One among others is enough (condition 2)."""
    net = network(operator, attributes, opset)
    affine = affine_of([1.0, -0.5, 2.0], [0.0, 0.0, 0.0], -3)

    assert_stays(net, affine, Reason.NEGATIVE_SCALE, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_what_is_scaled_is_not_also_the_slope(*, down: bool) -> None:
    """PRelu(x, x) squares what is negative (condition 3)."""
    net = Net(DOUBLE)
    net.node("PRelu", net.input(*SHAPE), "x", out="y")

    assert_stays(
        net, random_affine(3, -3, sign=1, shift=False), Reason.UNUSUAL_FORM, down=down, place=0
    )


def test_an_affine_before_the_slope_stays() -> None:
    """Only negative numbers would be scaled by it (condition 3)."""
    net = Net(DOUBLE)
    net.node("PRelu", net.input(*SHAPE), net.input(*SHAPE, name="slope"), out="y")

    affine = random_affine(3, -3, sign=1, shift=False)

    assert_stays(net, affine, Reason.UNUSUAL_FORM, down=True, place=1)


def test_the_affine_is_the_same_on_the_other_side() -> None:
    """This is what the rule promises the search: nothing but the place of the affine changes."""
    affine = random_affine(3, -3, sign=1, shift=False)
    assert CARRIERS["Relu"].keeps_numbers

    _, answer = ask(network("Relu", {}, 17), affine)

    assert isinstance(answer, tuple)
    passed = answer[0].affines[0]
    assert isinstance(passed, ChannelAffine)
    assert (passed.scale, passed.shift, passed.axis) == (affine.scale, affine.shift, affine.axis)


@pytest.mark.parametrize(("operator", "attributes", "opset"), [f for f in FORMS if f[2] > 6])
def test_the_definitions_agree_with_onnxruntime(
    operator: str, attributes: dict[str, Any], opset: int
) -> None:
    """What the tests above compare with is what the operator is."""
    model = network(operator, attributes, opset, FLOAT).model("y")
    feed = feed_for(model)

    for ours, theirs in zip(evaluate(model, feed), run(model, feed), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
