"""By how much copies grow a model, and which folds are not worth it.

A fold stores a constant twice if others read it whose content stays another one, and stores a
larger one if it must give each channel its own number. What counts is the bytes of all tensors
that take the place of a constant of the source, or stand beside it, less the bytes of all stored
constants that go; the biases that layers get count for nothing. Growth by 1 % is allowed, and by
what a file takes on a disk at least. Of more, the folds that store the largest tensors are refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from folding.draft import Draft
from folding.plan import Decision, Kept, Reason, Warned
from folding.planner import Refused
from folding.protos import element_bytes
from folding.recipes import Changed
from folding.tensors import folded_in

_PERCENT = 100
_PAGE = 4096


@dataclass(slots=True)
class _Family:
    """What is stored for one constant of the source, each with the number of its scope.

    ``freed`` is how many bytes of it go.
    """

    freed: int
    members: list[tuple[int, Changed]] = field(default_factory=list)

    @property
    def largest(self) -> int:
        return max(changed.size for _, changed in self.members)

    @property
    def grown(self) -> int:
        return sum(changed.size for _, changed in self.members) - self.freed


class Growth:
    """What the folds of some drafts add to a model that has ``size`` bytes."""

    def __init__(self, drafts: Sequence[Draft], size: int) -> None:
        self._drafts = drafts
        self._most = max(size // _PERCENT, _PAGE)
        freed = {key: count for draft in drafts for key, count in _freed(draft)}
        self._families: dict[Hashable, _Family] = {}
        for number, draft in enumerate(drafts):
            for changed in draft.changed.values():
                if changed.origin is not None:
                    key = _key(number, draft, changed.origin)
                    family = self._families.setdefault(key, _Family(freed.get(key, 0)))
                    family.members.append((number, changed))
        stored = sum(c.size for family in self._families.values() for _, c in family.members)
        self.bytes = stored - sum(freed.values())

    @property
    def is_little(self) -> bool:
        """Whether nobody need ask for it."""
        return self.bytes <= self._most

    def said_of(self, decisions: Iterable[Decision]) -> list[Warned]:
        """What the user should know of it, once the decisions are made."""
        if not self.is_little:
            text = f"copies of tensors grow the model by {self.bytes} bytes, as was allowed"
            return [Warned("GROWTH_ALLOWED", "", text)]
        kept = [d.outcome for d in decisions if isinstance(d.outcome, Kept)]
        places = [outcome.at for outcome in kept if outcome.reason is Reason.COPIES]
        if not places:
            return []
        text = (
            f"{len(places)} of {len(kept)} normalisations stay because copies of tensors would"
            " grow the model by more than 1 %; --allow-growth (allow_growth=True) folds them"
        )
        return [Warned("GROWTH_REFUSED", places[0], text)]

    def refusals(self) -> Refused:
        """The affines to keep, so that the model grows no more than is allowed.

        Where all that read a constant changed it, the first that does not brings it back.
        """
        refused: Refused = {}
        growing = [family for family in self._families.values() if family.grown > 0]
        left = self.bytes
        for family in sorted(growing, key=lambda family: -family.largest):
            saved = -family.freed
            for number, changed in sorted(family.members, key=lambda member: -member[1].size):
                if left <= self._most:
                    return refused
                refused |= self._refusal(number, changed)
                saved += changed.size
                left -= max(saved, 0)
                saved = min(saved, 0)
        return refused

    def _refusal(self, number: int, changed: Changed) -> Refused:
        assert changed.origin is not None
        kept = Kept(Reason.COPIES, changed.origin)
        return {
            (number, name): kept
            for names in folded_in(self._drafts[number], changed)
            for name in names
        }


def _key(number: int, draft: Draft, origin: str) -> Hashable:
    """The stored tensor that a constant is, wherever it is stored; else the constant itself."""
    stored = draft.constants.stored(origin)
    return id(stored.tensor) if stored else (number, origin)


def _freed(draft: Draft) -> Iterator[tuple[Hashable, int]]:
    """The stored constants that go, or whose place another content takes, and their bytes."""
    scope = draft.scope
    for name in draft.tensors_dropped | (draft.changed.keys() & scope.initializers.keys()):
        is_input = draft.keeps_inputs and name in scope.inputs
        if name in draft.changed or not is_input:
            tensor = scope.initializers[name]
            yield id(tensor), max(element_bytes(tensor), 0)
    for index, node in draft.nodes.items():
        if node is None and index < len(scope.nodes) and scope.is_own(index, "Constant"):
            stored = draft.constants.stored(scope.makes[index][0])
            if stored is not None:
                yield id(stored.tensor), max(element_bytes(stored.tensor), 0)
