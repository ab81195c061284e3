"""Which computed constants are in the tensors that the folds of a graph change.

An affine lies with those that a fold takes along in a region of nodes that the folds claim, between
the layers that take them in. Its constants are told in the order of the graph: what is added is
multiplied by what stands behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from folding.draft import Draft
from folding.equivalence.foreign.chains import Scale, scale_of
from folding.equivalence.foreign.steps import Part, found, node_of
from folding.recipes import Changed

_ADDING = frozenset({"Add", "Sub"})
#: The inputs of a BatchNormalization in the order in which they act, and whether they are added.
_NORM_SLOTS = ((3, True), (1, False), (4, False), (2, True))


@dataclass(slots=True)
class Origins:
    """What the changed tensors of one graph are made of; each region is looked for once."""

    draft: Draft
    _regions: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def of(self, changed: Changed) -> tuple[Part, ...]:
        """The computed constants in a tensor, its own first."""
        own = [changed.origin] if changed.origin is not None else []
        parts = [part for name in own for part in self._part(name, is_added=False)]
        return (*parts, *(part for i in self._taken(changed) for part in self._parts(i)))

    def scales(self, changed: Changed) -> tuple[Scale, ...]:
        """What the affines in a tensor multiply with, in the order of the graph."""
        scope, constants = self.draft.scope, self.draft.constants
        found: dict[int, Scale] = {}
        for (layer, _), names in changed.folded.items():
            place = self.draft.after.get(layer, layer)
            for name in names:
                region = self._region(scope.producers[name])
                side = region[0] > place if region[0] > place or region[-1] < place else None
                for index in region:
                    scale = scale_of(scope.nodes[index], constants)
                    if scale is not None:
                        was = found.get(index, replace(scale, is_behind=side)).is_behind
                        found[index] = replace(scale, is_behind=side if was is side else None)
        return tuple(found[index] for index in sorted(found))

    def _taken(self, changed: Changed) -> list[int]:
        """The nodes of all regions that are in a tensor."""
        regions = {self._region(self.draft.scope.producers[name]) for name in changed.because}
        return [index for region in sorted(regions) for index in region]

    def _region(self, start: int) -> tuple[int, ...]:
        """The claimed nodes around one, as far as the layers that take them in."""
        scope = self.draft.scope
        todo, seen = [start], set[int]()
        while todo and start not in self._regions:
            index = todo.pop()
            if index not in seen:
                seen.add(index)
                near = [scope.producers.get(name) for name in scope.reads[index]]
                near += [i for name in scope.makes[index] for i in scope.readers.get(name, ())]
                todo += [i for i in near if i is not None and self._is_gone(i)]
        for index in seen:
            self._regions[index] = tuple(sorted(seen))
        return self._regions[start]

    def _is_gone(self, index: int) -> bool:
        """Whether the folds claim a node, and put nothing into it."""
        draft = self.draft
        if index not in draft.nodes or draft.scope.makes[index][0] in draft.constants:
            return False
        node = draft.nodes[index]
        return node is None or draft.changed.keys().isdisjoint(node.input)

    def _parts(self, index: int) -> Iterator[Part]:
        scope = self.draft.scope
        operator, reads = scope.operators[index], scope.reads[index]
        slots = ((slot, operator in _ADDING) for slot in range(len(reads)))
        for slot, is_added in _NORM_SLOTS if operator == "BatchNormalization" else slots:
            if slot < len(reads):
                yield from self._part(reads[slot], is_added=is_added)

    def _part(self, name: str, *, is_added: bool) -> Iterator[Part]:
        constants = self.draft.constants
        if name in constants:
            step = found(constants, name)
            if node_of(step) is not None:
                yield is_added, step
