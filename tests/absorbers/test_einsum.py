"""Einsum of a constant: its weight takes in what stands behind it; the shift becomes an Add."""

from __future__ import annotations

import pytest
from equations import BEFORE, BEHIND, LENGTHS, net, place, result, terms, written
from graphs import DOUBLE, FLOAT, INT64, Net, plan
from normed import assert_defined, assert_refused, assert_taken
from passing import affine_of, random_affine

from folding.plan import Kept, Reason


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize(("equation", "letter"), BEHIND)
def test_behind_it_the_weight_takes_in_what_acts_along_an_axis_of_its_own(
    equation: str, letter: str, slot: int, *, shift: bool
) -> None:
    acts = place(result(equation), letter)
    affine = random_affine(LENGTHS[letter], acts, shift=shift)

    answer = assert_taken(net(equation, slot=slot), affine)

    assert set(answer.factors) == {slot}
    assert (answer.shift is not None) == shift


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("shift", [0.0, 1.5])
@pytest.mark.parametrize("equation", sorted({equation for equation, _ in BEHIND}))
def test_behind_it_a_scalar_goes_to_every_weight(equation: str, shift: float, slot: int) -> None:
    assert_taken(net(equation, slot=slot), affine_of(-0.5, shift, None))


def test_behind_it_a_scalar_of_an_axis_that_grows_is_added_along_it() -> None:
    assert_taken(net("bc,bc->bc", c=4, b=3), affine_of(-0.5, 1.5, None))
    assert_taken(written("bc,bc->bc", (3, 4), (3, 1)), affine_of(-0.5, 1.5, None))


@pytest.mark.parametrize(("equation", "letter"), [("ab,bc->ac", "a"), ("abc,cd->abd", "b")])
def test_a_letter_that_only_the_data_has_is_refused(equation: str, letter: str) -> None:
    made = net(equation)
    behind = random_affine(LENGTHS[letter], place(result(equation), letter))
    before = random_affine(LENGTHS[letter], place(terms(equation)[0], letter))

    assert_refused(made, behind, Reason.NOT_OUTPUT_CHANNELS)
    assert_refused(made, before, Reason.NOT_INPUT_CHANNELS, slot=0)


def test_an_axis_that_is_not_there_is_refused() -> None:
    assert_refused(net("ab,bc->ac"), random_affine(4, -3), Reason.NOT_OUTPUT_CHANNELS)
    assert_refused(net("ab,bc->ac"), random_affine(4, -3), Reason.NOT_INPUT_CHANNELS, slot=0)


def test_a_scalar_behind_a_weight_that_is_summed_over_wholly_is_refused() -> None:
    assert_refused(net("ab,b->a"), affine_of(2.0, 0.0, None), Reason.NOT_OUTPUT_CHANNELS)


def test_a_weight_without_axes_is_refused() -> None:
    made = written("ab,->ab", (2, 3), ())

    assert_refused(made, affine_of(2.0, 0.0, None), Reason.NOT_OUTPUT_CHANNELS)
    assert_refused(made, affine_of(2.0, 0.0, None), Reason.NOT_INPUT_CHANNELS, slot=0)


def test_other_channels_than_those_of_the_weight_are_refused() -> None:
    made = written("ab,ab->ab", (2, 3), (2, 1))

    assert_refused(made, random_affine(3, -1), Reason.BAD_LAYER)
    assert_refused(made, random_affine(3, -1), Reason.BAD_LAYER, slot=0)


