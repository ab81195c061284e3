"""Which nodes of a run of affine nodes can hold all of it, and what they hold then.

A run is one affine, ``y = s x + t``. One of its BatchNormalizations holds that; if it has none, a
Mul or Div and an Add or Sub do, in the order in which they stand, or one of them if the run has
nothing of the other:

    BatchNormalization ─ s, t        scale' = s * scale               B' = s * B + t
    s, t, behind others, too         scale' = s * sqrt(var + eps)     B' = t           mean' = 0
    Mul or Div ─ Add or Sub          c' = s or 1 / s                  c' = t or -t
    Add or Sub ─ Mul or Div          the same, with t of what stands before the Mul or Div

With a mean of zero, nothing is added and subtracted on the way but ``t``: where others stand before
the BatchNormalization, its mean may be far from what it would be subtracted from. ``c - x`` holds
a shift too, behind a scale of -1.

1. The channels of a BatchNormalization are those that the affine acts along.
2. A Div has no scale of zero. Without Mul and Div, the scale is that of the node with the shift.
3. A Mul or Div stands before the Add or Sub, or else all of them stand behind all of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from operator import itemgetter

import numpy as np

from folding.absorb import shift_dims
from folding.absorbers import Absorbed
from folding.absorbers.base import for_channels, refuse
from folding.affine import ChannelAffine
from folding.current import composed
from folding.doubled import Doubled
from folding.draft import Draft
from folding.formulas import deviation, kind_of
from folding.layers import DraftLayer
from folding.merging import into_batch_norm
from folding.plan import Kept, Reason
from folding.recognise import Recogniser
from folding.tensors import constant_dims
from folding.way import Stop

_SCALE, _BIAS, _MEAN, _VARIANCE = 1, 2, 3, 4
_SCALES, _SHIFTS = frozenset({"Mul", "Div"}), frozenset({"Add", "Sub", "Minus"})
#: The nodes of a run that hold all of it, in their order, and how they change.
Holders = dict[int, Absorbed]


def holders(
    draft: Draft, steps: Recogniser, stops: Sequence[Stop], whole: ChannelAffine
) -> Holders | None:
    """The nodes of a run, given in their order, that hold all of it; None if none can."""
    nodes = tuple(stop.node for stop in stops)
    operators = [draft.node(index).op_type for index in nodes]
    if "BatchNormalization" not in operators:
        return next(_Run.of(draft, steps, stops, whole).ways(), None)
    place = operators.index("BatchNormalization")
    if place:
        absorbed = _from_before(draft, nodes[place], whole)
    else:
        behind = composed(draft, steps, nodes[1:])
        absorbed = behind if isinstance(behind, Kept) else into_batch_norm(draft, nodes[0], behind)
    return None if isinstance(absorbed, Kept) else {nodes[place]: absorbed}


def _from_before(draft: Draft, index: int, whole: ChannelAffine) -> Absorbed | Kept:
    """How a BatchNormalization becomes an affine that begins before it."""
    layer = DraftLayer(draft, index)
    shape, variance = layer.shape(layer.node.input[0]), layer.bias(_VARIANCE)
    spread = deviation(layer.node, variance) if isinstance(variance, Doubled) else None
    if shape is None or spread is None:
        return refuse(Reason.TOO_COMPLEX, layer)
    given = for_channels(whole, layer, 1 - len(shape), spread.size)
    if isinstance(given, Kept):
        return given
    zeros = Doubled.exact(np.zeros(spread.size))
    changed = {_SCALE: given.scale * spread, _BIAS: given.shift, _MEAN: zeros}
    return Absorbed(constants=changed)


@dataclass(frozen=True, slots=True)
class _Run:
    """Nodes of arithmetic in a row, what each does, and their affine.

    ``inner`` is that of the nodes before the first Mul or Div, if they have all the shifts.
    """

    draft: Draft
    stops: Sequence[Stop]
    kinds: Sequence[str]
    whole: ChannelAffine
    inner: ChannelAffine | None = None

    @classmethod
    def of(
        cls, draft: Draft, steps: Recogniser, stops: Sequence[Stop], whole: ChannelAffine
    ) -> _Run:
        kinds = [kind_of(draft.node(stop.node).op_type, stop.slot) for stop in stops]
        run = cls(draft, stops, kinds, whole)
        scales, shifts = run._places(_SCALES), run._places(_SHIFTS)
        if not scales or not shifts or scales[0] < shifts[-1]:
            return run
        inner = composed(draft, steps, tuple(stop.node for stop in stops[: scales[0]]))
        if isinstance(inner, Kept):
            return run
        # Equal numbers along another axis are one number.
        return replace(run, inner=inner if inner.axis == whole.axis else inner.narrowed())

    def ways(self) -> Iterator[Holders]:
        """How one node can hold the scale and another one the shift, the best way first."""
        scales = self._choice(self._places(_SCALES), self.whole.scale)
        shifts = self._choice(self._places(_SHIFTS)[::-1], self.whole.shift)
        for scale, shift in product(scales, shifts):
            in_order = scale is None or shift is None or scale < shift
            if in_order or self.inner is not None:
                yield from self._way(scale, shift)

    def _places(self, kinds: frozenset[str]) -> list[int]:
        return [place for place, kind in enumerate(self.kinds) if kind in kinds]

    def _choice(self, places: Iterable[int], value: Doubled) -> list[int] | list[None]:
        """The first place of each kind, those before whose constant has as many numbers."""
        found: dict[tuple[bool, str], int] = {}
        for place in places:
            dims = constant_dims(self.draft, self._constant(place)) or ()
            found.setdefault((prod(dims) != value.size, self.kinds[place]), place)
        return [found[key] for key in sorted(found, key=itemgetter(0))] or [None]

    def _constant(self, place: int) -> str:
        stop = self.stops[place]
        return self.draft.node(stop.node).input[1 - stop.slot]

    def _way(self, scale: int | None, shift: int | None) -> Iterator[Holders]:
        """What the nodes at two places hold; nothing if they cannot."""
        turns = shift is not None and self.kinds[shift] == "Minus"
        factor = -self.whole.scale if turns else self.whole.scale
        numbers: dict[int, Doubled] = {}
        if scale is None and not factor.equals(1):
            return
        if scale is not None and self.kinds[scale] == "Div":
            if (factor.high == 0).any():
                return
            factor = Doubled.exact(1.0) / factor
        if scale is not None:
            numbers[scale] = factor
        if shift is not None:
            held = self._held(turns=turns)
            numbers[shift] = -held if self.kinds[shift] == "Sub" else held
        yield {
            self.stops[place].node: self._given(place, numbers[place]) for place in sorted(numbers)
        }

    def _held(self, *, turns: bool) -> Doubled:
        """The shift, which stands before the scale if nothing else does."""
        if self.inner is None:
            return self.whole.shift
        held = self.inner.scale * self.inner.shift
        return -held if turns else held

    def _given(self, place: int, number: Doubled) -> Absorbed:
        stop, axis = self.stops[place], self.whole.axis or -1
        dims = shift_dims(self.draft, stop, number, axis)
        return Absorbed(constants={1 - stop.slot: number.reshape(*dims)})
