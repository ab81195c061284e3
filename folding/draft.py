"""A scope as it will be after the folds decided so far: names and nodes, no weights.

The planner simulates each fold here, since one fold may unlock the next. Nothing of the skeleton
is touched: what differs from it is collected, and becomes the edit list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from onnx import NodeProto

from folding.constants import Constants
from folding.doubled import Doubled
from folding.graph import Scope, Shape
from folding.names import Names
from folding.protos import reads_shape, title
from folding.recipes import Changed


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
