"""Affines that stay, in as few of their own nodes as hold them.

    Sigmoid ─ affine ─ affine ─ affine ─ Sigmoid          before
    Sigmoid ─ affine' ─ Sigmoid                           after

A run of affine nodes that no layer takes in is one affine all the same, and some of its nodes hold
all of it (see ``holders``); so they do of one with the bias that an earlier fold left before it.

1. The run stays for what is around it: it was not asked to, and its numbers were not refused.
2. It is no mere number, which is listed nowhere, and has more nodes than are needed.
3. Each new number fits its type, and loses no digits by being small there.
4. Below IR 4, no more constants are needed than nodes go.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from folding.absorbers import Absorbed
from folding.biases import with_biases
from folding.chains import Chain
from folding.current import composed
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


def shorten(search: Search) -> bool:
    """Let each affine that stays do so in as few nodes as it can; whether any is shorter now.

    Others may go into one that is, or over it.
    """
    found = False
    for chain in search.chains:
        is_kept = isinstance(search.outcomes[chain], Kept)
        if is_kept and not search.is_scalar(chain) and search.fixed(chain) is None:
            found = _shrink(search, chain) or found
    search.waits.has_changed(search.draft, ())
    return found


def say_what_stays(search: Search) -> None:
    """Say of each that is shorter, and stays, in which nodes it does."""
    draft = search.draft
    for chain, nodes in search.walker.left.items():
        outcome = search.outcomes[chain]
        if isinstance(outcome, Kept):
            own = [index for index in nodes if index in chain.nodes]
            titles = tuple(dict.fromkeys(map(draft.title, own)))
            operator = draft.node(own[0]).op_type
            search.outcomes[chain] = Folded(titles, operator, outcome, stays=True)
            search.warnings += range_warnings(chain.nodes, draft.scope, draft.constants)


def _shrink(search: Search, chain: Chain) -> bool:
    draft, walker = search.draft, search.walker
    whole = composed(draft, search.steps, walker.nodes(chain))
    if isinstance(whole, Kept):
        return False
    biases, whole = with_biases(walker, chain, whole) or ((), whole)
    stops = [*map(walker.stop, (*biases, *walker.nodes(chain)))]
    staying = holders(draft, search.steps, stops, whole) if len(stops) > 1 else None
    if not staying or len(staying) == len(stops):
        return False
    found = _priced(stops, staying)
    is_dear = search.prices.refusal(chain, found, is_scalar=False) is not None
    if is_dear or not all(_fits(draft, index, given) for index, given in staying.items()):
        return False
    out = draft.node(walker.last(chain)).output[0]
    draft.ends[search.name(chain)] = {out: search.steps.axis(chain.nodes)}
    _change(draft, stops, staying)
    walker.left[chain] = tuple(staying)
    if biases:
        search.waits.has_new_numbers(chain)
    else:
        search.waits.has_fewer_nodes(chain)
    return True


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
        if isinstance(weight, Kept) or not _keeps_digits(number, FLOATS[weight.elem_type]):
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
