"""Values as they are matched: what operator makes them from which others, names left aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from folding.equivalence.foreign.numbers import Constant
from folding.inference import Shape


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a value that a node makes; an empty ``name`` is one that no file has."""

    name: str
    shape: Shape | None
    type: int

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)


@dataclass(frozen=True, eq=False, slots=True)
class Body:
    """A graph within a node: the attribute that it is, what it is given, and what it gives."""

    attribute: str
    formals: tuple[Term, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """A node whose inputs are known. Rules turn one into a value, or leave it alone."""

    operator: str
    inputs: tuple[Value | None, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[Outcome, ...]
    title: str
    domain: str = ""
    version: int = 0
    bodies: tuple[Body, ...] = ()
    overload: str = ""

    @property
    def outcome(self) -> Outcome:
        return self.outputs[0]

    @property
    def commutes(self) -> bool:
        """Whether its inputs may come in any order."""
        return self.is_own(*COMMUTING)

    def is_own(self, *operators: str) -> bool:
        """Whether it is one of these operators of ONNX's own, not of another domain."""
        return not self.domain and self.operator in operators

    def input(self, slot: int) -> Value | None:
        return self.inputs[slot] if slot < len(self.inputs) else None

    def on(self, *inputs: Value | None, **attributes: Any) -> Call:
        """The same node on other inputs, making a value that no file has."""
        outcome = replace(self.outcome, name="")
        merged = {**self.attributes, **attributes}
        return replace(self, inputs=inputs, outputs=(outcome,), attributes=merged)

    def as_(self, operator: str, *inputs: Value | None, **attributes: Any) -> Call:
        """Another node in its place."""
        return replace(self, operator=operator, inputs=inputs, attributes=attributes)


@dataclass(eq=False, slots=True)
class Term:
    """One output of a call. ``key`` is the same for terms that may match."""

    call: Call
    index: int
    key: int = field(init=False)

    def __post_init__(self) -> None:
        call = self.call
        if call.is_own(*SYMBOLS):
            self.key = hash((call.operator, call.attributes["name"]))
            return
        given = [None if value is None else value.key for value in call.inputs]
        if call.commutes:
            given.sort(key=lambda key: key or 0)
        inner = tuple((b.attribute, *(r.key for r in b.results)) for b in call.bodies)
        said = tuple(sorted(call.attributes.items()))
        head = call.operator, call.domain, call.overload, call.version, said
        self.key = hash((*head, tuple(given), inner, self.index))

    @property
    def outcome(self) -> Outcome:
        return self.call.outputs[self.index]

    @property
    def name(self) -> str:
        return self.outcome.name

    @property
    def shape(self) -> Shape | None:
        return self.outcome.shape


Value = Term | Constant

#: Operators whose inputs may come in any order.
COMMUTING = frozenset({"Add", "And", "Max", "Mean", "Min", "Mul", "Or", "Sum", "Xor"})
# fmt: off
#: Operators that treat all elements of their first input alike, and of all their inputs.
UNARY = (
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Elu", "Erf",
    "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",
    "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu",
    "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
)
PAIRED = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Max", "Mean", "Min", "Mul", "Or", "Pow",
    "PRelu", "Sub", "Sum", "Where", "Xor",
)
# fmt: on
#: A matrix product with a constant matrix on the right, and a bias; no operator has this name.
LINEAR = "matrix product"
#: A Reshape whose dimensions are known; no operator has this name.
RESHAPE = "Reshape to"
#: A Slice of which all is known; no operator has this name.
SLICE = "Slice along"
#: What stands for a value that comes from outside of a graph. ``"`` is in no operator's name.
INPUT, FORMAL = '"input', '"formal'
SYMBOLS = frozenset({INPUT, FORMAL})


def symbol(kind: str, name: str, outcome: Outcome) -> Term:
    """A value that comes from outside of a graph."""
    return Term(Call(kind, (), {"name": name}, (outcome,), outcome.name), 0)


def shape_of(value: Value | None) -> Shape | None:
    """The dimensions of a value."""
    return None if value is None else value.shape


def only(values: Sequence[Value | None], operator: str) -> list[Term]:
    """Those values that are made by an operator of ONNX's own."""
    terms = [value for value in values if isinstance(value, Term)]
    return [term for term in terms if term.call.is_own(operator)]
