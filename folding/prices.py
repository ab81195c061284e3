"""What a fold costs: it may not leave more nodes than there are, and a scalar must cost nothing."""

from __future__ import annotations

from collections.abc import Iterator

from folding.absorb import float_type, host_of, new_dims, nodes_of, shift_dims
from folding.chains import Chain
from folding.descent import Descended
from folding.doubled import Doubled
from folding.draft import Draft
from folding.layers import Wanted, wanted_by
from folding.lower import host_below, nodes_below
from folding.plan import Kept, Reason
from folding.recognise import Recogniser
from folding.tensors import constant_dims
from folding.walk import Walker
from folding.way import Reached, Stop, Taken, Turn


class Prices:
    """The prices in one draft."""

    def __init__(self, draft: Draft, steps: Recogniser, walker: Walker) -> None:
        self.draft, self.steps, self.walker = draft, steps, walker

    def refusal(self, chain: Chain, found: Reached | Descended, *, is_scalar: bool) -> Kept | None:
        """Why a fold is too dear, if it is."""
        draft, taker = self.draft, found.takers[0]
        at, operator = draft.title(taker), draft.node(taker).op_type
        if is_scalar and not self._is_free(found):
            return Kept(Reason.NO_RULE, at, operator)
        if isinstance(found, Reached):
            saved, constants = self.worth(found)
        else:
            path = self.walker.stops(chain)[::-1]
            removed, added = nodes_below(draft, self.steps, path, found)
            saved, constants = len(removed) - added, self._constants(found, removed)
        if saved < (found.rest is not None):
            return Kept(Reason.MORE_NODES, at, operator)
        return Kept(Reason.OLD_IR, at, operator) if constants > saved else None

    def worth(self, found: Reached) -> tuple[int, int]:
        """How many nodes fewer a fold leaves, and how many of them its constants would be."""
        removed, added = nodes_of(self.draft, found)
        inside = [way for entry in found.entered for way in entry.ways]
        saved = len(removed) - added + sum(way.saved for way in inside)
        return saved, self._constants(found, removed) + sum(way.constants for way in inside)

    def _constants(self, found: Reached | Descended, removed: list[Stop]) -> int:
        """How many new constants are needed, where each is a node: below IR 4.

        One of the right shape that the fold sets free has room for another.
        """
        draft, stored = self.draft, self.draft.scope.initializers
        if not draft.keeps_inputs:
            return 0
        given = [name for stop in removed for name in draft.node(stop.node).input if name in stored]
        freed = [
            (constant_dims(draft, name), stored[name].data_type)
            for name in given
            if draft.is_read_once(name) and not draft.is_seen(name)
        ]
        self.walker.crowded += given
        count = 0
        for wanted in self._wanted(found):
            form = wanted.dims, wanted.elem_type
            own = self._own(wanted)
            if own and not draft.is_seen(own):
                continue
            if form in freed:
                freed.remove(form)
            else:
                count += 1
        return count

    def _own(self, wanted: Wanted) -> str:
        """The stored constant of that shape that a slot has for itself alone, if it has one."""
        if wanted.node is None:
            return ""
        names = self.draft.node(wanted.node).input
        name = names[wanted.slot] if wanted.slot < len(names) else ""
        self.walker.crowded.append(name)
        is_stored = name in self.draft.scope.initializers or name in self.draft.changed
        alone = is_stored and self.draft.is_alone(wanted.node, name)
        return name if alone and constant_dims(self.draft, name) == wanted.dims else ""

    def _wanted(self, found: Reached | Descended) -> Iterator[Wanted]:
        draft = self.draft
        for end in _ends(found):
            if isinstance(end, Turn):
                kind = draft.type(draft.node(end.node).output[0])
                constants = end.moved.constants
            else:
                kind = float_type(draft, end.node, end.absorbed)
                constants = end.absorbed.constants
                for slot, factor in end.absorbed.factors.items():
                    yield from wanted_by(draft, end.node, slot, factor)
            for slot, value in constants.items():
                yield Wanted(end.node, slot, value.shape, kind)
        yield from self._shifts(found)
        if found.rest is not None:
            kind, rest = draft.type(draft.node(found.takers[0]).output[0]), found.rest
            yield Wanted(None, 0, new_dims(rest.shift, rest.axis or -1), kind)

    def _shifts(self, found: Reached | Descended) -> Iterator[Wanted]:
        """The constants of Adds behind layers, those that are there and those that are not."""
        draft = self.draft
        for end, host, shift in self._hosts(found):
            kind, axis = float_type(draft, end.node, end.absorbed), end.absorbed.shift_axis
            if host is None:
                yield Wanted(None, 0, new_dims(shift, axis), kind)
            else:
                dims = shift_dims(draft, host, shift, axis)
                yield Wanted(host.node, 1 - host.slot, dims, kind)

    def _hosts(self, found: Reached | Descended) -> Iterator[tuple[Taken, Stop | None, Doubled]]:
        """Each layer with a shift behind it, the Add that holds it if any, and all it holds."""
        draft = self.draft
        lines = found.lines if isinstance(found, Reached) else ()
        for line in lines:
            if isinstance(line.end, Taken) and line.end.absorbed.shift is not None:
                yield line.end, host_of(draft, line, line.stops()), line.end.absorbed.shift
        layers = found.layers if isinstance(found, Descended) else ()
        for end in layers:
            if end.absorbed.shift is not None:
                stop, whole = host_below(draft, self.steps, end) or (None, end.absorbed.shift)
                yield end, stop, whole

    def _is_free(self, found: Reached | Descended) -> bool:
        """Whether all constants that change are there, each for one node alone."""
        entered = isinstance(found, Reached) and found.entered
        return not entered and all(map(self._own, self._wanted(found)))


def _ends(found: Reached | Descended) -> Iterator[Taken | Turn]:
    if isinstance(found, Reached):
        yield from (line.end for line in found.lines if isinstance(line.end, Taken | Turn))
    else:
        yield from (r.becomes for r in found.readers if not isinstance(r.becomes, Stop))
