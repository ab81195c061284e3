"""A random model in the making, whose values are computed by the definition as it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, TypeVar

import numpy as np
from graphs import BOOL, INT64, Array, Feed, Net
from onnx import NodeProto, checker
from oracle import compute, wide

from folding.protos import subgraphs
from growing.weights import dequantised, normalised

T = TypeVar("T")

#: What a value may be, so that models stay quick to compute, and are of more than roundings.
_MOST_ELEMENTS, _MOST_AXES = 160, 5
_SMALLEST, _LARGEST = 1e-4, 1e3


class Unfit(Exception):
    """A node that the model shall not have: nothing was grown."""


@dataclass
class Grower:
    """A random net, and its values for one feed.

    ``hints`` has for each value the axis, from the left, where the channels of the last layer are.
    ``kinds`` has the element types other than the net's. ``counted`` are the nodes that must be in
    exactly one decision, ``outputs`` those of the model so far. ``constants`` are those that nodes
    compute.
    """

    random: Random
    net: Net = field(default_factory=Net)
    feed: Feed = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    weights: dict[tuple[int, ...], list[str]] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)

    # --- choices --------------------------------------------------------------------------------

    def flip(self) -> bool:
        return self.one_in(2)

    def one_in(self, count: int) -> bool:
        return self.random.randrange(count) == 0

    def pick(self, *choices: T) -> T:
        if not choices:
            raise Unfit
        return self.random.choice(choices)

    def upto(self, most: int, least: int = 0) -> int:
        if most < least:
            raise Unfit
        return self.random.randint(least, most)

    def order(self, count: int) -> list[int]:
        return self.random.sample(range(count), count)

    def axis(self, x: str) -> int:
        """Any axis of a value, counted from the left."""
        return self.upto(self.values[x].ndim - 1)

    def spelled(self, axis: int, rank: int, since: int = 0) -> int:
        """An axis as it is or, where that is allowed, counted from the right."""
        return axis - rank if self.net.opset >= since and self.flip() else axis

    # --- values ---------------------------------------------------------------------------------

    def shape(self, x: str, *, least: int = 0, most: int = _MOST_AXES) -> tuple[int, ...]:
        """The shape of a value that must have so many axes."""
        shape = self.values[x].shape
        if not least <= len(shape) <= most:
            raise Unfit
        return shape

    def kind(self, x: str) -> int:
        return self.kinds.get(x, self.net.elem_type)

    def input(self, shape: Sequence[int | str], value: Array, name: str, kind: int = 0) -> str:
        self.net.input(*shape, name=name, elem_type=kind)
        self.feed[name] = value
        self.values[name] = wide(value)
        self.kinds[name] = kind or self.net.elem_type
        return name

    def flag(self) -> str:
        """The boolean input of the model."""
        if "condition" in self.values:
            return "condition"
        return self.input([], np.array(True), "condition", BOOL)

    def floats(self) -> list[str]:
        """The values that more can be grown on, of the net's type."""
        kind = self.net.elem_type
        return [x for x, v in self.values.items() if v.dtype.kind == "f" and self.kind(x) == kind]

    def weight(self, *shape: int) -> str:
        """A new weight, or one that another layer has."""
        known = self.weights.setdefault(shape, [])
        if not known or not self.one_in(6):
            known.append(self._new_weight(*shape))
        return self.pick(*known)

    def _new_weight(self, *shape: int) -> str:
        """A stored weight, or one that is computed from constants."""
        if len(shape) < 2 or not self.one_in(4):
            return self.net.weight(*shape)
        try:
            return dequantised(self, *shape) if self.flip() else normalised(self, *shape)
        except Unfit:
            return self.net.weight(*shape)

    def compute(self, operator: str, *inputs: str, **given: Any) -> str:
        """Add a node that reads constants, and on whose result nothing is grown."""
        self.net.node(operator, *inputs, **given)
        node = self.net.nodes.pop()
        (result,) = self._computed(node).values()
        self.net.nodes.append(node)
        self.constants[node.output[0]] = result
        return str(node.output[0])

    # --- nodes ----------------------------------------------------------------------------------

    def add(
        self,
        operator: str,
        *inputs: str,
        like: str = "",
        hint: int | None = None,
        out: str = "",
        **given: Any,
    ) -> str:
        """Add a node; its first output. It is of the type of ``like``, the first float it reads.

        Raises:
            Unfit: there is no such operator, or its result is too large, or no number.
        """
        first = self.net.node(operator, *inputs, out=out, **given)
        node = self.net.nodes.pop()
        results = self._computed(node)
        self.net.nodes.append(node)
        like = like or next((x for x in inputs if x in self.values), inputs[0])
        kind = given["to"] if operator == "Cast" else self.kind(like)
        for name in filter(None, node.output):
            self.values[name] = results[name]
            self.kinds[name] = kind if results[name].dtype.kind == "f" else INT64
            place = self.hints.get(like, 1) if hint is None else hint
            self.hints[name] = max(min(place, results[name].ndim - 1), 0)
        return first

    def _computed(self, node: NodeProto) -> dict[str, Array]:
        net = self.net
        try:
            # What is around a node with bodies is not known here; it is checked with the model.
            if not any(True for _ in subgraphs(node)):
                checker.check_node(node, _context(net.opset, net.ir_version))
        except checker.ValidationError as error:  # This opset has no such form of the operator.
            raise Unfit from error
        stored = self.constants | {name: wide(array) for name, array in net.stored.items()}
        with np.errstate(all="ignore"):
            found = compute(node, stored | self.values, net.opset)
        if not all(_is_fit(value) for value in found):
            raise Unfit
        return dict(zip(node.output, found, strict=False))

    def listed(
        self, name: str, values: Sequence[int], since: int
    ) -> tuple[list[str], dict[str, Any]]:
        """A list of integers as an input, or as the attribute that it was before an opset."""
        if self.net.opset < since:
            return [], {name: list(values)}
        return [self.net.integers(*values)], {}

    def any_of(self, x: str, *rules: Rule) -> str:
        """Grow by one of some rules, of which not every one fits."""
        for _ in range(4):
            try:
                return self.pick(*rules)(self, x)
            except Unfit:
                continue
        return x


Rule = Callable[[Grower, str], str]
#: Attributes.
Given = dict[str, Any]


@cache
def _context(opset: int, ir_version: int) -> checker.C.CheckerContext:
    context = checker.C.CheckerContext()
    context.ir_version, context.opset_imports = ir_version, {"": opset}
    return context


def _is_fit(value: Array) -> bool:
    if value.size == 0 or value.size > _MOST_ELEMENTS or value.ndim > _MOST_AXES:
        return False
    largest = float(np.abs(value).max()) if value.dtype.kind == "f" else 0.0
    return largest == 0 or _SMALLEST <= largest <= _LARGEST
