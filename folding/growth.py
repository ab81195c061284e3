"""By how much copies grow a model, and which folds are not worth it.

A fold stores a constant twice if it is read elsewhere with another content, and stores a larger one
if each channel must have its own number. By constant of the source, what counts is the bytes of
all tensors that have its new contents, less its own if it goes. Neither the biases that layers get
count nor the parameters that go with an affine.

All copies together may grow a model by 1 %, or by a page of a disk if that is more. Else those of a
constant that would grow it by more alone are not made; and if the others are still too many, none
of them. To make some of these would be to make some more the next time that the model is folded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from folding.constants import Constants
from folding.draft import Draft
from folding.plan import Decision, Kept, Reason, Warned
from folding.planner import Refused
from folding.protos import element_bytes
from folding.recipes import Changed
from folding.tensors import folded_in

_PERCENT = 100
_PAGE = 4096
_COPIES = frozenset({Reason.COPIES, Reason.COMPUTED_COPIES})


@dataclass(slots=True)
class _Family:
    """What is stored for one constant of the source, each with the number of its scope.

    ``freed`` is how many bytes of it go.
    """

    freed: int
    members: list[tuple[int, Changed]] = field(default_factory=list)

    @property
    def grown(self) -> int:
        return sum(changed.size for _, changed in self.members) - self.freed


class Growth:
    """What the folds of some drafts add to a model that has ``size`` bytes."""

    def __init__(self, drafts: Sequence[Draft], size: int) -> None:
        self._drafts = drafts
        self._most = max(size // _PERCENT, _PAGE)
        self._families = [family for family in _families(drafts) if family.grown > 0]
        self.bytes = sum(family.grown for family in self._families)

    @property
    def is_little(self) -> bool:
        """Whether nobody need ask for it."""
        return self.bytes <= self._most

    def refusals(self) -> Refused:
        """The affines to keep if this is too much."""
        refused: Refused = {}
        large = [family for family in self._families if family.grown > self._most]
        for family in large or self._families:
            for number, changed in family.members:
                assert changed.origin is not None
                owners = self._drafts[number].owners
                for names in folded_in(self._drafts[number], changed):
                    kept = Kept(self._reason(number, changed.origin), changed.origin)
                    refused |= {owners.get(name, (number, name)): kept for name in names}
        return refused

    def _reason(self, number: int, origin: str) -> Reason:
        is_stored = self._drafts[number].constants.stored(origin) is not None
        return Reason.COPIES if is_stored else Reason.COMPUTED_COPIES

    def said_of(self, decisions: Iterable[Decision]) -> list[Warned]:
        """What the user should know of it, once the decisions are made."""
        if not self.is_little:
            text = f"copies of tensors grow the model by {self.bytes} bytes, as was allowed"
            return [Warned("GROWTH_ALLOWED", "", text)]
        kept = [d.outcome for d in decisions if isinstance(d.outcome, Kept)]
        places = [outcome.at for outcome in kept if outcome.reason in _COPIES]
        if not places:
            return []
        text = (
            f"{len(places)} of {len(kept)} normalisations stay because copies of tensors would grow"
            " the model by more than 1 %; --allow-growth (allow_growth=True) folds them"
        )
        return [Warned("GROWTH_REFUSED", places[0], text)]


def _families(drafts: Sequence[Draft]) -> Iterable[_Family]:
    freed = {key: count for draft in drafts for key, count in _freed(draft)}
    found: dict[Hashable, _Family] = {}
    for number, draft in enumerate(drafts):
        for changed in draft.changed.values():
            if changed.origin is not None:
                leaves = _leaves(draft.constants, changed.origin)
                # What a constant is computed from may be its own, or large and that of others, too.
                key = next(iter(leaves), (number, changed.origin))
                family = found.setdefault(key, _Family(0))
                family.freed += sum(freed.pop(leaf, 0) for leaf in leaves)
                family.members.append((number, changed))
    return found.values()


def _leaves(constants: Constants, origin: str) -> list[Hashable]:
    """The stored tensors that a constant is computed from, the largest one first."""
    sizes: dict[Hashable, int] = {}
    names, seen = [(constants, origin)], {origin}
    while names:
        around, name = names.pop()
        stored, node = around.stored(name), around.node(name)
        if stored is not None:
            sizes[id(stored.tensor)] = max(element_bytes(stored.tensor), 0)
        elif node is not None:
            names += [(around, other) for other in node.input if other and other not in seen]
            seen.update(node.input)
        elif around.outer is not None and name not in around.scope.initializers:
            names.append((around.outer, name))
    return sorted(sizes, key=lambda key: -sizes[key])


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
