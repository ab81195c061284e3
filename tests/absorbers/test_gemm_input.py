"""Gemm with an affine before A or B: what is summed over is scaled, the rest is added to C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from absorbing import ask, assert_refused, assert_taken
from graphs import DOUBLE, Net
from passing import affine_of, random_affine

from folding.plan import Kept, Reason

ROWS, DEPTH, WIDTH = 3, 5, 4
SHAPES_OF_C = [(), (1,), (WIDTH,), (1, 1), (1, WIDTH), (ROWS, 1), (ROWS, WIDTH)]
TRANSPOSED = [(0, 0), (0, 1), (1, 0), (1, 1)]


def net(
    slot: int,
    c: tuple[int, ...] | None = None,
    *,
    at: int = 0,
    bt: int = 0,
    rows: int | str = ROWS,
    width: int | str = WIDTH,
    opset: int = 17,
    **attributes: Any,
) -> Net:
    """A Gemm of a [3, 5] with a [5, 4], either of them stored transposed; one of them is data."""
    made = Net(DOUBLE, opset=opset)
    a = (DEPTH, rows) if at else (rows, DEPTH)
    b = (width, DEPTH) if bt else (DEPTH, width)
    left = made.input(*a) if slot == 0 else made.weight(*map(int, a), name="w")
    right = made.input(*b) if slot == 1 else made.weight(*map(int, b), name="w")
    inputs = [left, right] + ([made.weight(*c, name="c")] if c is not None else [])
    made.node("Gemm", *inputs, out="y", transA=at, transB=bt, **attributes)
    return made


def summed_axis(slot: int, at: int, bt: int) -> int:
    """Where K is in A or B, from the right, by the definition."""
    return (-2 if at else -1) if slot == 0 else (-1 if bt else -2)


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize(("at", "bt"), TRANSPOSED)
@pytest.mark.parametrize("c", [None, *SHAPES_OF_C])
@pytest.mark.parametrize("beta", [1.0, 0.75, 0.0])
def test_the_constant_factor_and_c_take_in_scales_and_shifts(
    slot: int, at: int, bt: int, c: tuple[int, ...] | None, beta: float
) -> None:
    made = net(slot, c, at=at, bt=bt, alpha=-0.5, beta=beta)

    answer = assert_taken(made, random_affine(DEPTH, summed_axis(slot, at, bt)), slot)

    assert set(answer.factors) == {1 - slot}
    assert set(answer.constants) == {2}
    assert answer.attributes == {"beta": 1.0}
    assert answer.shift is None


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize(("at", "bt"), TRANSPOSED)
def test_scales_of_zero_and_a_default_alpha_and_beta(slot: int, at: int, bt: int) -> None:
    made = net(slot, (ROWS, WIDTH), at=at, bt=bt)

    assert_taken(made, random_affine(DEPTH, summed_axis(slot, at, bt), sign=1), slot)


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("c", [None, *SHAPES_OF_C])
def test_the_same_affine_for_all_goes_in(slot: int, c: tuple[int, ...] | None) -> None:
    assert_taken(net(slot, c, alpha=2.0), affine_of(-0.75, 1.5, None), slot)


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("c", [None, (1, 1), (1, WIDTH), (ROWS, 1)])
def test_the_other_size_of_the_data_need_not_be_known(slot: int, c: tuple[int, ...] | None) -> None:
    made = net(0, c, rows="m") if slot == 0 else net(1, c, width="n")

    assert_taken(made, random_affine(DEPTH, -1 - slot), slot, m=ROWS, n=WIDTH)


@pytest.mark.parametrize(
    ("slot", "c", "after"),
    [
        (0, None, (WIDTH,)),
        (0, (), (WIDTH,)),
        (0, (ROWS, 1), (ROWS, WIDTH)),
        (1, None, (ROWS, 1)),
        (1, (1,), (ROWS, 1)),
        (1, (WIDTH,), (ROWS, WIDTH)),
    ],
)
def test_c_grows_no_more_than_it_must(
    slot: int, c: tuple[int, ...] | None, after: tuple[int, ...]
) -> None:
    answer = assert_taken(net(slot, c), random_affine(DEPTH, -1 - slot), slot)

    assert answer.constants[2].shape == after


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("opset", [5, 17])
def test_scales_alone_leave_c_and_beta_whatever_they_are(slot: int, opset: int) -> None:
    """Below opset 7, too, where C broadcasts by another rule."""
    made = net(slot, opset=opset, alpha=0.5, beta=0.25)
    made.nodes[0].input.append(made.input(ROWS, WIDTH, name="c"))

    answer = assert_taken(made, random_affine(DEPTH, -1 - slot, shift=False), slot)

    assert not answer.constants
    assert not answer.attributes


@pytest.mark.parametrize("beta", [1.0, 0.0])
def test_an_infinite_c_takes_no_shift_in(beta: float) -> None:
    made = net(0, (WIDTH,), beta=beta)
    made.stored["c"][1] = np.inf

    _, answer = ask(made, random_affine(DEPTH, -1))

    assert answer == Kept(Reason.NOT_FINITE, "c")


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize(("at", "bt"), TRANSPOSED)
def test_an_affine_along_the_axis_that_is_not_summed_over_stays(
    slot: int, at: int, bt: int
) -> None:
    """In a square, where no size tells the axes apart."""
    made = Net(DOUBLE)
    inputs = made.input(4, 4), made.weight(4, 4)
    made.node("Gemm", *(inputs if slot == 0 else inputs[::-1]), out="y", transA=at, transB=bt)
    axis = -3 - summed_axis(slot, at, bt)

    assert_refused(made, random_affine(4, axis, shift=False), Reason.NOT_INPUT_CHANNELS, slot)


def test_an_affine_before_c_stays() -> None:
    made = net(0)
    made.nodes[0].input.append(made.input(WIDTH, name="c"))

    assert_refused(made, affine_of(2.0, 0.0, None), Reason.NOT_INPUT_CHANNELS, 2)


@pytest.mark.parametrize("slot", [0, 1])
def test_two_factors_computed_at_run_time_are_refused(slot: int) -> None:
    made = Net(DOUBLE)
    made.node("Gemm", made.input(3, 5), made.input(5, 4, name="b"), out="y")

    assert_refused(made, random_affine(5, -1 - slot), Reason.RUNTIME_WEIGHT, slot)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_c_computed_at_run_time_takes_no_shift_in(slot: int) -> None:
    made = net(slot)
    made.nodes[0].input.append(made.input(ROWS, WIDTH, name="c"))

    assert_refused(made, random_affine(DEPTH, -1 - slot), Reason.RUNTIME_BIAS, slot)


@pytest.mark.parametrize("slot", [0, 1])
def test_below_opset_7_it_takes_no_shift_in(slot: int) -> None:
    made = net(slot, (ROWS, WIDTH), opset=6)

    assert_refused(made, random_affine(DEPTH, -1 - slot), Reason.OLD_OPSET, slot)


@pytest.mark.parametrize(("slot", "c"), [(0, (3,)), (0, (ROWS, 2)), (1, (2, WIDTH)), (1, (2, 1))])
def test_a_c_that_does_not_broadcast_is_refused(slot: int, c: tuple[int, ...]) -> None:
    assert_refused(net(slot, c), random_affine(DEPTH, -1 - slot), Reason.BAD_LAYER, slot)


@pytest.mark.parametrize("slot", [0, 1])
def test_other_channels_than_are_summed_over_are_refused(slot: int) -> None:
    assert_refused(net(slot), random_affine(3, -1 - slot), Reason.BAD_LAYER, slot)


def test_a_weight_of_another_rank_is_refused() -> None:
    made = Net(DOUBLE)
    made.node("Gemm", made.input(3, 5), made.weight(1, 5, 4), out="y")

    assert_refused(made, affine_of(2.0, 0.0, None), Reason.BAD_LAYER)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_weight_that_is_not_finite_takes_no_shift_in(slot: int) -> None:
    made = net(slot)
    made.stored["w"][0, 2] = np.inf

    _, answer = ask(made, random_affine(DEPTH, -1 - slot), slot)

    assert answer == Kept(Reason.NOT_FINITE, "w")
