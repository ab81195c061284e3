"""The biases that earlier folds have left right before affines.

    layer' ─ Add ─ affine ─┬─ layer         before
                           └─ layer
    layer' ─┬─ layer' ─ Add                 after
            └─ layer' ─ Add

Such an Add is no part of the affine, but would be if the model were folded once more. So where the
affine alone comes to no layer, or at too high a price, it is tried together with them: one node
more may go then, and a shift that has to stay has a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from folding.absorb import shift_of
from folding.affine import ChannelAffine
from folding.chains import Chain
from folding.draft import Draft
from folding.walk import Walker


def with_biases(
    walker: Walker, chain: Chain, affine: ChannelAffine
) -> tuple[tuple[int, ...], ChannelAffine] | None:
    """The Adds of earlier folds before an affine that alone reads them, and the map of them all.

    None where there are none.
    """
    draft, first = walker.draft, walker.stops(chain)[-1]
    found: list[int] = []
    whole, data = affine, draft.node(first.node).input[first.slot]
    while (index := draft.producer(data)) is not None and index in draft.shifts:
        is_private = draft.readers(data).count == 1 and not draft.is_seen(data)
        bias = shift_of(draft, index)
        # Of several, each along an axis of its own, an affine that has none fits each alone.
        if not is_private or not bias.agrees_with(whole):
            break
        whole = whole.after(bias)
        found.append(index)
        data = draft.node(index).input[1 - draft.shifts[index].slot]
    return (tuple(reversed(found)), whole) if found else None


def behind_new_biases(draft: Draft, known: int, chain_of: Mapping[int, Chain]) -> Iterator[Chain]:
    """The affines right behind Adds that came to hold biases since there were so many of them."""
    for index in islice(reversed(draft.shifts), len(draft.shifts) - known):
        readers = draft.readers(draft.node(index).output[0])
        if readers.count == 1:
            yield from (chain_of[node] for node in readers if node in chain_of)
