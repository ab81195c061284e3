"""Affines that stay, in as few of their own nodes as hold them.

    Sigmoid ─ affine ─ affine ─ affine ─ Sigmoid          before
    Sigmoid ─ affine' ─ Sigmoid                           after

A run of affine nodes that no layer takes in is one affine all the same, and some of its nodes hold
all of it (see ``holders``). This is done when all else is decided, so that nothing rests on it.

1. The run stays for what is around it: it was not asked to, and its numbers were not refused.
2. It is no mere number, which is listed nowhere, and has more nodes than are needed.
3. The constants that change are small and stored in a float type, or computed.
4. Each new number fits its type, and loses no digits by being small there.
5. Below IR 4, no more constants are needed than nodes go.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from folding.absorbers import Absorbed
from folding.chains import Chain
from folding.doubled import Doubled
from folding.draft import Draft
from folding.floats import FLOATS, FloatType
from folding.holders import Holders, holders
from folding.layers import DraftLayer
from folding.plan import Folded, Kept
from folding.ranges import range_warnings
from folding.search import Search
from folding.tensors import set_constant
from folding.way import Line, Reached, Stop, Taken


def shorten(search: Search) -> None:
    """Let each affine that stays do so in as few nodes as it can, once all else is decided."""
    for chain in search.chains:
        outcome = search.outcomes[chain]
        is_long = len(chain.nodes) > 1 and not chain.is_scalar
        if is_long and isinstance(outcome, Kept) and search.fixed(chain) is None:
            _shorten(search, chain, outcome)


def _shorten(search: Search, chain: Chain, kept: Kept) -> None:
    draft, stops = search.draft, search.walker.stops(chain)[::-1]
    staying = holders(draft, search.steps, stops)
    if staying is None or len(staying) == len(stops):
        return
    found = _priced(stops, staying)
    is_dear = search.prices.refusal(chain, found, is_scalar=False) is not None
    if is_dear or not all(_fits(draft, index, given) for index, given in staying.items()):
        return
    titles = tuple(dict.fromkeys(map(draft.title, found.takers)))
    operator = draft.node(found.takers[0]).op_type
    search.outcomes[chain] = Folded(titles, operator, kept, stays=True)
    out = draft.node(chain.nodes[-1]).output[0]
    draft.ends[draft.scope.makes[chain.nodes[-1]][0]] = {out: search.steps.axis(chain.nodes)}
    _change(draft, stops, staying)
    search.warnings += range_warnings(chain.nodes, draft.scope, draft.constants)


def _priced(stops: Sequence[Stop], staying: Holders) -> Reached:
    """A run as a fold of the nodes that go into those that stay."""
    gone = tuple(stop for stop in stops if stop.node not in staying)
    first, *others = (Taken(index, absorbed) for index, absorbed in staying.items())
    return Reached((Line(None, gone, first), *(Line(None, (), end) for end in others)))


def _fits(draft: Draft, index: int, absorbed: Absorbed) -> bool:
    """Whether all new constants of a node can be stored, digits included."""
    layer = DraftLayer(draft, index)
    for slot, number in absorbed.constants.items():
        weight = layer.weight(slot)
        if isinstance(weight, Kept) or not isinstance(layer.bias(slot), Doubled):
            return False
        if not _keeps_digits(number, FLOATS[weight.elem_type]):
            return False
    return True


def _keeps_digits(number: Doubled, kind: FloatType) -> bool:
    """Whether rounding loses no more of it than a unit of what it is made of."""
    with np.errstate(all="ignore"):
        lost = np.abs(kind.round(number.high).astype(np.float64) - number.high)
        least = kind.roundoff * np.maximum(number.magnitude, np.abs(number.high))
        return bool((lost <= least).all())


def _change(draft: Draft, stops: Sequence[Stop], staying: Holders) -> None:
    """Take all nodes of a run away but for those that stay, and give these their constants."""
    made = {stop.node: draft.node(stop.node).output[0] for stop in stops}
    gone = [stop for stop in stops if stop.node not in staying]
    held = [(stop.node, draft.node(stop.node).input[stop.slot]) for stop in gone]
    value, out = draft.node(stops[0].node).input[stops[0].slot], made[stops[-1].node]
    for index, data in held:
        draft.bypass(index, data)
    draft.vanish(made[stop.node] for stop in gone)
    for index, absorbed in staying.items():
        for slot, number in absorbed.constants.items():
            set_constant(draft, index, slot, number, 0, out)
    *_, last = staying
    for stop in stops:
        if stop.node not in staying:
            draft.point_shapes(made[stop.node], value)
            continue
        draft.set_input(stop.node, stop.slot, value)
        value = out if stop.node == last else draft.renamed_value(made[stop.node])
        draft.rename_output(stop.node, value)
    for index, data in held:
        draft.let_go(index, data)
