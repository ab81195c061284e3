"""Einsum of a constant: its weight takes in what stands before the other operand."""

from __future__ import annotations

import numpy as np
import pytest
from equations import BEFORE, LENGTHS, net, place, terms, written
from graphs import DOUBLE, Net
from normed import assert_refused, assert_taken
from onnx import helper
from passing import affine_of, random_affine

from folding.plan import Reason


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize(("equation", "letter"), BEFORE)
def test_before_it_the_weight_takes_in_a_scale(equation: str, letter: str, slot: int) -> None:
    acts = place(terms(equation)[0], letter)
    affine = random_affine(LENGTHS[letter], acts, shift=False)

    answer = assert_taken(net(equation, slot=slot), affine, slot=1 - slot)

    assert answer.shift is None


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize(("equation", "letter"), [e for e in BEFORE if e != ("abc,bc->ac", "b")])
def test_before_it_a_shift_is_added_behind(equation: str, letter: str, slot: int) -> None:
    acts = place(terms(equation)[0], letter)
    affine = random_affine(LENGTHS[letter], acts)

    answer = assert_taken(net(equation, slot=slot), affine, slot=1 - slot)

    assert answer.shift is not None


@pytest.mark.parametrize("shift", [0.0, 1.5])
@pytest.mark.parametrize("equation", sorted({equation for equation, _ in BEFORE}))
def test_before_it_a_scalar_goes_to_every_weight(equation: str, shift: float) -> None:
    assert_taken(net(equation), affine_of(-0.5, shift, None), slot=0)


def test_a_shift_that_weights_cancel_adds_nothing() -> None:
    made = net("ab,bc->ac")
    made.stored["w"] = np.stack([np.ones(4), -np.ones(4), np.zeros(4)])

    answer = assert_taken(made, affine_of(np.full(3, 2.0), np.full(3, 0.5), -1), slot=0)

    assert answer.shift is None


def test_an_affine_before_the_weight_itself_is_refused() -> None:
    assert_refused(net("ab,bc->ac"), random_affine(3, -2), Reason.RUNTIME_OPERANDS, slot=1)


def test_a_shift_counts_as_often_as_an_axis_is_long_that_the_data_alone_sums() -> None:
    made = net("abc,cd->ad")

    assert_taken(made, random_affine(4, -1, shift=False), slot=0)
    assert_refused(made, random_affine(4, -1), Reason.UNUSUAL_FORM, slot=0)


@pytest.mark.parametrize("length", [3, "n", None])
def test_a_shift_counts_as_often_as_the_data_is_long_where_the_weight_is_not(
    length: int | str | None,
) -> None:
    made = Net(DOUBLE)
    if length is None:
        made.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    else:
        made.input(2, length, 4)
    made.node("Einsum", "x", made.weight(1, 4, 5, name="w"), out="y", equation="abc,bcd->ad")

    assert_refused(made, random_affine(4, -1), Reason.SIZES_UNKNOWN, slot=0)
    feed = {"x": np.random.default_rng(0).standard_normal((2, 3, 4))}
    assert_taken(made, random_affine(4, -1, shift=False), slot=0, feed=feed)


def test_a_shift_counts_once_where_both_have_a_length_of_one() -> None:
    assert_taken(written("abc,bcd->ad", (2, 1, 4), (1, 4, 5)), random_affine(4, -1), slot=0)
    leading = written("...bc,bcd->...d", (3, 2, 1, 4), (1, 4, 5))
    assert_taken(leading, random_affine(4, -1), slot=0)


def test_a_shift_that_adds_a_matrix_is_refused() -> None:
    made = net("abc,cdE->abdE")

    assert_refused(made, random_affine(4, -1), Reason.HAS_NO_BIAS, slot=0)
    assert_taken(made, random_affine(4, -1, shift=False), slot=0)
    assert_taken(net("abc,cdE->abdE", d=1), random_affine(4, -1), slot=0)


def test_a_shift_of_a_result_without_axes_is_refused() -> None:
    made = net("b,b->")

    assert_refused(made, random_affine(3, -1), Reason.HAS_NO_BIAS, slot=0)
    assert_taken(made, random_affine(3, -1, shift=False), slot=0)


def test_a_weight_that_is_not_finite_makes_no_shift() -> None:
    made = net("ab,bc->ac")
    made.stored["w"][1, 1] = np.inf

    assert_refused(made, random_affine(3, -1), Reason.NOT_FINITE, slot=0, at="w")
