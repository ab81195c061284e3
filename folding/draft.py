"""A scope as it will be after the folds decided so far: names and nodes, no weights.

The planner simulates each fold here, since one fold may unlock the next. Nothing of the skeleton
is touched: what differs from it is collected, and becomes the edit list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from onnx import NodeProto

from folding.absorbers import Absorbed, Weight
from folding.constants import Constants, Stored
from folding.doubled import Doubled
from folding.floats import FLOATS
from folding.graph import Scope, Shape
from folding.plan import Kept, Reason
from folding.protos import reads_shape, title
from folding.recipes import Changed, Direct, Factor, Scaled

#: A weight that is computed may be stored in its place up to this many elements.
_MOST_COMPUTED = 1024


class Names:
    """All names of a model, to find new ones that clash with none."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self.taken = {
            name
            for scope in scopes
            for group in (
                scope.producers,
                scope.readers,
                scope.inputs,
                scope.initializers,
                scope.outputs,
            )
            for name in group
        }

    def fresh(self, wish: str) -> str:
        name, count = wish, 1
        while name in self.taken:
            name, count = f"{wish}_{count}", count + 1
        self.taken.add(name)
        return name


@dataclass(frozen=True, slots=True)
class Shift:
    """An Add that stands for a layer's bias: where its constant is, and along which axis."""

    slot: int
    axis: int


