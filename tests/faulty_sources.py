"""Sources with a fault in one normalisation, as a folding tool may read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto
from testbed import Bed

from folding.doubled import Doubled, Doubles
from folding.equivalence.sites import Site
from folding.floats import FLOATS
from folding.modelfile import Model
from folding.protos import attribute


class Affine:
    """The affine at the end of a folded place, and how to change its constants."""

    def __init__(self, bed: Bed, site: Site) -> None:
        self.model = bed.reference
        nodes = self.model.proto.graph.node
        makers = {nodes[index].op_type: index for index in site.before.nodes}
        self._constants = bed.constants
        self.norm = makers.get("BatchNormalization")
        self.factor = makers.get("Mul", makers.get("Div"))
        self.term = makers.get("Add", makers.get("Sub"))
        self.channels = {i: self._slot(nodes[i]) for i in (self.factor, self.term) if i is not None}

    def _slot(self, node: NodeProto) -> int | None:
        return next((k for k, name in enumerate(node.input) if name in self._constants), None)

    def value(self, index: int, slot: int) -> Doubles:
        found = self._constants.value(self.model.proto.graph.node[index].input[slot])
        assert isinstance(found, Doubled)
        return found.high

    @property
    def epsilon(self) -> float:
        assert self.norm is not None
        found = attribute(self.model.proto.graph.node[self.norm], "epsilon")
        return float(np.float32(1e-5)) if found is None else found.f

    @property
    def scale(self) -> Doubles:
        """What the affine multiplies by."""
        assert self.norm is not None
        return self.value(self.norm, 1) / np.sqrt(self.value(self.norm, 4) + self.epsilon)

    def with_constants(
        self, index: int, values: Mapping[int, Doubles], epsilon: float | None = None
    ) -> Model:
        """The source with other constants in a node."""
        copy = ModelProto()
        copy.CopyFrom(self.model.proto)
        node = copy.graph.node[index]
        for slot, array in values.items():
            kind = self._constants.scope.type(node.input[slot])
            name = f"faulty:{slot}"
            stored = FLOATS[kind].round(array)
            copy.graph.initializer.append(
                TensorProto(name=name, dims=array.shape, data_type=kind, raw_data=stored.tobytes())
            )
            node.input[slot] = name
        if epsilon is not None:
            kept = [a for a in node.attribute if a.name != "epsilon"]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.add(name="epsilon", type=AttributeProto.FLOAT, f=epsilon)
        return replace(self.model, proto=copy)

    def rescaled(self, change: Callable[[Doubles], Doubles]) -> Model | None:
        """The source with another factor for each channel."""
        if self.norm is not None:
            scale = change(self.scale)
            one = np.full_like(scale, 1 - self.epsilon)
            return self.with_constants(self.norm, {1: scale, 4: one})
        if self.factor is None or (slot := self.channels[self.factor]) is None:
            return None
        return self.with_constants(self.factor, {slot: change(self.value(self.factor, slot))})

    def changed(self, slot: int, change: Callable[[Doubles], Doubles]) -> Model | None:
        """The source with another parameter of the normalisation."""
        if self.norm is None:
            return None
        return self.with_constants(self.norm, {slot: change(self.value(self.norm, slot))})

    def with_scale_one(self) -> Model | None:
        return self.changed(1, np.ones_like) or self.rescaled(np.ones_like)

    def with_epsilon(self, times: float) -> Model | None:
        if self.norm is None:
            return None
        return self.with_constants(self.norm, {}, self.epsilon * times)

    def shifted(self, change: Callable[[Doubles], Doubles]) -> Model | None:
        """The source with another term for each channel."""
        if self.norm is not None:
            return self.changed(2, change)
        if self.term is None or (slot := self.channels[self.term]) is None:
            return None
        return self.with_constants(self.term, {slot: change(self.value(self.term, slot))})


def _middle(change: Callable[[Doubles], Doubles]) -> Callable[[Doubles], Doubles]:
    """Do something to the number in the middle."""

    def changed(values: Doubles) -> Doubles:
        flat = values.reshape(-1).copy()
        place = slice(flat.size // 2, flat.size // 2 + 1)
        flat[place] = change(flat[place])
        return flat.reshape(values.shape)

    return changed


def _rolled(values: Doubles) -> Doubles:
    return np.roll(values.reshape(-1), 1).reshape(values.shape)


def _half(values: Doubles) -> Doubles:
    return values.astype(np.float16).astype(np.float64)


#: What each fault makes of a source; None where it cannot have it.
FAULTS: dict[str, Callable[[Affine], Model | None]] = {
    "epsilon x10": lambda a: a.with_epsilon(10),
    "epsilon x100": lambda a: a.with_epsilon(100),
    "gamma omitted": lambda a: a.with_scale_one(),
    "beta omitted": lambda a: a.shifted(np.zeros_like),
    "mean omitted": lambda a: a.changed(3, np.zeros_like),
    "sign of mean": lambda a: a.changed(3, np.negative),
    "channels rolled": lambda a: a.rescaled(_rolled),
    "one channel off by 0.1 %": lambda a: a.rescaled(_middle(lambda v: v * 1.001)),
    "one channel off by 0.01 %": lambda a: a.rescaled(_middle(lambda v: v * 1.0001)),
    "one bias off by 0.001": lambda a: a.shifted(_middle(lambda v: v + 1e-3)),
    "scale rounded to half": lambda a: a.rescaled(_half),
}
