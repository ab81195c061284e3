"""Cast is passed where no number changes that would not change anyway."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from graphs import (
    BFLOAT,
    DOUBLE,
    FLOAT,
    HALF,
    INT64,
    Net,
    assert_folds_to,
    assert_same_function,
    fold,
    fold_unverified,
    refusal,
)
from onnx import helper
from passing import affine_of, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.carriers import CARRIERS, Passage
from folding.plan import Folded, Kept, Reason

WIDENING = [(HALF, FLOAT), (HALF, DOUBLE), (FLOAT, DOUBLE), (BFLOAT, FLOAT), (BFLOAT, DOUBLE)]


def network(narrow: int, wide: int) -> Net:
    """Conv, Cast to wide, and a scale and shift in wide whose output is ``u``."""
    net = Net(narrow)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Cast", "v", out="w", to=wide)
    net.node("Mul", "w", net.weight(4, 1, elem_type=wide), out="s")
    net.node("Add", "s", net.weight(4, 1, elem_type=wide), out="u")
    return net


@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE, HALF])
def test_from_a_type_to_itself_it_is_passed(elem_type: int) -> None:

    assert_folds_to(network(elem_type, elem_type).model("u"), "Conv", "Cast")


@pytest.mark.parametrize(("narrow", "wide"), WIDENING)
def test_widening_is_passed_if_the_affine_is_narrowed_again(narrow: int, wide: int) -> None:
    net = network(narrow, wide)
    net.node("Cast", "u", out="y", to=narrow)
    model = net.model("y")

    result = fold_unverified(model) if narrow == BFLOAT else fold(model)

    assert result.operators == ["Conv", "Cast", "Cast"]
    assert_same_function(model, result.model)


def test_all_readers_may_narrow() -> None:
    net = network(HALF, FLOAT)
    net.node("Cast", "u", out="y", to=HALF)
    net.node("Cast", "u", out="z", to=HALF)

    assert_folds_to(net.model("y", "z"), "Conv", "Cast", "Cast", "Cast")


def test_widening_is_refused_if_the_result_is_an_output() -> None:
    net = network(HALF, FLOAT)
    net.node("Cast", "u", out="y", to=HALF)

    assert refusal(net.model("y", "u")) == (Reason.CAST_ROUNDS, "w")


def test_widening_is_refused_if_one_reader_keeps_it_wide() -> None:
    net = network(HALF, FLOAT)
    net.node("Cast", "u", out="y", to=HALF)
    net.node("Relu", "u", out="z")

    assert refusal(net.model("y", "z")) == (Reason.CAST_ROUNDS, "w")


def test_widening_is_refused_if_it_is_narrowed_to_a_third_type() -> None:
    net = network(HALF, DOUBLE)
    net.node("Cast", "u", out="y", to=FLOAT)

    assert refusal(net.model("y")) == (Reason.CAST_ROUNDS, "w")


def test_widening_is_refused_if_nothing_reads_the_affine_but_a_shape() -> None:
    net = network(HALF, FLOAT)
    net.node("Shape", "u", out="y")

    assert refusal(net.model("y")) == (Reason.CAST_ROUNDS, "w")


def test_narrowing_is_refused() -> None:
    model = network(FLOAT, HALF).model("u")

    assert refusal(model) == (Reason.CAST_ROUNDS, "w")


def test_narrowing_is_refused_even_if_it_is_widened_again() -> None:
    net = network(FLOAT, HALF)
    net.node("Cast", "u", out="y", to=FLOAT)

    assert refusal(net.model("y")) == (Reason.CAST_ROUNDS, "w")


@pytest.mark.parametrize("pair", [(HALF, BFLOAT), (BFLOAT, HALF)])
def test_neither_of_the_sixteen_bit_types_is_the_wider_one(pair: tuple[int, int]) -> None:
    narrow, wide = pair
    net = network(narrow, wide)
    net.node("Cast", "u", out="y", to=narrow)

    assert refusal(net.model("y")) == (Reason.CAST_ROUNDS, "w")


def test_from_integers_it_is_refused() -> None:
    net = Net()
    net.node("MatMul", net.input(3, 5, elem_type=6), net.store(np.ones((5, 4)), "w", 6), out="v")
    net.node("Cast", "v", out="u", to=FLOAT)
    net.node("Mul", "u", net.weight(4), out="y")

    assert refusal(net.model("y")) == (Reason.CAST_ROUNDS, "u")


def test_a_cast_of_another_domain_does_not_narrow() -> None:
    imports = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Neg", ["a"], ["b"])]
    function = helper.make_function("my", "Cast", ["a"], ["b"], body, imports, attributes=["to"])
    net = network(HALF, FLOAT)
    net.node("Cast", "u", out="y", domain="my", to=HALF)

    outcome = fold(net.model("y", functions=[function])).decision("y").outcome

    assert isinstance(outcome, Folded)
    assert outcome.stays
    assert outcome.rest is not None
    assert (outcome.rest.reason, outcome.rest.at) == (Reason.CAST_ROUNDS, "w")


def cast(before: int, after: int, opset: int = 17) -> Net:
    """A Cast alone."""
    net = Net(before, opset=opset)
    net.node("Cast", net.input(2, 3, 5), out="y", to=after)
    return net


@pytest.mark.parametrize("opset", [6, 9, 13, 19, 21, 23, 24, 25])
@pytest.mark.parametrize("axis", [None, -1, -2, -3])
def test_to_the_same_type_it_is_passed_in_both_directions(opset: int, axis: int | None) -> None:
    """Condition 1."""
    affine = affine_of(-2.0, 3.0, None) if axis is None else random_affine((2, 3, 5)[axis], axis)

    assert_goes_up(cast(DOUBLE, DOUBLE, opset), affine)
    assert_goes_down(cast(DOUBLE, DOUBLE, opset), affine)


@pytest.mark.parametrize(("narrow", "wide"), WIDENING)
@pytest.mark.parametrize("axis", [None, -1, -2, -3])
def test_downward_it_is_passed_to_a_wider_type(narrow: int, wide: int, axis: int | None) -> None:
    """Condition 3."""
    affine = affine_of(-2.0, 3.0, None) if axis is None else random_affine((2, 3, 5)[axis], axis)

    assert_goes_down(cast(narrow, wide), affine)


@pytest.mark.parametrize(
    ("before", "after"),
    [(wide, narrow) for narrow, wide in WIDENING]
    + [(HALF, BFLOAT), (BFLOAT, HALF), (FLOAT, INT64), (INT64, FLOAT)],
)
def test_downward_other_types_are_refused(before: int, after: int) -> None:
    """Condition 4."""
    affine = random_affine(3, -2)

    assert_stays(cast(before, after), affine, Reason.CAST_ROUNDS, down=True)


@pytest.mark.parametrize("down", [False, True])
def test_types_that_are_not_known_are_not_the_same(*, down: bool) -> None:
    """Condition 1: below opset 6 the type is a string, which reads as type 0."""
    around = Mock()
    around.type.return_value = 0
    node = helper.make_node("Cast", ["x"], ["y"], to="FLOAT16")
    asked = CARRIERS["Cast"].down if down else CARRIERS["Cast"].up
    assert asked is not None

    assert asked(random_affine(3, -2), Passage(node, around)) == Kept(
        Reason.CAST_ROUNDS, "y", "Cast"
    )
