"""Einsum of a constant: behind it or before it, its weight takes in what it can."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, INT64, Net
from normed import assert_defined, assert_refused, assert_taken
from onnx import helper
from passing import affine_of, random_affine

from folding.plan import Reason

LENGTHS = {"a": 2, "b": 3, "c": 4, "d": 5, "E": 3}
# The equation, and the letter that the affine acts along.
BEHIND = [
    ("ab,bc->ac", "c"),
    ("bac,cd->bad", "d"),
    ("abc,dc->abd", "d"),
    ("abc,cd->dab", "d"),
    ("abc,cdE->abdE", "d"),
    ("abc,cdE->abdE", "E"),
    ("abcE,cEd->abd", "d"),
    ("abc,acd->abd", "a"),
    ("abc,acd->abd", "d"),
    ("ab,b->ab", "b"),
    ("ab,cd->abcd", "c"),
    ("ab,bcd->ac", "c"),
    ("a,b->ab", "b"),
    ("ab,bc", "c"),
    ("ba,Eb", "E"),
    (" a b , b c -> a c ", "c"),
    ("aE,Ed->ad", "d"),
    ("...b,bc->...c", "c"),
    ("...ab,bc->...ca", "c"),
    ("...bd,abd->...ad", "a"),
    ("... b, bc", "c"),
]
# The equation, and the letter along which the affine acts on x: summed over, or not.
BEFORE = [
    ("ab,bc->ac", "b"),
    ("abc,cd->abd", "c"),
    ("abc,dc->abd", "c"),
    ("ab,b->a", "b"),
    ("ab,b->ab", "b"),
    ("abc,bc->ac", "c"),
    ("abc,cd->dab", "c"),
    ("abcE,cEd->abd", "c"),
    ("abcE,cEd->abd", "E"),
    ("ab,bcd->ac", "b"),
    ("ab,bc", "b"),
    ("abc,bcd->ad", "b"),
    ("...b,bc->...c", "b"),
    ("...ab,bc->...ca", "b"),
    ("...b,bc", "b"),
]


def terms(equation: str) -> list[str]:
    return equation.replace(" ", "").partition("->")[0].split(",")


def result(equation: str) -> str:
    left, arrow, right = equation.replace(" ", "").partition("->")
    return right if arrow else "".join(sorted(c for c in left if left.count(c) == 1 and c != ","))


def shape(term: str, lengths: dict[str, int]) -> list[int]:
    """The lengths of a term's letters, behind two axes for an ellipsis."""
    return [3, 2] * ("..." in term) + [lengths[c] for c in term.replace("...", "")]


def net(equation: str, *, slot: int = 1, elem_type: int = DOUBLE, **sizes: int) -> Net:
    """The second term is that of the weight, which stands in ``slot``."""
    made = Net(elem_type)
    data, weight = (shape(term, LENGTHS | sizes) for term in terms(equation))
    given = [made.input(*data), made.weight(*weight, name="w")]
    if slot == 0:
        left, arrow, right = equation.partition("->")
        equation = ",".join(reversed(left.split(","))) + arrow + right
        given.reverse()
    made.node("Einsum", *given, out="y", equation=equation)
    return made


def written(equation: str, *shapes: tuple[int, ...]) -> Net:
    """An equation of any form; the last operand is the weight."""
    made = Net(DOUBLE)
    inputs = [made.input(*shape, name=f"x{i}") for i, shape in enumerate(shapes[:-1])]
    made.node("Einsum", *inputs, made.weight(*shapes[-1], name="w"), out="y", equation=equation)
    return made


def place(term: str, letter: str) -> int:
    return term.index(letter) - len(term)


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


def test_an_affine_before_the_weight_itself_is_refused() -> None:
    assert_refused(net("ab,bc->ac"), random_affine(3, -2), Reason.RUNTIME_WEIGHT, slot=1)


def test_one_operand_alone_must_be_constant() -> None:
    both, none = Net(DOUBLE), Net(DOUBLE)
    both.node("Einsum", both.weight(2, 3), both.weight(3, 4), out="y", equation="ab,bc->ac")
    given = none.input(2, 3), none.input(3, 4, name="w")
    none.node("Einsum", *given, out="y", equation="ab,bc->ac")

    for made in (both, none):
        assert_refused(made, random_affine(4, -1), Reason.RUNTIME_WEIGHT)
        assert_refused(made, random_affine(3, -1), Reason.RUNTIME_WEIGHT, slot=0)


def test_weights_that_are_integers_are_refused() -> None:
    made = Net(INT64)
    made.node("Einsum", made.input(2, 3), made.weight(3, 4, name="w"), out="y", equation="ab,bc")

    assert_refused(made, random_affine(4, -1), Reason.WEIGHT_TYPE, at="w")


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
