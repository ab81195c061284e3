"""Einsums of one constant for the tests."""

from __future__ import annotations

from graphs import DOUBLE, Net

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
