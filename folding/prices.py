"""What a fold costs: it may not leave more nodes than there are, and a scalar must cost nothing."""

from __future__ import annotations

from collections.abc import Iterator

from folding.absorb import nodes_of
from folding.chains import Chain
from folding.descent import Descended
from folding.draft import Draft
from folding.layers import Wanted, wanted_by
from folding.lower import nodes_below
from folding.plan import Kept, Kind, Reason
from folding.recognise import Recogniser
from folding.tensors import constant_dims
from folding.walk import Walker
from folding.way import Reached, Stop, Taken, Turn


class Prices:
    """The prices in one draft."""

    def __init__(self, draft: Draft, steps: Recogniser, walker: Walker) -> None:
        self.draft, self.steps, self.walker = draft, steps, walker

    def refusal(self, chain: Chain, found: Reached | Descended) -> Kept | None:
        """Why a fold is too dear, if it is."""
        draft, taker = self.draft, found.takers[0]
        at, operator = draft.title(taker), draft.node(taker).op_type
        if chain.kind is Kind.SCALAR and not self._is_free(found):
            return Kept(Reason.NO_RULE, at, operator)
        if isinstance(found, Reached):
            removed, added = nodes_of(draft, found)
        else:
            path = self.walker.stops(chain)[::-1]
            removed, added = nodes_below(draft, self.steps, path, found)
        if chain.kind is Kind.SCALAR and added:
            return Kept(Reason.NO_RULE, at, operator)
        if len(removed) - added < (found.rest is not None):
            return Kept(Reason.MORE_NODES, at, operator)
        if draft.keeps_inputs and self._constants(found, removed) + added > len(removed):
            return Kept(Reason.OLD_IR, at, operator)
        return None

    def _constants(self, found: Reached | Descended, removed: list[Stop]) -> int:
        """How many new constants are needed, where each is a node: below IR 4.

        One of the right shape that the fold sets free has room for another.
        """
        draft, stored = self.draft, self.draft.scope.initializers
        given = [name for stop in removed for name in draft.node(stop.node).input if name in stored]
        freed = [constant_dims(draft, name) for name in given if draft.is_read_once(name)]
        self.walker.crowded += given
        count = 0
        for wanted in self._wanted(found):
            if self._is_own(wanted):
                continue
            if wanted.dims in freed:
                freed.remove(wanted.dims)
            else:
                count += 1
        return count

    def _is_own(self, wanted: Wanted) -> bool:
        """Whether a slot has a stored constant of that shape for itself alone."""
        names = self.draft.node(wanted.node).input
        name = names[wanted.slot] if wanted.slot < len(names) else ""
        self.walker.crowded.append(name)
        is_stored = name in self.draft.scope.initializers
        alone = is_stored and self.draft.is_alone(wanted.node, name)
        return alone and constant_dims(self.draft, name) == wanted.dims

    def _wanted(self, found: Reached | Descended) -> Iterator[Wanted]:
        for end in _ends(found):
            names = self.draft.node(end.node).input
            changes = end.moved if isinstance(end, Turn) else end.absorbed
            for slot, value in changes.constants.items():
                yield Wanted(end.node, slot, value.shape)
            if isinstance(end, Turn):
                continue
            for slot, factor in end.absorbed.factors.items():
                yield from wanted_by(self.draft, end.node, slot, factor)
            shift = end.absorbed.shift
            if shift is not None:
                dims = (shift.size, *[1] * (-1 - end.absorbed.shift_axis))
                yield Wanted(end.node, len(names), dims)
        if found.rest is not None:
            yield Wanted(found.takers[0], -1, found.rest.shift.shape)

    def _is_free(self, found: Reached | Descended) -> bool:
        """Whether all constants that change are there, each for one node alone."""
        return all(self._is_own(wanted) for wanted in self._wanted(found))


def _ends(found: Reached | Descended) -> Iterator[Taken | Turn]:
    if isinstance(found, Reached):
        yield from (line.end for line in found.lines)
    else:
        yield from (r.becomes for r in found.readers if not isinstance(r.becomes, Stop))
