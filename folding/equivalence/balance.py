"""Balance: a changed value comes out of a node if and only if one goes in, or constants changed.

One that takes only some elements of its input may read a changed value, and make what it made: if
all that changed is what others take, and what they make is another value then.

    v' ─┬─ Slice ─ y          was another value before
        └─ Slice ─ z          is what it was

Said here again which elements a node takes, so that a mistake in the rules is not believed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from onnx import NodeProto

from folding.draft import Draft
from folding.equivalence.surroundings import Differs
from folding.protos import integer, integers, measured_slots, title

Pair = tuple[NodeProto, NodeProto | None]
#: The elements that a node takes of its input, by axis from the left.
_Taken = dict[int, frozenset[int]]
_INPUTS_SINCE = 10


@dataclass(slots=True)
class Balance:
    """What goes in and comes out of the changed nodes of one graph, each with what it was.

    ``cut`` has the outputs of affines that are cut out, ``new`` the constants that changed.
    """

    draft: Draft
    pairs: Iterable[Pair]
    cut: Iterable[str]
    new: set[str]
    _readers: dict[str, list[tuple[NodeProto, NodeProto]]] = field(default_factory=dict)

    def check(self) -> None:
        """Raises ``Differs`` at the first node that is out of balance."""
        # What an If makes is another value if what its branches give is: see ``same_bodies``.
        kept = [(n, twin) for n, twin in self.pairs if twin is not None and n.op_type != "If"]
        for node, twin in kept:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append((node, twin))
        for node, twin in kept:
            self._check(node, twin)

    def _check(self, node: NodeProto, twin: NodeProto) -> None:
        measured = measured_slots(node)
        slots = [slot for slot in range(len(node.input)) if slot not in measured]
        has_new = any(node.input[slot] in self.new for slot in slots)
        olds = [s for s in slots if s < len(twin.input) and node.input[s] not in self.new]
        reads = any(node.input[slot] != twin.input[slot] for slot in olds)
        makes = _is_other(node, twin)
        is_shift = twin.output[0] in self.cut
        is_aside = reads and self._is_aside(node, twin)
        if not (is_shift or reads == makes or has_new or is_aside):
            raise Differs(f"node {title(node)!r} lets a value go on as another one", title(node))
        if has_new and not (reads or makes or is_shift):
            raise Differs(f"node {title(node)!r} makes something else", title(node))

    def _is_aside(self, node: NodeProto, twin: NodeProto) -> bool:
        """Whether a node takes none of the elements that others take and make another value of."""
        own = self._taken(node, twin)
        others = [
            self._taken(other, was)
            for other, was in self._readers[node.input[0]]
            if _is_other(other, was)
        ]
        return bool(others) and all(_are_apart(own, other) for other in others)

    def _taken(self, node: NodeProto, twin: NodeProto) -> _Taken:
        """What a node takes of its input on the axes where that is known, and not all."""
        shape = self.draft.scope.shape(twin.input[0])
        if shape is None:
            return {}
        if node.op_type == "Gather":
            axis, found = integer(node, "axis", 0), self.draft.integers(twin.input[1])
            size = shape[axis]
            if size is None or found is None:
                return {}
            return {axis % len(shape): frozenset(i % size for i in found)}
        return self._sliced(twin, shape) if node.op_type == "Slice" else {}

    def _sliced(self, node: NodeProto, shape: tuple[int | None, ...]) -> _Taken:
        """What a Slice takes, by the definition."""
        starts, ends, axes, steps = (
            self._list(node, name, slot + 1)
            for slot, name in enumerate(("starts", "ends", "axes", "steps"))
        )
        found: _Taken = {}
        if starts is None or ends is None or axes is None or steps is None:
            return found
        lengths = {len(starts), len(ends), *(len(given) for given in (axes, steps) if given)}
        if 0 in steps or len(lengths) > 1:
            return found  # No runtime takes it.
        for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
            axis = axes[place] % len(shape) if axes else place
            step, size = steps[place] if steps else 1, shape[axis]
            if size is not None:
                back = step < 0
                first, last = (n + size if n < 0 else n for n in (start, end))
                first = min(max(first, 0), size - back)
                found[axis] = frozenset(range(first, min(max(last, -back), size - back), step))
        return found

    def _list(self, node: NodeProto, name: str, slot: int) -> tuple[int, ...] | None:
        """A parameter of a Slice: empty if it is absent, None if it is not known."""
        if self.draft.opset < _INPUTS_SINCE:
            return integers(node, name) or ()
        is_given = slot < len(node.input) and node.input[slot]
        return self.draft.integers(node.input[slot]) if is_given else ()


def _is_other(node: NodeProto, twin: NodeProto) -> bool:
    """Whether a node makes another value than before."""
    return list(node.output) != list(twin.output)


def _are_apart(one: _Taken, other: _Taken) -> bool:
    """Whether no element is taken twice: on some axis no place is."""
    return any(places.isdisjoint(other[axis]) for axis, places in one.items() if axis in other)
