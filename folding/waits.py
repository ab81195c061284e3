"""Who is decided again when something changes."""

from __future__ import annotations

from collections.abc import Iterable

from folding.agenda import Agenda
from folding.chains import Chain
from folding.draft import Draft
from folding.plan import Reason
from folding.way import Stretch

_NUMBERS = {Reason.CAST_ROUNDS, Reason.OVERFLOW, Reason.UNDERFLOW}
#: Reasons that another affine, composed with this one, may not share.
MAY_CHANGE = _NUMBERS | {Reason.OTHER_AXIS, Reason.UNREAD}


class Waits:
    """What the affines of one scope wait for, by their places in ``chains``.

    ``stretches`` are the walks that others may follow, which end with what they went over.
    """

    def __init__(self, chains: list[Chain], stretches: dict[Chain, Stretch]) -> None:
        self.chains, self._stretches = chains, stretches
        self.places = {chain: place for place, chain in enumerate(chains)}
        self.agenda = Agenda(len(chains))
        #: Who went over an affine that stays or stopped at it, on the way up and on the way down,
        #: and who waits until a value has but one reader, or a layer has taken something else in.
        self._behind: dict[Chain, set[int]] = {}
        self._before: dict[Chain, set[int]] = {}
        self._crowds: dict[str, set[int]] = {}
        self._dear: dict[int, set[int]] = {}

    def watch(
        self, chain: Chain, above: Iterable[Chain], below: Iterable[Chain], crowded: Iterable[str]
    ) -> None:
        """Remember what must change before there is another outcome."""
        place = self.places[chain]
        for met in above:
            self._behind.setdefault(met, set()).add(place)
        for met in below:
            self._before.setdefault(met, set()).add(place)
        for name in crowded:
            self._crowds.setdefault(name, set()).add(place)

    def was_too_dear(self, chain: Chain, takers: Iterable[int]) -> None:
        for taker in takers:
            self._dear.setdefault(taker, set()).add(self.places[chain])

    def disturb(self, chain: Chain, *, is_gone: bool) -> None:
        """Decide again about all that went over an affine, or stopped at it."""
        if is_gone:
            self._again(self._before.pop(chain, ()))
        changed = [chain]
        while changed:
            places = self._behind.pop(changed.pop(), ())
            self._again(places)
            went_over = (self.chains[place] for place in places)
            changed += [c for c in went_over if self._stretches.pop(c, None)]

    def has_new_numbers(self, chain: Chain) -> None:
        """Decide again about an affine that took in another one, and about all that met it."""
        self._again([self.places[chain]])
        self.has_fewer_nodes(chain)

    def has_fewer_nodes(self, chain: Chain) -> None:
        """Decide again about all that met an affine."""
        self._stretches.pop(chain, None)
        self.disturb(chain, is_gone=True)

    def has_taken_in(self, takers: Iterable[int]) -> None:
        """Some layers have changed: what was too dear there may not be any more."""
        for taker in takers:
            self._again(self._dear.pop(taker, ()))

    def has_changed(self, draft: Draft, behind: Iterable[Chain]) -> None:
        """Some values have fewer readers, and some affines have come to stand behind a bias."""
        for name in draft.released:
            if name in self._crowds and draft.readers(name).count <= 1:
                self._again(self._crowds.pop(name))
        draft.released.clear()
        self._again(self.places[chain] for chain in behind)

    def _again(self, places: Iterable[int]) -> None:
        for place in places:
            self.agenda.add(place)
