"""Which values are constant, and what they are: recognised lazily, never written into the graph.

A value is constant if it is an initializer that no caller can override, a Constant, or one of a
few known operators on constants. Floats are evaluated in double-double from the stored numbers:
in float32, ``gamma / sqrt(var + eps)`` alone costs 2 ULP on weights and thousands on shifts.
"""

from __future__ import annotations

from copy import copy
from math import prod
from typing import Any, cast

import numpy.typing as npt
from onnx import NodeProto, helper

from folding.constant_ops import FOLLOWS_OUTPUT_SHAPE, MOST_ELEMENTS, Value
from folding.doubled import Doubled
from folding.expressions import (
    EVALUATED,
    MOST_BYTES_APART,
    Budget,
    Move,
    constant,
    evaluate,
    exact,
    measured,
    move_of,
)
from folding.graph import Scope
from folding.inference import Shape
from folding.measures import Integers, partly_known
from folding.modelfile import Model
from folding.norms import norm
from folding.protos import SHAPE_READERS, attribute, integer
from folding.stored import Stored, load

_DEEPEST = 100
#: Operators that only rearrange the elements of a constant; big weights are seen through them.
_MOVING = frozenset(
    {"Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
_KNOWN = EVALUATED.keys() | SHAPE_READERS | {"CastLike", "Constant"}


class Constants:
    """The constants that one scope can see."""

    def __init__(
        self, model: Model, scope: Scope, outer: Constants | None, budget: Budget | None = None
    ) -> None:
        self.model, self.scope, self.outer = model, scope, outer
        self.budget = budget or Budget()
        self.values: dict[str, Value | None] = {}
        self._stored: dict[str, Stored | None] = {}
        self._weights: dict[str, Doubled | None] = {}
        self._parts: dict[str, Integers] = {}
        self._computed: set[str] = set()
        #: The nodes that compute them, Constants apart.
        self.expressions: list[int] = []
        for index, operator in enumerate(scope.operators):
            if operator in _KNOWN and index not in scope.foreign and self._is_known(index):
                self._computed.update(filter(None, scope.makes[index]))
                if operator != "Constant":
                    self.expressions.append(index)

    def __contains__(self, name: str) -> bool:
        """Whether a value is the same in every run."""
        if name in self._computed:
            return True
        if name in self.scope.initializers:
            return name not in self.scope.overridable
        if name in self.scope.producers or name in self.scope.inputs or self.outer is None:
            return False
        return name in self.outer

    def node(self, name: str) -> NodeProto | None:
        """The node of this scope that computes a constant."""
        return self.scope.nodes[self.scope.producers[name]] if name in self._computed else None

    def dims(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant, known without reading it; None if it is not known so."""
        shape = self.scope.shape(name)
        if shape is None:
            node = self.node(name)
            if node is None or node.op_type != "Constant":
                return None
            value = attribute(node, "value")
            given = value is not None and not value.ref_attr_name
            return tuple(value.t.dims) if value is not None and given else None
        return None if None in shape else cast("tuple[int, ...]", shape)

    def stored(self, name: str) -> Stored | None:
        """The stored tensor that a constant is, or only rearranges; None if it is computed."""
        if name not in self._stored:
            self._stored[name] = self._find_stored(name)
        return self._stored[name]

    def _find_stored(self, name: str) -> Stored | None:
        dims = self.dims(name)
        if dims is None or name not in self:
            return None
        moves: list[Move] = []
        while len(moves) < _DEEPEST:
            end = self._stored.get(name) or self._unmoved(name)
            if end is not None:
                whole = (*end.moves, *reversed(moves))
                return Stored(end.tensor, dims, whole) if len(whole) < _DEEPEST else None
            node = self.node(name)
            move = self.move(node) if node is not None and node.op_type != "Constant" else None
            if node is None or move is None:
                return None
            moves.append(move)
            name = node.input[0]
        return None

    def _unmoved(self, name: str) -> Stored | None:
        """The stored tensor that stands under a name itself, here or around this scope."""
        if name in self.scope.initializers:
            tensor = self.scope.initializers[name]
            return Stored(tensor, tuple(tensor.dims))
        node = self.node(name)
        if node is None:
            return self.outer.stored(name) if self.outer else None
        value = attribute(node, "value") if node.op_type == "Constant" else None
        return None if value is None else Stored(value.t, tuple(value.t.dims))

    def load(self, stored: Stored) -> npt.NDArray[Any]:
        """The array that is seen, in the stored type."""
        return load(self.model, stored)

    def value(self, name: str, depth: int = 0) -> Value | None:
        """What a constant is: Doubled for floats, an array for others; None if it is too big."""
        if name not in self.values:
            self.values[name] = self._evaluate(name, depth)
        return self.values[name]

    def doubled(self, name: str) -> Doubled | None:
        """The value of a float constant; None if it is too big, or not of a float type."""
        value = self.value(name)
        return value if isinstance(value, Doubled) else None

    def weight(self, name: str) -> Doubled | None:
        """Like ``doubled``, of a bigger constant: nothing that it is computed from is kept."""
        if name not in self._weights:
            value = self._apart().doubled(name)
            self._weights[name] = value if self.budget.weights.take(value) is value else None
        return self._weights[name]

    def _apart(self) -> Constants:
        """The same constants, with a memory of their own for what they are."""
        twin = copy(self)
        twin.outer = self.outer._apart() if self.outer else None  # noqa: SLF001 - its own class
        twin.budget, twin.values = Budget(MOST_BYTES_APART), {}
        return twin

    def _evaluate(self, name: str, depth: int) -> Value | None:
        dims = self.dims(name)
        if name not in self or (dims is not None and prod(dims) > MOST_ELEMENTS):
            return None
        if name in self.scope.initializers:
            return self.budget.take(exact(self.model.array(self.scope.initializers[name])))
        node = self.node(name)
        if node is None:
            return self.outer.value(name, depth) if self.outer else None
        if depth > _DEEPEST:
            return None
        if node.op_type == "Constant":
            return self.budget.take(exact(constant(node, self.model)))
        if name in self._parts:
            return self._parts[name]
        if node.op_type in SHAPE_READERS:
            return measured(node, self.scope.shape(node.input[0]))
        node = self._as_cast(node) or node
        return self.budget.take(norm(self, node) or self._result(node, dims, depth))

    def _result(self, node: NodeProto, dims: tuple[int, ...] | None, depth: int) -> Value | None:
        """What a node makes of its inputs, one by one."""
        count = 1 if node.op_type in FOLLOWS_OUTPUT_SHAPE else len(node.input)
        inputs = [self.value(i, depth + 1) if i else None for i in node.input[:count]]
        if any(v is None for i, v in zip(node.input, inputs, strict=False) if i):
            return None
        if dims is None and node.op_type in FOLLOWS_OUTPUT_SHAPE:
            return None
        return evaluate(node, inputs, dims or ())

    def _is_known(self, index: int) -> bool:
        """Whether a node of ONNX's own computes the same values in every run."""
        scope = self.scope
        operator, reads, makes = scope.operators[index], scope.reads[index], scope.makes[index]
        if operator == "Constant":
            return True
        part = partly_known(scope, index, self, self._parts)
        if part is not None:
            self._parts[makes[0]] = part
        if part is not None and (part >= 0).all():
            return True
        if operator in SHAPE_READERS:
            return _is_static(scope.shape(reads[0]))
        if len(makes) != 1 or not reads:
            return False
        if operator == "CastLike":
            return reads[0] in self and self._as_cast(scope.nodes[index]) is not None
        if operator in FOLLOWS_OUTPUT_SHAPE:
            return _is_static(scope.shape(makes[0])) and reads[0] in self
        return all(name in self for name in reads if name)

    def _as_cast(self, node: NodeProto) -> NodeProto | None:
        """The Cast that a CastLike is to the type of its second input, if that is known."""
        kind = self.scope.type(node.input[1]) if node.op_type == "CastLike" else 0
        return helper.make_node("Cast", node.input[:1], node.output, to=kind) if kind else None

    def move(self, node: NodeProto) -> Move | None:
        """What a node does to a constant if it only rearranges it."""
        node = self._as_cast(node) or node
        if node.op_type == "Cast":
            same = self.scope.type(node.input[0]) == integer(node, "to", 0)
            return (lambda a: a) if same else None
        dims, source = self.dims(node.output[0]), self.dims(node.input[0])
        unknown = dims is None and node.op_type in FOLLOWS_OUTPUT_SHAPE
        if node.op_type not in _MOVING or source is None or unknown:
            return None
        indexed = node.op_type in ("Gather", "Slice")
        rest = [self.value(name) if name else None for name in node.input[1:]] if indexed else []
        return move_of(node, rest, source, dims or ())


def _is_static(shape: Shape | None) -> bool:
    return shape is not None and None not in shape
