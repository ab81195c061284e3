"""The layers of a draft: asked by their absorbers, and given what these answer.

What a layer reads as a weight may be behind a DequantizeLinear, of which absorbers know nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from onnx import NodeProto

from folding.absorbers import ABSORBERS, Absorbed, Weight
from folding.affine import ChannelAffine
from folding.dequantised import Dequantised, dequantised
from folding.doubled import Doubled
from folding.draft import Draft
from folding.factor import Factor
from folding.fusing import fuses_anew
from folding.inference import Shape
from folding.plan import Kept, Reason
from folding.quantised import (
    Rescaled,
    changed_slots,
    is_stored,
    quantised_weight,
    rescale,
    rescaled,
)
from folding.sums import summed
from folding.tensors import constant_dims, scale_constant, scaled, small_constant, weight_of


@dataclass(frozen=True, slots=True)
class DraftLayer:
    """A node of a draft, as an absorber sees it."""

    draft: Draft
    index: int

    @property
    def node(self) -> NodeProto:
        return self.draft.node(self.index)

    @property
    def opset(self) -> int:
        return self.draft.opset

    def shape(self, name: str) -> Shape | None:
        return self.draft.shape(name)

    def is_constant(self, slot: int) -> bool:
        if slot >= len(self.node.input):
            return False
        quantised = self._dequantizer(slot)
        if quantised is not None:
            return is_stored(self.draft, quantised.index)
        return self.draft.is_constant(self.node.input[slot])

    def weight(self, slot: int) -> Weight | Kept:
        quantised = self._dequantizer(slot)
        if quantised is not None:
            return quantised_weight(self.draft, quantised, self.index, slot)
        return weight_of(self.draft, self.node.input[slot], self.draft.title(self.index))

    def bias(self, slot: int) -> Doubled | Kept | None:
        if slot >= len(self.node.input) or not self.node.input[slot]:
            return None
        at = self.draft.title(self.index)
        if self._dequantizer(slot) is not None:
            return Kept(Reason.QUANTISED_BIAS, at)
        return small_constant(self.draft, self.node.input[slot], at)

    def summed(self, slot: int, factor: Factor, axes: tuple[int, ...]) -> Doubled | Kept:
        name, quantised = self.node.input[slot], self._dequantizer(slot)
        if quantised is not None:
            index = quantised.index
            at, operator = self.draft.title(index), self.draft.node(index).op_type
            return Kept(Reason.QUANTISED_SUM, at, operator)
        found = summed(scaled(self.draft, name).times(factor), axes)
        return found if found.is_finite() else Kept(Reason.NOT_FINITE, name)

    def _dequantizer(self, slot: int) -> Dequantised | None:
        return dequantised(self.draft, self.node.input[slot])


def at_output(draft: Draft, index: int, affine: ChannelAffine) -> Absorbed | Kept | None:
    """How a node takes in an affine behind its first output; None if it never does."""
    absorber = ABSORBERS.get(draft.node(index).op_type)
    if absorber is None or absorber.at_output is None:
        return None
    ask = partial(absorber.at_output, DraftLayer(draft, index))
    return _narrowed(affine, lambda part: _checked(draft, index, partial(ask, part)))


def at_input(draft: Draft, index: int, affine: ChannelAffine, slot: int) -> Absorbed | Kept | None:
    """How a node takes in an affine before an input slot; None if it never does."""
    absorber = ABSORBERS.get(draft.node(index).op_type)
    if absorber is None or absorber.at_input is None:
        return None
    rule, layer = absorber.at_input, DraftLayer(draft, index)
    return _narrowed(affine, lambda part: _checked(draft, index, partial(rule, layer, part, slot)))


def _narrowed(
    affine: ChannelAffine, ask: Callable[[ChannelAffine], Absorbed | Kept]
) -> Absorbed | Kept:
    """The answer to an affine, or to the number that it is if it does the same to all channels."""
    answer, narrow = ask(affine), affine.narrowed()
    if isinstance(answer, Absorbed) or affine.axis is None or narrow.axis is not None:
        return answer
    number = ask(narrow)
    return number if isinstance(number, Absorbed) else answer


def _checked(draft: Draft, index: int, ask: Callable[[], Absorbed | Kept]) -> Absorbed | Kept:
    """An answer, unless a quantised weight cannot take its factor in.

    A layer whose inputs do not fit, which no runtime runs, takes nothing in.
    """
    try:
        answer = ask()
    except (ValueError, IndexError, ZeroDivisionError):
        return Kept(Reason.BAD_LAYER, draft.title(index), draft.node(index).op_type)
    for slot, factor in () if isinstance(answer, Kept) else answer.factors.items():
        change = _rescaled(draft, index, slot, factor)
        if isinstance(change, Kept):
            return change
    return answer


def _rescaled(draft: Draft, index: int, slot: int, factor: Factor) -> Rescaled | Kept | None:
    quantised = dequantised(draft, draft.node(index).input[slot])
    if quantised is None:
        return None
    change = rescaled(draft, quantised, factor)
    if isinstance(change, Rescaled) and fuses_anew(draft, index, slot, change):
        at = quantised.index
        return Kept(Reason.ROUNDS_INPUT, draft.title(at), draft.node(at).op_type)
    return change


@dataclass(frozen=True, slots=True)
class Wanted:
    """A constant that a fold gives to a slot of a node; None is one that is still to come."""

    node: int | None
    slot: int
    dims: tuple[int, ...]
    elem_type: int


def wanted_by(draft: Draft, index: int, slot: int, factor: Factor) -> Iterator[Wanted]:
    """The constants that change if the weight in a slot of a layer is multiplied."""
    change = _rescaled(draft, index, slot, factor)
    if isinstance(change, Rescaled):
        names = draft.node(change.node).input
        for place in changed_slots(draft, change):
            yield Wanted(change.node, place, change.dims, draft.type(names[place]))
        return
    name, weight = draft.node(index).input[slot], DraftLayer(draft, index).weight(slot)
    kind = weight.elem_type if isinstance(weight, Weight) else 0
    yield Wanted(index, slot, constant_dims(draft, name) or (), kind)


def scale_weight(draft: Draft, index: int, slot: int, factor: Factor, because: str) -> None:
    """Multiply the weight in a slot of a layer."""
    change = _rescaled(draft, index, slot, factor)
    if isinstance(change, Rescaled):
        rescale(draft, index, slot, change, because)
    else:
        scale_constant(draft, index, slot, factor, because)