@pytest.mark.parametrize("weight", [(3,), (3, 3, 3)])
def test_a_weight_of_another_rank_than_its_term_is_refused(weight: tuple[int, ...]) -> None:
    assert_refused(written("ab,bc->ac", (2, 3), weight), random_affine(3, -1), Reason.BAD_LAYER)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("...b,bc->c", ((2, 3), (3, 3))),
        ("b,...bc->...c", ((3,), (2, 3, 3))),
        ("...b,...bc->...c", ((2, 3), (2, 3, 3))),
        ("a...b,bc->a...c", ((2, 2, 3), (3, 3))),
        ("a...b,bc", ((2, 2, 3), (3, 3))),
        ("...b,bc->c...", ((2, 3), (3, 3))),
        ("ab,bc->...", ((2, 3), (3, 3))),
        ("ab,bc->...ac", ((2, 3), (3, 3))),
        ("aa,ac->c", ((3, 3), (3, 3))),
        ("ab,bb->ab", ((2, 3), (3, 3))),
        ("ab,bc->cc", ((2, 3), (3, 3))),
        ("ab,bc->ad", ((2, 3), (3, 3))),
        ("ab,b1->a1", ((2, 3), (3, 3))),
        ("ab,b\xe4->a\xe4", ((2, 3), (3, 3))),
        ("ab,bc->a,c", ((2, 3), (3, 3))),
        ("abc", ((2, 3), (3, 3))),
        ("ab,bc,cd->ad", ((2, 3), (3, 3))),
        ("ab,b,bc->ac", ((2, 3), (3,), (3, 3))),
        ("bc->bc", ((3, 3),)),
    ],
)
def test_an_unusual_equation_is_refused(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    made = written(equation, *shapes)

    assert_refused(made, random_affine(3, -1), Reason.UNUSUAL_FORM)
    assert_refused(made, random_affine(3, -1), Reason.UNUSUAL_FORM, slot=0)


def test_an_equation_must_be_given() -> None:
    made = net("ab,bc->ac")
    del made.nodes[-1].attribute[:]

    assert_refused(made, random_affine(4, -1), Reason.UNUSUAL_FORM)


def test_two_run_time_operands_are_refused() -> None:
    made = Net(DOUBLE)
    given = made.input(2, 3), made.input(3, 4, name="w")
    made.node("Einsum", *given, out="y", equation="ab,bc->ac")

    assert_refused(made, random_affine(4, -1), Reason.RUNTIME_OPERANDS)
    assert_refused(made, random_affine(3, -1), Reason.RUNTIME_OPERANDS, slot=0)


def test_the_first_of_two_constants_takes_in_what_acts_along_it() -> None:
    made = Net(DOUBLE)
    made.node("Einsum", made.weight(2, 3), made.weight(3, 4), out="y", equation="ab,bc->ac")

    assert_taken(made, random_affine(2, -2))


@pytest.mark.parametrize("is_behind", [True, False])
@pytest.mark.parametrize("slot", [0, 1])
def test_an_operand_that_is_not_evaluated_is_not_called_computed_at_run_time(
    slot: int, *, is_behind: bool
) -> None:
    made = Net()
    value = made.input(4, 4)
    if not is_behind:
        value = made.node("Mul", value, made.weight(4, *[1] * slot))
    given = [value, made.node("Erf", made.weight(4, 4), out="w")]
    out = made.node("Einsum", *(given if slot else given[::-1]), equation="ab,bc->ac")
    if is_behind:
        made.node("Mul", out, made.weight(4, *[1] * (1 - slot)), out="y")

    (decision,) = plan(made.model("y" if is_behind else out))
    assert isinstance(decision.outcome, Kept)
    kept = decision.outcome if is_behind else decision.outcome.below
    assert kept is not None
    assert (kept.reason, kept.at) == (Reason.TOO_COMPLEX, "w")


def test_weights_that_are_integers_are_refused() -> None:
    made = Net(INT64)
    made.node("Einsum", made.input(2, 3), made.weight(3, 4, name="w"), out="y", equation="ab,bc")

    assert_refused(made, random_affine(4, -1), Reason.WEIGHT_TYPE, at="w")


# onnxruntime cannot find the result of "ba,Eb" itself: it knows no upper case there.
@pytest.mark.parametrize(
    "equation", sorted({e for e, _ in (*BEHIND, *BEFORE)} - {"ba,Eb"} | {"ab,bc->", "b,b->"})
)
def test_the_definition_is_that_of_the_runtime(equation: str) -> None:
    assert_defined(net(equation, elem_type=FLOAT))


@pytest.mark.parametrize("shapes", [((2, 1), (3, 4)), ((2, 3), (1, 4))])
def test_an_axis_of_length_one_goes_with_any_length_in_the_runtime_too(
    shapes: tuple[tuple[int, ...], ...],
) -> None:
    made = written("ab,bc->ac", *shapes)
    for value in made.inputs:
        value.type.tensor_type.elem_type = FLOAT
    made.stored = {name: value.astype("f4") for name, value in made.stored.items()}

    assert_defined(made)
