"""Seen through: an affine behind a layer is part of its numbers, however often the layer is read.

    Add(Conv(x, W, b), c)            Conv(x, W, b + c)         c differs by channels only
    Sub(Conv(x, W, b), c)            Conv(x, W, b - c)
    Mul(Conv(x, W, b), s)            Conv(x, W * s, b * s)
    BatchNormalization(Conv(...))    both
    Mul(W, s)                        W * s                     both constant, W a big one
    Add(Reshape to(Linear(...)), c)  Reshape to(Linear(...))   the last axis being the same

The planner has folded what a file may have folded. Beyond that, values that are equal need not be
read equally often in two files: a tool may have made one of two layers that do the same.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubled
from folding.equivalence.foreign.attributes import OUTPUTS
from folding.equivalence.foreign.chains import Scale
from folding.equivalence.foreign.layers import LAYERS, width_of
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.shapes import Make
from folding.equivalence.foreign.terms import LINEAR, RESHAPE, Call, Term, Value
from folding.floats import FLOATS
from folding.recipes import Scaled

_NORM_INPUTS, _MODERN_NORM = 5, 7


def affine(call: Call, make: Make) -> Value | None:
    """A constant for each channel added to a layer, taken away, or multiplied with it."""
    if len(call.inputs) != 2:  # noqa: PLR2004 - Sum takes any number
        return None
    first, second = call.inputs
    if isinstance(first, Constant) and isinstance(second, Constant):
        return _product(first, second) if call.is_own("Mul") else None
    if call.commutes and isinstance(first, Constant):
        first, second = second, first
    layer = _layer(first)
    if layer is None or not isinstance(second, Constant):
        return None
    number = _by_channel(second, layer)
    if number is None or second.elem_type != layer.bias.elem_type:
        return None
    name = layer.bias.name or second.name
    if call.is_own("Add", "Sub", "Sum"):
        moved = -number if call.is_own("Sub") else number
        layer.bias = replace(layer.bias, parts=layer.bias.taking(second, is_added=True))
        return layer.remade(layer.weight, layer.value + moved, name, call)
    one = Doubled.exact(np.ones(1))
    scale = one / number if call.is_own("Div") else number
    layer.take(second)
    return layer.scaled(scale, None, name, call)


def _product(first: Constant, second: Constant) -> Constant | None:
    """A weight that is too big to be evaluated, times a smaller constant, if it stays in range."""
    weight, number = (first, second) if prod(first.shape) > prod(second.shape) else (second, first)
    scale, rank = number.doubled(), len(weight.shape)
    padded = (1,) * (rank - len(number.shape)) + number.shape
    fits = len(padded) == rank and all(
        n in (1, w) for n, w in zip(padded, weight.shape, strict=True)
    )
    if scale is None or not fits or number.elem_type != weight.elem_type:
        return None
    product = weight.scaled(np.arange(scale.size).reshape(padded), scale.reshape(scale.size))
    if product is None or not _is_in_range(product):
        return None
    return replace(product, parts=weight.taking(number))


def _is_in_range(product: Constant) -> bool:
    """Whether a runtime that computes a weight gets finite and normal numbers, or zeros."""
    kind, source = FLOATS[product.elem_type], product.source
    assert isinstance(source, Scaled)
    for part in source.parts():
        size = np.abs(part.exact)
        if not ((size == 0) | ((size >= 2 * kind.tiny) & (size <= kind.largest / 2))).all():
            return False
    return True


def batch_norm(call: Call, make: Make) -> Value | None:
    """A BatchNormalization in inference form behind a layer."""
    layer = _layer(call.input(0))
    is_training = call.attributes.get("training_mode") or OUTPUTS in call.attributes
    if layer is None or is_training or len(call.inputs) != _NORM_INPUTS:
        return None
    given = [value for value in call.inputs[1:] if isinstance(value, Constant)]
    numbers = [value.doubled() for value in given]
    is_plain = all(value.elem_type == layer.bias.elem_type for value in given)
    if len(numbers) != _NORM_INPUTS - 1 or not is_plain or call.version < _MODERN_NORM:
        return None
    gamma, beta, mean, variance = numbers
    if gamma is None or beta is None or mean is None or variance is None:
        return None
    after = layer.after if layer.reshaped is None else -1
    if any(n.shape != layer.value.shape for n in numbers if n) or after != _norm_axis(call):
        return None
    epsilon = Doubled.exact(np.frombuffer(call.attributes["epsilon"], np.float32))
    scale = gamma / (variance + epsilon).sqrt()
    if not scale.is_finite():
        return None
    for place, is_added in ((2, True), (0, False), (3, False), (1, True)):
        layer.take(given[place], is_added=is_added)
    return layer.scaled(scale, beta - mean * scale, layer.bias.name or given[1].name, call)


def _norm_axis(call: Call) -> int:
    """How many axes stand behind the channels of a normalisation."""
    shape = call.outcome.shape
    return -2 if shape is None else len(shape) - 2


class _Layer:
    """A layer whose numbers are constant, perhaps seen in other leading dimensions."""

    def __init__(self, term: Term, reshaped: Term | None, weight: Constant, bias: Constant) -> None:
        self.term, self.reshaped, self.weight, self.bias = term, reshaped, weight, bias
        value = bias.doubled()
        assert value is not None
        self.value: Doubled = value
        rank = len(weight.shape)
        self.after = 0 if term.call.is_own(LINEAR) else rank - 2

    @property
    def rank(self) -> int | None:
        """How many axes the value has."""
        shape = (self.reshaped or self.term).shape
        if not self.term.call.is_own(LINEAR):
            return len(self.weight.shape)
        return None if shape is None else len(shape)

    def channel(self) -> npt.NDArray[np.intp]:
        """Which channel each number of the weight belongs to."""
        dims, groups = self.weight.shape, self.term.call.attributes.get("group", 1)
        if self.term.call.is_own(LINEAR):
            return np.arange(dims[1]).reshape(1, -1)
        ones = (1,) * self.after
        if self.term.call.is_own("Conv"):
            return np.arange(dims[0]).reshape(-1, 1, *ones)
        group = np.arange(dims[0]) // (dims[0] // groups)
        channel: npt.NDArray[np.intp] = group.reshape(-1, 1) * dims[1] + np.arange(dims[1])
        return channel.reshape(*dims[:2], *ones)

    def take(self, other: Constant, *, is_added: bool = False) -> None:
        """Note that a constant goes into both its numbers."""
        self.weight = replace(self.weight, parts=self.weight.taking(other, is_added=is_added))
        self.bias = replace(self.bias, parts=self.bias.taking(other, is_added=is_added))

    def scaled(self, scale: Doubled, shift: Doubled | None, name: str, call: Call) -> Value | None:
        whole, passed = scale.broadcast_to(self.value.shape), Scale.of(scale)
        self.weight, self.bias = (
            replace(own, scales=(*own.scales, passed)) for own in (self.weight, self.bias)
        )
        weight = self.weight.scaled(self.channel(), whole)
        value = self.value * whole if shift is None else self.value * whole + shift
        return None if weight is None else self.remade(weight, value, name, call)

    def remade(self, weight: Constant, value: Doubled, name: str, call: Call) -> Value:
        """The layer with other numbers, making what the affine behind it made."""
        bias = replace(self.bias.holding(value), name=name)
        inputs = (self.term.call.input(0), weight, bias)
        if self.reshaped is None:
            return Term(replace(self.term.call, inputs=inputs, outputs=call.outputs), 0)
        inner = replace(self.term.call, inputs=inputs)
        nameless = replace(inner, outputs=(replace(inner.outcome, name=""),))
        return Term(
            replace(self.reshaped.call, inputs=(Term(nameless, 0),), outputs=call.outputs), 0
        )


def _layer(value: Value | None) -> _Layer | None:
    """The layer that makes a value, if its numbers are constant."""
    term = value
    reshaped = value if isinstance(value, Term) and value.call.is_own(RESHAPE) else None
    if reshaped is not None:
        term = reshaped.call.input(0)
    if not isinstance(term, Term) or not term.call.is_own(*LAYERS):
        return None
    weight, bias = term.call.input(1), term.call.input(2)
    if not isinstance(weight, Constant) or not isinstance(bias, Constant) or bias.doubled() is None:
        return None
    if reshaped is not None:
        keeps = (reshaped.shape or (None,))[-1] == weight.shape[-1]
        if not term.call.is_own(LINEAR) or not keeps:
            return None
    layer = _Layer(term, reshaped, weight, bias)
    return layer if layer.value.shape == (width_of(term.call),) else None


def _by_channel(constant: Constant, layer: _Layer) -> Doubled | None:
    """The numbers of a constant by channel, if it has none by any other axis and adds none."""
    rank, width = len(constant.shape), layer.value.size
    if rank > (layer.rank or 1):
        return None
    number, place = constant.doubled(), rank - 1 - layer.after
    own = constant.shape[place] if place >= 0 else 1
    if number is None or prod(constant.shape) != own or own not in (1, width):
        return None
    return number.reshape(own).broadcast_to((width,))


RULES = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub", "Sum"), affine),
    "BatchNormalization": batch_norm,
}