@dataclass(slots=True)
class Draft:
    """The differences from one scope.

    ``nodes`` holds changed and new nodes by index (None: dropped); a new one has an index beyond
    the scope's and stands behind the node that ``after`` gives for it. ``changed`` has the tensors
    with new content and ``tensors_dropped`` those without a reader; ``renamed`` the values that go
    on with other content, and ``vanished`` those that are gone. ``shifts`` has the Adds that stand
    for a layer's bias since a fold.
    """

    scope: Scope
    constants: Constants
    names: Names
    keeps_inputs: bool
    nodes: dict[int, NodeProto | None] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)
    changed: dict[str, Changed] = field(default_factory=dict)
    tensors_dropped: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    vanished: set[str] = field(default_factory=set)
    shifts: dict[int, Shift] = field(default_factory=dict)
    _producers: dict[str, int | None] = field(default_factory=dict)
    _readers: dict[str, list[int]] = field(default_factory=dict)
    _shapes_of: dict[str, str] = field(default_factory=dict)
    _origins: dict[str, str] = field(default_factory=dict)

    # --- what a rule may ask -------------------------------------------------------------------

    @property
    def opset(self) -> int:
        return self.scope.opset

    def node(self, index: int) -> NodeProto:
        node = self.nodes.get(index) if index in self.nodes else self.scope.nodes[index]
        if node is None:
            raise LookupError(index)
        return node

    def title(self, index: int) -> str:
        """What the source calls a node."""
        is_new = index >= len(self.scope.nodes)
        return title(self.node(index) if is_new else self.scope.nodes[index])

    def producer(self, name: str) -> int | None:
        if name in self._producers:
            return self._producers[name]
        index = self.scope.producers.get(name)
        return None if index in self.nodes and self.nodes[index] is None else index

    def readers(self, name: str) -> list[int]:
        return self._readers.get(name) or self._readers.setdefault(
            name, list(self.scope.readers.get(name, ()))
        )

    def is_read(self, name: str) -> bool:
        return bool(name) and (bool(self.readers(name)) or self.is_seen(name))

    def is_seen(self, name: str) -> bool:
        """Whether something outside the scope's nodes sees a value."""
        return name in self.scope.outputs or name in self.scope.captured

    def value_readers(self, name: str) -> Iterator[int]:
        """The readers that see more of a value than its shape."""
        return (i for i in self.readers(name) if not reads_shape(self.node(i)))

    def shape(self, name: str) -> Shape | None:
        return self.scope.shape(self._shapes_of.get(name, name))

    def type(self, name: str) -> int:
        return self.scope.type(self._shapes_of.get(name, name))

    def integers(self, name: str) -> tuple[int, ...] | None:
        value = self.constants.value(name) if name in self.constants else None
        if value is None or isinstance(value, Doubled):
            return None
        return tuple(int(element) for element in value.ravel())

    # --- constants -----------------------------------------------------------------------------

    def dims(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant."""
        changed = self.changed.get(name)
        return changed.recipe.dims if changed else self.constants.dims(name)

    def is_constant(self, name: str) -> bool:
        return name in self.changed or name in self.constants

    def weight(self, name: str, at: str) -> Weight | Kept:
        """A weight that can be scaled, or why it cannot."""
        if name in self.changed:
            changed = self.changed[name]
            return Weight(changed.recipe.dims, changed.elem_type)
        if name not in self.constants:
            overridable = name in self.scope.overridable
            return (
                Kept(Reason.OVERRIDABLE, name) if overridable else Kept(Reason.RUNTIME_WEIGHT, at)
            )
        stored = self.constants.stored(name)
        dims = self.constants.dims(name)
        elem_type = stored.tensor.data_type if stored else self.scope.type(name)
        if elem_type not in FLOATS:
            return Kept(Reason.WEIGHT_TYPE, name)
        count = 1
        for dim in dims or ():
            count *= dim
        if dims is None or (stored is None and count > _MOST_COMPUTED):
            return Kept(Reason.WEIGHT_COMPUTED, at)
        if stored is None and self.constants.doubled(name) is None:
            return Kept(Reason.TOO_COMPLEX, name)
        return Weight(dims, elem_type)

    def small(self, name: str, at: str) -> Doubled | Kept:
        """The value of a bias or another small constant, or why there is none."""
        changed = self.changed.get(name)
        if changed is not None and isinstance(changed.recipe, Direct):
            return changed.recipe.value
        if name not in self.constants:
            overridable = name in self.scope.overridable
            return Kept(Reason.OVERRIDABLE, name) if overridable else Kept(Reason.RUNTIME_BIAS, at)
        value = self.constants.doubled(name)
        if value is None:
            return Kept(Reason.TOO_COMPLEX, name)
        return value if value.is_finite() else Kept(Reason.NOT_FINITE, name)

    def scale(self, index: int, absorbed: Absorbed, because: str) -> None:
        """Multiply the weight of a layer."""
        name = self.node(index).input[absorbed.slot]
        factor = Factor(absorbed.channel, absorbed.scale)
        before = self.changed.get(name)
        if before is not None and isinstance(before.recipe, Scaled):
            recipe = before.recipe.times(factor)
        else:
            source: Stored | Doubled | None = self.constants.stored(name)
            if before is not None and isinstance(before.recipe, Direct):
                source = before.recipe.value
            elif source is None:
                source = self.constants.doubled(name)
            assert source is not None  # Draft.weight refuses what is neither stored nor small.
            recipe = Scaled(self.constants, source, factor)
        self._store(index, absorbed.slot, recipe, because)

    def set_constant(
        self, index: int, slot: int, value: Doubled, elem_type: int, because: str
    ) -> None:
        """Give an input slot of a node a new constant."""
        self._store(index, slot, Direct(value), because, elem_type)

    def _store(
        self, index: int, slot: int, recipe: Scaled | Direct, because: str, elem_type: int = 0
    ) -> None:
        node = self.node(index)
        old = node.input[slot] if slot < len(node.input) else ""
        before = self.changed.get(old)
        reasons = [*(before.because if before else ()), because]
        origin = before.origin if before else old or None
        elem_type = elem_type or (before.elem_type if before else self._stored_type(old))
        alone = self.readers(old) == [index] and not self.is_seen(old) if old else False
        own = before is not None or old in self.scope.initializers
        same = own and (
            before is not None or tuple(self.scope.initializers[old].dims) == recipe.dims
        )
        if alone and same:
            name = old
        else:
            name = self._free_name(old or f"{node.output[0]}_bias", recipe, elem_type)
            self.set_input(index, slot, name)
        self.changed[name] = Changed(name, elem_type, recipe, origin, reasons)

    def _stored_type(self, name: str) -> int:
        stored = self.constants.stored(name)
        return stored.tensor.data_type if stored else self.scope.type(name)

    def _free_name(self, wish: str, recipe: Scaled | Direct, elem_type: int) -> str:
        """A name for a new tensor: below IR 4, where each is also a graph input, a freed one."""
        if self.keeps_inputs:
            for name in sorted(self.tensors_dropped):
                tensor = self.scope.initializers[name]
                if (tuple(tensor.dims), tensor.data_type) == (recipe.dims, elem_type):
                    self.tensors_dropped.remove(name)
                    return name
        return self.names.fresh(wish if wish not in self.names.taken else f"{wish}_folded")

    # --- nodes ---------------------------------------------------------------------------------

    def edit(self, index: int) -> NodeProto:
        """A copy of a node that may be changed."""
        if index not in self.nodes:
            copy = NodeProto()
            copy.CopyFrom(self.scope.nodes[index])
            self.nodes[index] = copy
        return self.node(index)

    def set_input(self, index: int, slot: int, name: str) -> None:
        node = self.edit(index)
        while len(node.input) <= slot:
            node.input.append("")
        old = node.input[slot]
        node.input[slot] = name
        self.readers(name).append(index)
        if old:
            self._stop_reading(old, index)

    def rename_output(self, index: int, name: str) -> None:
        """Call the first output of a node otherwise; readers of its shape follow."""
        node = self.edit(index)
        old = node.output[0]
        if old == name:
            return
        self._producers[old] = None
        self._producers[name] = index
        self.vanished.discard(name)
        self.looks_like(name, old)
        node.output[0] = name
        self.point_shapes(old, name)
        if old not in self.renamed:
            origin = self._origins.pop(old, old)
            self.renamed.pop(origin, None)
            self.vanished.add(origin)

    def looks_like(self, new: str, old: str) -> None:
        """A new value has the shape and type of an old one."""
        self._shapes_of[new] = self._shapes_of.get(old, old)

    def renamed_value(self, old: str) -> str:
        """The new name of a value that goes on with other content."""
        if old in self._origins or old not in self.scope.producers:
            return old
        new = self.renamed[old] = self.names.fresh(f"{old}_folded")
        self._origins[new] = old
        return new

    def point_shapes(self, old: str, new: str) -> None:
        """Let those who only ask for the shape of a value ask another one of the same shape."""
        for index in [i for i in self.readers(old) if reads_shape(self.node(i))]:
            self.set_input(index, 0, new)

    def insert(self, node: NodeProto, after: int) -> int:
        """Add a node behind another one."""
        index = len(self.scope.nodes) + len(self.after)
        self.nodes[index], self.after[index] = node, after
        for name in node.input:
            self.readers(name).append(index)
        for name in node.output:
            self._producers[name] = index
        return index

    def drop(self, index: int) -> None:
        """Take a node away, and whatever was computed or stored for it alone."""
        node = self.node(index)
        self.nodes[index] = None
        for name in node.input:
            if name:
                self._stop_reading(name, index)

    def bypass(self, index: int, data: str) -> None:
        """Take a node away whose input will be read by others; what else it read is let go."""
        node = self.node(index)
        self.nodes[index] = None
        self._producers[node.output[0]] = None
        self.readers(data).remove(index)
        for name in node.input:
            if name and name != data:
                self._stop_reading(name, index)

    def _stop_reading(self, name: str, index: int) -> None:
        self.readers(name).remove(index)
        if self.is_read(name):
            return
        producer = self.producer(name)
        self.changed.pop(name, None)
        if name in self.scope.initializers:
            self.tensors_dropped.add(name)
        elif producer is not None and not any(self.is_read(o) for o in self.node(producer).output):
            self.vanished.update(o for o in self.node(producer).output if o)
            self.drop(producer)
