"""A piece of a graph that computes one value from a few others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from onnx import NodeProto, TensorProto

from folding.constants import Constants
from folding.equivalence.sampling.values import NotSupported
from folding.modelfile import Model


class Region:
    """Some nodes of one graph, the values they are given, and the constants they use.

    ``inputs`` are the values whose activations are given; an initializer that a caller may override
    counts as its default if it is not among them. ``values`` are the values whose shapes an
    evaluation may ask for; ``shared`` those that several nodes read.
    """

    def __init__(
        self,
        model: Model,
        nodes: Sequence[NodeProto],
        inputs: Collection[str],
        constants: Constants,
        opset: int,
    ) -> None:
        self.model, self.constants, self.opset = model, constants, opset
        self.inputs = frozenset(inputs)
        self._producers = {
            name: (node, slot)
            for node in nodes
            for slot, name in enumerate(node.output)
            if name and name not in constants
        }
        reads = Counter(name for node in nodes for name in node.input if name)
        stored = constants.scope.initializers
        self.defaults = {
            name: stored[name] for name in reads if name in stored and name not in constants
        }
        self.shared = frozenset(name for name, count in reads.items() if count > 1)
        self.values = tuple(dict.fromkeys((*inputs, *self._producers)))
        types = map(constants.scope.type, (*self.values, *reads))
        self.is_double = TensorProto.DOUBLE in types

    def is_constant(self, name: str) -> bool:
        """Whether a value is no activation and computed by no node of the region."""
        if name in self.inputs or name in self._producers:
            return False
        return name in self.defaults or name in self.constants

    def producer(self, name: str) -> tuple[NodeProto, int]:
        """The node that computes a value, and as which of its outputs.

        Raises:
            NotSupported: no node of the region does.
        """
        found = self._producers.get(name)
        if found is None:
            raise NotSupported(f"'{name}' is no value of the region")
        return found
