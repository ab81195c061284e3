"""Into the branches of an If: each of them takes in what stands behind it.

    x ─ If { layer ─ h } ─ affine ─ y         before
    x ─ If { layer' ─ h' } ─ y                after

Whichever is taken, ``s·If(c, a, b) + t = If(c, s·a + t, s·b + t)``. In each branch, a graph of its
own, the way goes on from the value that it gives, where a node stands in for all that reads it
outside. What is to be folded within a branch alone is decided later.

1. All branches take the affine in, or none.
2. The value is made in the branch, which gives it once; nothing else in there sees it.
3. No name in the branch hides one outside of it.
4. A fold enters an If only once: what comes to two outputs of it might meet inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from folding.affine import ChannelAffine
from folding.chains import Chain
from folding.plan import Kept, Kind, Reason
from folding.roads import told_of
from folding.way import Entered, Inside, Reached

if TYPE_CHECKING:
    from folding.search import Search


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A body of an If, the search in it, and what it gives in the source."""

    search: Search
    gives: tuple[str, ...]

    def up(self, place: int, affine: ChannelAffine) -> Inside | Kept:
        """The ways from what the branch gives up to layers in it, or what is in the way."""
        draft, walker = self.search.draft, self.search.walker
        value = self._given(place)
        if draft.scope.closed is not None:
            return Kept(draft.scope.closed, self.gives[place])
        if self.gives.count(self.gives[place]) > 1:
            return Kept(Reason.GRAPH_OUTPUT, self.gives[place])
        stand_in = draft.stand_in(value)
        walker.forget()
        found = walker.up(Chain((stand_in,), Kind.SCALE_SHIFT), affine)
        worth = self.search.prices.worth(found) if isinstance(found, Reached) else (0, 0)
        draft.withdraw(stand_in)
        if isinstance(found, Kept):
            return told_of(draft, found)
        saved, constants = worth
        return Inside(self, found, saved - 1, constants)  # The one that stood in is none of them.

    def take_in(self, place: int, found: Reached, owner: tuple[int, str]) -> None:
        """Fold what was found for the affine ``owner`` into the branch."""
        draft, value = self.search.draft, self._given(place)
        new = draft.node(draft.stand_in(value)).output[0]
        draft.owners[new] = owner
        self.search.take_in(found, new, owner)
        draft.hand_out(self.gives[place], new)

    def _given(self, place: int) -> str:
        return self.search.draft.given.get(self.gives[place], self.gives[place])


def entered(
    index: int, place: int, affine: ChannelAffine, branches: tuple[Branch, ...]
) -> Entered | Kept:
    """The ways into all branches of an If, or why one of them takes nothing in."""
    ways = []
    for branch in branches:
        found = branch.up(place, affine)
        if isinstance(found, Kept):
            return found
        ways.append(found)
    return Entered(index, place, tuple(ways))
