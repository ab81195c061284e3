"""A scope as it will be after the folds decided so far: names and nodes, no weights.

The planner simulates each fold here, since one fold may unlock the next. What can be asked of it is
its ``View``; here is what changes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from onnx import NodeProto

from folding.protos import measured_slots
from folding.view import View


@dataclass(slots=True)
class Draft(View):
    """The differences from one scope, and all that makes some."""

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
        self._slots(index, slot, name).add(index)
        if old:
            self._stop_reading(old, index, slot)

    def rename_output(self, index: int, name: str, place: int = 0) -> None:
        """Call an output of a node otherwise; readers of its shape or type follow."""
        node = self.edit(index)
        old = node.output[place]
        if old == name:
            return
        self._producers[old] = None
        self._producers[name] = index
        self.vanished.discard(name)
        if name in self._origins:
            self.renamed[self._origins[name]] = name
            self.vanished.discard(self._origins[name])
        self.looks_like(name, old)
        node.output[place] = name
        self.point_shapes(old, name)
        if old not in self.renamed:
            origin = self._origins.pop(old, old)
            self.renamed.pop(origin, None)
            self.vanished.add(origin)

    def move_output(self, index: int) -> tuple[str, str]:
        """Give the first output of a node a new name, for another node to make it.

        Returns both names, the old one first.
        """
        node = self.edit(index)
        old = node.output[0]
        new = self.names.fresh(f"{old}_unshifted")
        node.output[0] = new
        self._producers[old], self._producers[new] = None, index
        self.looks_like(new, old)
        return old, new

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

    def vanish(self, names: Iterable[str]) -> None:
        """Values are gone, and with them what they were before they had new names."""
        for name in names:
            old = self._origins.get(name, name)
            self.renamed.pop(old, None)
            self.vanished.add(old)

    def source_name(self, name: str) -> str:
        """What a value was called that goes on under a new name."""
        return self._origins.get(name, name)

    def point_shapes(self, old: str, new: str) -> None:
        """Let those who only ask for the shape or type of a value ask another one of the same."""
        for index in list(self.measurers(old)) if self._is_measured(old) else ():
            for slot in measured_slots(self.node(index)):
                if self.node(index).input[slot] == old:
                    self.set_input(index, slot, new)

    def point_readers(self, readers: Iterable[int], old: str, new: str) -> None:
        """Let those of some readers of a value that are not taken away read another one."""
        for index in readers:
            names = self.node(index).input if self.nodes.get(index, index) is not None else ()
            for slot, name in enumerate(names):
                if name == old:
                    self.set_input(index, slot, new)

    def insert(self, node: NodeProto, after: int) -> int:
        """Add a node behind another one."""
        index = len(self.scope.nodes) + len(self.after)
        self.nodes[index], self.after[index] = node, after
        for name in node.input:
            self.readers(name).add(index)
        for name in node.output:
            self._producers[name] = index
        return index

    def stand_in(self, value: str) -> int:
        """A node that reads what a body gives, instead of all that does so outside.

        What it makes has the name that the value gets if it goes on with other content.
        """
        if value not in self._aliases:
            self._aliases[value] = self.names.fresh(f"{self.source_name(value)}_folded")
        self.outputs.remove(value)
        node = NodeProto(op_type="Identity", input=[value], output=[self._aliases[value]])
        return self.insert(node, after=self.producer(value) or 0)

    def withdraw(self, index: int) -> None:
        """Take the last node back that stood in, as if it had never been there."""
        node = self.node(index)
        del self.nodes[index], self.after[index], self._producers[node.output[0]]
        self.readers(node.input[0]).remove(index)
        self.outputs.add(node.input[0])

    def hand_out(self, source: str, new: str) -> None:
        """A body gives a value of the source under a new name, since it has other content."""
        self.given[source] = self.renamed[source] = new
        self._origins[new] = source
        self.vanished.discard(source)
        self.outputs.add(new)

    def bypass(self, index: int, data: str) -> None:
        """Take a node away but for its hold on ``data``; what else it read is let go."""
        node = self.node(index)
        self.nodes[index] = None
        self._producers[node.output[0]] = None
        for slot, name in enumerate(node.input):
            if name and name != data:
                self._stop_reading(name, index, slot)

    def let_go(self, index: int, data: str) -> None:
        """End the hold of a node that was bypassed: others read its data, under whatever name."""
        self.readers(data).remove(index)

    def take_away(self, index: int) -> None:
        """Take a node away whose results nothing reads."""
        node = self.node(index)
        self.vanish(filter(None, node.output))
        self.nodes[index] = None
        for slot, name in enumerate(node.input):
            if name and index in self._slots(index, slot, name):
                self._stop_reading(name, index, slot)

    def spare(self, dims: tuple[int, ...], elem_type: int) -> str | None:
        """The first name of a tensor of this form that lost its readers, which is used again."""
        names = self._spares.get((dims, elem_type), [])
        while names:
            name = heappop(names)
            if name in self.tensors_dropped:
                self.tensors_dropped.remove(name)
                return name
        return None

    def _stop_reading(self, name: str, index: int, slot: int) -> None:
        """Take a reader away, and whatever was computed or stored for it alone."""
        ended = [(name, index, slot)]
        while ended:
            name, index, slot = ended.pop()
            self._slots(index, slot, name).remove(index)
            self.released.append(name)
            if self.is_read(name):
                continue
            self.changed.pop(name, None)
            if name in self.scope.initializers:
                if name not in self.scope.overridable:  # Else its input would have no default.
                    self.drop_tensor(name)
            elif (producer := self.producer(name)) is not None:
                node = self.node(producer)
                if not any(self.is_read(output) for output in node.output):
                    self.vanish(filter(None, node.output))
                    self.nodes[producer] = None
                    ended += [(given, producer, i) for i, given in enumerate(node.input) if given]

    def drop_tensor(self, name: str) -> None:
        """Take away a stored tensor that nothing reads."""
        self.tensors_dropped.add(name)
        tensor = self.scope.initializers[name]
        form = tuple(tensor.dims), tensor.data_type
        heappush(self._spares.setdefault(form, []), name)
