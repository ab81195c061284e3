"""Einsum of two operands, against onnxruntime and the text of the specification."""

from __future__ import annotations

import pytest
from graphs import DOUBLE, FLOAT, Net, feed_for
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from samples import assert_by_definition, assert_exact, sampled, untyped, whole_numbers

from folding.equivalence.sampling import Unsupported, contraction

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 2, "f": 3}
#: Dense layers as exporters write them, and all that a weight's letter can be.
DENSE = [
    "ab,bc->ac",
    "abc,cd->abd",
    "abc,dc->abd",
    "abc,cde->abde",
    "abcd,cde->abe",
    "abcd,edc->eab",
    "abc,bcd->abd",
    "abc,bdc->bad",
    "abc,cd->da",
    "abc,cd->ab",
    "abc,cd->d",
    "abc,cd->",
    "ab,cd->abcd",
    "a,b->ab",
    "ab,b->ab",
    "ab,c->cab",
    "abc,dec->eabd",
    "abc,cd",
    "ba,ac",
]
ELLIPTIC = ["...c,cd->...d", "...bc,cd->...bd", "...c,cd", "a...c,cd->a...d", "...c,cd->d..."]


def shape_of(term: str) -> list[int]:
    return [SIZES[letter] for letter in term.replace("...", "fe")]


def dense(equation: str, elem_type: int = FLOAT, *, is_left: bool = False) -> Net:
    """A constant on the right of the equation, or on the left with the terms exchanged."""
    net = Net(elem_type, seed=3)
    terms = equation.partition("->")[0].split(",")
    names = [net.input(*shape_of(terms[0])), whole_numbers(net, *shape_of(terms[1]))]
    if is_left:
        names.reverse()
        left, arrow, result = equation.partition("->")
        equation = ",".join(reversed(left.split(","))) + arrow + result
    net.node("Einsum", *names, out="y", equation=equation)
    return net


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("equation", [*DENSE, *ELLIPTIC])
def test_an_einsum_is_what_the_runtime_computes(equation: str, *, is_left: bool) -> None:
    """Groups, channels before and behind, sums over what either side has alone."""
    assert_exact(dense(equation, is_left=is_left).model("y"))


@pytest.mark.parametrize("block", [1, 7, 16])
@pytest.mark.parametrize("equation", ["abc,cde->abde", "abcd,edc->eab", "abc,bdc->bad"])
def test_blocks_of_a_weight_add_up(
    equation: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is cut."""
    monkeypatch.setattr(contraction, "_block", lambda _: block)

    assert_exact(dense(equation).model("y"))


@pytest.mark.parametrize("equation", [*DENSE[:8], ELLIPTIC[0]])
def test_an_einsum_is_what_the_specification_says(equation: str) -> None:
    """Of any numbers, to the last digits of float64."""
    terms = equation.partition("->")[0].split(",")
    net = Net(DOUBLE)
    inputs = net.input(*shape_of(terms[0])), net.weight(*shape_of(terms[1]))
    net.node("Einsum", *inputs, out="y", equation=equation)

    assert_by_definition(net.model("y"))


@st.composite
def stretched(draw: st.DrawFn) -> ModelProto:
    """An Einsum in which axes of length 1 go with any other."""
    net = Net(seed=draw(st.integers(0, 1000)))
    left, right = draw(st.sampled_from([("abc", "cd"), ("abc", "bcd"), ("ab", "cb")]))
    shapes = [
        [SIZES[letter] if draw(st.booleans()) else 1 for letter in term] for term in (left, right)
    ]
    letters = sorted({*left, *right})
    result = draw(st.permutations(letters))[: draw(st.integers(0, len(letters)))]
    inputs = net.input(*shapes[0]), whole_numbers(net, *shapes[1])
    net.node("Einsum", *inputs, out="y", equation=f"{left}, {right} -> {''.join(result)}")
    return net.model("y")


@given(stretched())
def test_an_axis_of_length_one_goes_with_any_other(model: ModelProto) -> None:
    """On either side, whatever becomes of its letter."""
    assert_exact(model)


def test_both_terms_may_have_an_ellipsis() -> None:
    """It stands for as many axes in both, one of which may be shorter."""
    net = Net()
    inputs = net.input(3, 2, 4, 5), whole_numbers(net, 1, 2, 5, 3)
    net.node("Einsum", *inputs, out="y", equation="...ab,...bc->...ac")

    assert_exact(net.model("y"))


def test_ellipses_of_different_ranks_are_not_supported() -> None:
    """The specification has none."""
    net = Net()
    inputs = net.input(3, 2, 4, 5), net.weight(2, 5, 3)
    net.node("Einsum", *inputs, out="y", equation="...ab,...bc->...ac")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (3, 2, 4, 3)}, "y")

    assert found == Unsupported("an ellipsis of Einsum does not fit")


def test_both_operands_may_be_activations() -> None:
    """One of them is read as a weight all the same."""
    net = Net()
    net.node("Einsum", net.input(2, 3), net.input(3, 4, name="z"), out="y", equation="ab,bc->ca")

    assert_exact(net.model("y"))


@pytest.mark.parametrize(
    ("equation", "count", "result"),
    [
        ("ab,bc,c->a", 3, (2,)),
        ("aa,bc->bc", 2, (4, 4)),
        ("ab,ab,cd->cd", 2, (4, 4)),
        ("abc,cd->abd", 2, (4, 4)),
        ("ab,bc->ad", 2, (4, 4)),
        ("ab,bc->aa", 2, (4, 4)),
        ("ab,bc->ac", 2, (4, 5)),
        ("ab,bc->ac", 2, (4,)),
        ("", 2, (4, 4)),
        ("...abc,cd->...abd", 2, (4, 4, 4)),
    ],
)
def test_other_forms_are_not_supported(equation: str, count: int, result: tuple[int, ...]) -> None:
    """Nor what does not fit the shapes."""
    net = Net()
    inputs = [net.input(4, 4), *(net.weight(4, 4) for _ in range(count - 1))]
    net.node("Einsum", *inputs, out="y", equation=equation)
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


def test_letters_of_two_lengths_are_not_supported() -> None:
    """Unless one of them is 1."""
    net = Net()
    net.node("Einsum", net.input(4, 3), net.weight(4, 2), out="y", equation="ab,cb->ac")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (4, 4)}, "y")

    assert found == Unsupported("the lengths of Einsum do not fit")
