"""A scope as it will be after the folds decided so far: the questions to it.

Nothing of the skeleton is touched: what differs from it is collected, and becomes the edit list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from onnx import NodeProto

from folding.constant_ops import MOST_ELEMENTS
from folding.constants import Constants
from folding.copies import Copies
from folding.doubled import Doubled
from folding.graph import Scope
from folding.inference import Shape, Symbols
from folding.names import Names
from folding.protos import measured_slots, title
from folding.readers import Slots
from folding.recipes import Changed, Direct, Scaled
from folding.sums import summed


@dataclass(frozen=True, slots=True)
class Shift:
    """An Add that stands for a layer's bias: where its constant is, and along which axis."""

    slot: int
    axis: int


@dataclass(slots=True)
class View:
    """One scope and the differences from it.

    ``nodes`` holds changed and new nodes by index (None: dropped); a new one has an index beyond
    the scope's and stands behind the node that ``after`` gives for it. ``changed`` has the tensors
    with new content and ``tensors_dropped`` those without a reader; ``renamed`` the values that go
    on with other content, and ``vanished`` those that are gone. ``shifts`` has the Adds that stand
    for a layer's bias since a fold, ``released`` the names that something stopped reading.
    ``copies`` has what became of constants with several readers. ``ends`` has for each folded
    affine the values that are as they were again behind it, and for each where its channels are,
    from the right. ``fixed`` has the nodes whose constants no shift may go into, ``idle``
    those that nothing reads, which do not count as readers of what may change. ``number`` is the
    graph's among those of the model. ``given`` has the new names of what a body gives that goes on
    with other content, and ``owners`` by those the affine that went in: its graph, and its name.
    """

    scope: Scope
    constants: Constants
    names: Names
    keeps_inputs: bool
    number: int = 0
    nodes: dict[int, NodeProto | None] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)
    changed: dict[str, Changed] = field(default_factory=dict)
    tensors_dropped: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    vanished: set[str] = field(default_factory=set)
    shifts: dict[int, Shift] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)
    copies: Copies = field(init=False)
    ends: dict[str, dict[str, int | None]] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)
    idle: set[int] = field(default_factory=set)
    outputs: set[str] = field(init=False)
    given: dict[str, str] = field(default_factory=dict)
    owners: dict[str, tuple[int, str]] = field(default_factory=dict)
    _producers: dict[str, int | None] = field(default_factory=dict)
    _readers: dict[str, Slots] = field(default_factory=dict)
    _measurers: dict[str, Slots] = field(default_factory=dict)
    _spares: dict[tuple[tuple[int, ...], int], list[str]] = field(default_factory=dict)
    _shapes_of: dict[str, str] = field(default_factory=dict)
    _origins: dict[str, str] = field(default_factory=dict)
    _aliases: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.copies = Copies(self.constants)
        self.outputs = set(self.scope.outputs)

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

    def readers(self, name: str) -> Slots:
        """What sees more of a value than its shape and its type."""
        if name not in self._readers:
            self._readers[name] = Slots(self.scope.readers.get(name, ()))
        return self._readers[name]

    def measurers(self, name: str) -> Slots:
        """What only asks for the shape of a value, or for its type."""
        if name not in self._measurers:
            self._measurers[name] = Slots(self.scope.measurers.get(name, ()))
        return self._measurers[name]

    def is_alone(self, index: int, name: str) -> bool:
        """Whether one input slot of a node is the only one that reads a value."""
        return index in self.readers(name) and self.is_read_once(name)

    def is_read(self, name: str) -> bool:
        return bool(name) and (self._count(name) > 0 or self.is_seen(name))

    def is_read_once(self, name: str) -> bool:
        """Whether one input slot alone reads a value, or asks for its shape."""
        return self._count(name) == 1

    def is_seen(self, name: str) -> bool:
        """Whether something outside the scope's nodes sees a value."""
        return name in self.outputs or name in self.scope.captured

    def shape(self, name: str) -> Shape | None:
        return self.scope.shape(self._shapes_of.get(name, name))

    def symbols(self, name: str) -> Symbols:
        return self.scope.symbols.get(self._shapes_of.get(name, name), ())

    def type(self, name: str) -> int:
        return self.scope.type(self._shapes_of.get(name, name))

    def original(self, name: str) -> str:
        """A value of the source that has the shape and type of a value."""
        return self._shapes_of.get(name, name)

    def integers(self, name: str) -> tuple[int, ...] | None:
        value = self.constants.value(name) if name in self.constants else None
        if value is None or isinstance(value, Doubled):
            return None
        return tuple(int(element) for element in value.ravel())

    def is_constant(self, name: str) -> bool:
        """Whether a value is the same in every run."""
        return name in self.changed or name in self.constants

    def numbers(self, name: str) -> Doubled | None:
        """A float constant as the folds decided so far leave it; None if it is too big."""
        changed = self.changed.get(name)
        if changed is None:
            return self.constants.doubled(name) if name in self.constants else None
        recipe = changed.recipe
        if isinstance(recipe, Direct):
            return recipe.value
        if not isinstance(recipe, Scaled) or prod(recipe.dims) > MOST_ELEMENTS:
            return None
        return summed(recipe, ())

    def _count(self, name: str) -> int:
        count = self.readers(name).count
        return count + self.measurers(name).count if self._is_measured(name) else count

    def _is_measured(self, name: str) -> bool:
        return name in self._measurers or name in self.scope.measurers

    def _slots(self, index: int, slot: int, name: str) -> Slots:
        """The slots that read a value as a slot of a node does."""
        is_new = index >= len(self.scope.nodes)
        measures = not is_new and slot in measured_slots(self.scope.nodes[index])
        return self.measurers(name) if measures else self.readers(name)
