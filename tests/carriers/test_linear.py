"""CumSum and Trilu: a scale passes, a shift does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, INT64, Net, assert_folds_to, feed_for, run
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.carriers import Moved
from folding.plan import Reason

SHAPE = (2, 3, 4)
SCALAR, UNIFORM = affine_of(-2.0, 0.0, None), affine_of([0.5] * 3, [0.0] * 3, -2)
ORDERS: list[dict[str, Any]] = [{}, {"exclusive": 1}, {"reverse": 1}]


def summing(axis: int, dims: tuple[int | str, ...] = SHAPE, **given: Any) -> Net:
    net = Net(DOUBLE)
    place = net.store(np.array(axis), elem_type=0)
    net.node("CumSum", net.input(*dims), place, out="y", **given)
    return net


def triangle(*k: int, **given: Any) -> Net:
    net = Net(DOUBLE)
    more = [net.store(np.array(diagonal), elem_type=0) for diagonal in k]
    net.node("Trilu", net.input(*SHAPE), *more, out="y", **given)
    return net


@pytest.mark.parametrize("given", ORDERS)
@pytest.mark.parametrize("axis", [-3, -2, -1, 0, 1, 2])
def test_a_scale_along_another_axis_passes_a_sum(axis: int, given: dict[str, Any]) -> None:
    """Condition 2: both ways, of either sign; and an axis may be counted from either end."""
    for other in (a for a in (-3, -2, -1) if a % 3 != axis % 3):
        affine = random_affine(SHAPE[other], other, shift=False)
        assert_goes_up(summing(axis, **given), affine)
        assert_goes_down(summing(axis, **given), affine)


@pytest.mark.parametrize("affine", [SCALAR, UNIFORM])
def test_equal_scales_pass_a_sum_along_any_axis(affine: Any) -> None:
    """Condition 2."""
    assert_goes_up(summing(1), affine)
    assert_goes_down(summing(1), affine)


@pytest.mark.parametrize("down", [False, True])
def test_a_scale_along_the_axis_of_a_sum_stays(*, down: bool) -> None:
    """Condition 2, refused."""
    affine = random_affine(3, -2, shift=False)

    for axis in (1, -2):
        assert_stays(summing(axis), affine, Reason.MIXES_CHANNELS, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_an_axis_that_is_no_constant_may_be_any(*, down: bool) -> None:
    """Condition 2, refused; a scalar passes."""
    net = Net(DOUBLE)
    net.node("CumSum", net.input(*SHAPE), net.input(name="axis", elem_type=INT64), out="y")

    assert_stays(net, random_affine(3, -2, shift=False), Reason.MISSING_AXES, down=down)
    _, answer = ask(net, SCALAR, down=down)
    assert answer == (Moved({0: SCALAR}),)


@pytest.mark.parametrize("down", [False, True])
def test_an_unknown_rank_hides_an_axis_from_the_left(*, down: bool) -> None:
    """Condition 2, refused; counted from the right it is known."""
    for axis, reason in ((1, Reason.MISSING_AXES), (-2, Reason.MIXES_CHANNELS)):
        net = summing(axis)
        net.inputs[0].type.tensor_type.ClearField("shape")
        assert_stays(net, random_affine(3, -2, shift=False), reason, down=down)


@pytest.mark.parametrize("given", [{}, {"upper": 0}, {"upper": 1}])
@pytest.mark.parametrize("k", [(), (0,), (1,), (-2,)])
def test_a_scale_along_any_axis_passes_a_triangle(k: tuple[int, ...], given: Any) -> None:
    """Condition 2: each element is kept or not."""
    for axis, size in zip((-3, -2, -1), SHAPE, strict=True):
        affine = random_affine(size, axis, shift=False)
        assert_goes_up(triangle(*k, **given), affine)
        assert_goes_down(triangle(*k, **given), affine)
    assert_goes_up(triangle(*k, **given), SCALAR)


@pytest.mark.parametrize("net", [summing(0), triangle()])
@pytest.mark.parametrize("down", [False, True])
def test_no_shift_passes(net: Net, *, down: bool) -> None:
    """Condition 1."""
    for affine in (random_affine(3, -2), affine_of(1.0, 0.5, None)):
        assert_stays(net, affine, Reason.SHIFT_BLOCKED, down=down)


@pytest.mark.parametrize("operator", ["CumSum", "Trilu"])
def test_a_scale_behind_and_one_before_are_folded(operator: str) -> None:
    """One goes up, and one goes down."""
    net = Net(FLOAT)
    more = [net.store(np.array(1), elem_type=0)]
    net.node("MatMul", net.input(2, 3, 4), net.weight(4, 5), out="v")
    net.node("Mul", net.node(operator, "v", *more), net.weight(5), out="y")
    net.node("Mul", "x", net.weight(4), out="s")
    net.node("MatMul", net.node(operator, "s", *more), net.weight(4, 5), out="z")

    assert_folds_to(net.model("y", "z"), "MatMul", operator, operator, "MatMul")


NETS = [summing(axis, **given) for axis in (0, 1, -1) for given in ORDERS]


@pytest.mark.parametrize("net", [*NETS, triangle(), triangle(1), triangle(-1, upper=0)])
def test_the_definition_agrees_with_onnxruntime(net: Net) -> None:
    """What the rules are tested against."""
    net.inputs[0].type.tensor_type.elem_type = FLOAT
    model = net.model("y")
    feed = feed_for(model)

    np.testing.assert_allclose(evaluate(model, feed)[0], run(model, feed)[0], rtol=1e-5, atol=1e-5)
