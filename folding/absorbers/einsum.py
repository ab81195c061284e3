"""Einsum of a constant and something else: a dense layer.

    x ─ Einsum(W) ─ affine ─ y               before
    x ─ Einsum(W') ─ Add(shift) ─ y          after

    x ─ affine ─ Einsum(W) ─ y               before
    x ─ Einsum(W') ─ Add(shift') ─ y         after

With the affine along an axis of letter c, W' is W times scale[c] along its own axis c. Before x,
the shift adds the sum of shift[c] * W over all letters that the result does not have.

1. There are two operands, and one is a constant of a float type: before, the one that the affine
   does not come to.
2. Each term and the result have letters only, none of them twice; without an arrow, the result has
   those that are in one term alone, in order. The term of x may begin with an ellipsis that the
   result begins with, too: counted from the right, no axis is moved by that.
3. W has as many axes as its term letters, and as many channels on c as the affine. (An axis of
   length 1 may meet a longer one, so that is not given.)
4. Behind: c is in the term of W. A scalar is one along the last such letter of the result.
5. Before: c is in the term of W, summed over or not. A scalar is one along its last letter.
6. Before, with a shift: a letter that is summed over is in the term of W, or the shift would count
   as often as it is long; likewise W is not of length 1 there where x is longer.
7. Before, with a shift: what it adds has one axis that is longer than 1, at most, and the result
   has an axis.
"""

from __future__ import annotations

from dataclasses import dataclass

from folding.absorbers.base import (
    Absorbed,
    Absorber,
    Layer,
    Weight,
    for_channels,
    no_constant,
    refuse,
)
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.einsums import equation_of
from folding.factor import Factor, along
from folding.plan import Kept, Reason

_TERMS = 2
_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class Dense:
    """The constant operand of an Einsum, its term, that of the other operand, and the result's."""

    slot: int
    weight: Weight
    own: str
    other: str
    result: str

    def length(self, letter: str) -> int:
        return self.weight.dims[self.own.index(letter)]

    def factor(self, letter: str, numbers: Doubled) -> Factor:
        return Factor(along(self.own.index(letter), self.weight.dims), numbers)


def at_output(layer: Layer, affine: ChannelAffine) -> Absorbed | Kept:
    constants = [slot for slot in range(len(layer.node.input)) if layer.is_constant(slot)]
    dense = _dense(layer, constants[0]) if constants else no_constant(layer, (0, 1))
    if isinstance(dense, Kept):
        return dense
    letter = _letter(affine, dense.result, "".join(c for c in dense.result if c in dense.own))
    if not letter or letter not in dense.own:
        return refuse(Reason.NOT_OUTPUT_CHANNELS, layer)
    axis = _axis(dense.result, letter)
    channels = for_channels(affine, layer, axis, dense.length(letter))
    if isinstance(channels, Kept):
        return channels
    factor = dense.factor(letter, channels.scale)
    shift = None if channels.is_scale else channels.shift
    return Absorbed({dense.slot: factor}, shift=shift, shift_axis=axis)


def at_input(layer: Layer, affine: ChannelAffine, slot: int) -> Absorbed | Kept:
    dense = _dense(layer, 1 - slot)
    if isinstance(dense, Kept) and dense.reason is Reason.RUNTIME_WEIGHT:
        return no_constant(layer, (1 - slot,))
    if isinstance(dense, Kept):
        return dense
    letter = _letter(affine, dense.other, dense.own)
    if not letter or letter not in dense.own:
        return refuse(Reason.NOT_INPUT_CHANNELS, layer)
    channels = for_channels(affine, layer, affine.axis or -1, dense.length(letter))
    if isinstance(channels, Kept):
        return channels
    factors = {dense.slot: dense.factor(letter, channels.scale)}
    if channels.is_scale:
        return Absorbed(factors)
    reason = _counts_otherwise(layer, dense)
    if reason is not None:
        return refuse(reason, layer)
    return _with_shift(layer, dense, dense.factor(letter, channels.shift), factors)


def _dense(layer: Layer, slot: int) -> Dense | Kept:
    """The operand in a slot as the constant one."""
    if len(layer.node.input) != _TERMS:
        return refuse(Reason.UNUSUAL_FORM, layer)
    weight = layer.weight(slot)
    if isinstance(weight, Kept):
        return weight
    letters = _letters(layer, slot)
    if letters is None:
        return refuse(Reason.UNUSUAL_FORM, layer)
    if len(letters[0]) != len(weight.dims):
        return refuse(Reason.BAD_LAYER, layer)
    return Dense(slot, weight, *letters)


def _letters(layer: Layer, slot: int) -> tuple[str, str, str] | None:
    """The terms of the constant and of the other operand, and the result's; None in other forms."""
    text = equation_of(layer.node)
    given, arrow, result = text.partition("->")
    terms = given.split(",")
    if len(terms) != _TERMS:
        return None
    own, other = terms[slot], terms[1 - slot]
    prefix = _ELLIPSIS if other.startswith(_ELLIPSIS) else ""
    if not arrow:
        result = prefix + "".join(sorted(c for c in given if given.count(c) == 1 and c != ","))
    if not result.startswith(prefix):
        return None
    other, result = other.removeprefix(prefix), result.removeprefix(prefix)
    plain = all(len(set(term)) == len(term) for term in (own, other, result))
    known = (own + other).isalpha() and set(result) <= set(own + other)
    return (own, other, result) if plain and known else None


def _letter(affine: ChannelAffine, term: str, fallback: str) -> str:
    """The letter that an affine acts along in a term; the last of some others for a scalar."""
    axis, letters = (-1, fallback) if affine.axis is None else (affine.axis, term)
    return letters[axis] if -axis <= len(letters) else ""


def _axis(result: str, letter: str) -> int:
    return result.index(letter) - len(result)


def _counts_otherwise(layer: Layer, dense: Dense) -> Reason | None:
    """Why a shift may be added more or less often than there are weights."""
    summed = [c for c in dense.other if c not in dense.result]
    if any(c not in dense.own for c in summed):
        return Reason.UNUSUAL_FORM
    shape = layer.shape(layer.node.input[1 - dense.slot]) or ()
    lengths = dict(zip(reversed(dense.other), reversed(shape), strict=False))
    grows = any(dense.length(c) == 1 and lengths.get(c) != 1 for c in summed)
    return Reason.SIZES_UNKNOWN if grows else None


def _with_shift(
    layer: Layer, dense: Dense, shifted: Factor, factors: dict[int, Factor]
) -> Absorbed | Kept:
    axes = tuple(i for i, c in enumerate(dense.own) if c not in dense.result)
    total = layer.summed(dense.slot, shifted, axes)
    if isinstance(total, Kept):
        return total
    kept = [c for c in dense.own if c in dense.result]
    long = [c for c in kept if dense.length(c) > 1]
    if len(long) > 1 or not dense.result:
        return refuse(Reason.HAS_NO_BIAS, layer)
    if total.equals(0):
        return Absorbed(factors)
    axis = _axis(dense.result, long[0]) if long else -1
    return Absorbed(factors, shift=total.reshape(total.size), shift_axis=axis)


RULE = Absorber("Einsum", at_output, at_input)
