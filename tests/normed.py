"""Absorbers asked directly, and their answers tried by brute force from the ONNX definition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from graphs import FLOAT, TOLERANCES, Array, Feed, Net, distance, run
from onnx import ModelProto, NodeProto, numpy_helper
from oracle import evaluate
from passing import Around, applied, feed_of

from folding.absorbers import ABSORBERS, Absorbed, Weight
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.factor import Factor
from folding.floats import FLOATS
from folding.inference import Shape
from folding.plan import Kept, Reason
from folding.protos import title


@dataclass
class OnlyLayer:
    """The only node of a model, as a ``Layer``."""

    model: ModelProto

    def __post_init__(self) -> None:
        self.around = Around(self.model)
        self.opset = self.around.opset

    @property
    def node(self) -> NodeProto:
        return self.model.graph.node[-1]

    def shape(self, name: str) -> Shape | None:
        return self.around.shape(name)

    def is_constant(self, slot: int) -> bool:
        return slot < len(self.node.input) and self.node.input[slot] in self.around.stored

    def weight(self, slot: int) -> Weight | Kept:
        name = self.node.input[slot]
        if name not in self.around.stored:
            return Kept(Reason.RUNTIME_WEIGHT, title(self.node))
        if self.around.type(name) not in FLOATS:
            return Kept(Reason.WEIGHT_TYPE, name)
        return Weight(self.around.stored[name].shape, self.around.type(name))

    def bias(self, slot: int) -> Doubled | Kept | None:
        if slot >= len(self.node.input) or not self.node.input[slot]:
            return None
        value = self.around.stored.get(self.node.input[slot])
        if value is None:
            return Kept(Reason.RUNTIME_BIAS, title(self.node))
        return Doubled.exact(value)

    def summed(self, slot: int, factor: Factor, axes: tuple[int, ...]) -> Doubled | Kept:
        name = self.node.input[slot]
        assert factor.channel.ndim == self.around.stored[name].ndim
        value = self.around.stored[name] * factor.scale.high[factor.channel]
        if not np.isfinite(value).all():
            return Kept(Reason.NOT_FINITE, name)
        return Doubled.exact(value.sum(axes))


def ask(
    net: Net, affine: ChannelAffine, *, slot: int | None = None
) -> tuple[ModelProto, Absorbed | Kept]:
    """The net, which has one node, as a model, and the answer of that node's absorber.

    ``slot`` is the input that the affine stands before; without one it stands behind.
    """
    model = net.model(*[name for name in net.nodes[-1].output if name])
    layer = OnlyLayer(model)
    rule = ABSORBERS[layer.node.op_type]
    if slot is None:
        assert rule.at_output is not None, "it takes in nothing that stands behind"
        return model, rule.at_output(layer, affine)
    assert rule.at_input is not None, "it takes in nothing that stands before"
    return model, rule.at_input(layer, affine, slot)


def assert_taken(
    net: Net, affine: ChannelAffine, *, slot: int | None = None, feed: Feed | None = None
) -> Absorbed:
    """With its new constants, the layer alone computes what it did with the affine."""
    model, answer = ask(net, affine, slot=slot)
    assert isinstance(answer, Absorbed), answer
    feed = feed or feed_of(model, sizes={"n": 3})
    if slot is None:
        wanted = evaluate(model, feed)
        wanted[0] = applied(affine, wanted[0])
    else:
        name = net.nodes[-1].input[slot]
        wanted = evaluate(model, feed | {name: applied(affine, feed[name])})
    found = evaluate(_changed(model, answer), feed)
    if answer.shift is not None:
        tail = [1] * (-1 - answer.shift_axis)
        found[0] = found[0] + answer.shift.high.reshape(-1, *tail)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    return answer


def assert_refused(
    net: Net,
    affine: ChannelAffine,
    reason: Reason,
    *,
    slot: int | None = None,
    at: str = "y",
) -> None:
    """The absorber refuses for a reason, and names its node, or a constant."""
    _, answer = ask(net, affine, slot=slot)
    assert isinstance(answer, Kept), answer
    assert (answer.reason, answer.at) == (reason, at)


def assert_defined(net: Net, feed: Feed | None = None) -> None:
    """The definition says what onnxruntime computes."""
    model = net.model(*[name for name in net.nodes[-1].output if name])
    feed = feed or {name: value.astype("f4") for name, value in feed_of(model).items()}
    for one, other in zip(evaluate(model, feed), run(model, feed), strict=True):
        assert distance(one, other) <= TOLERANCES[FLOAT]


def _changed(model: ModelProto, answer: Absorbed) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    node = copy.graph.node[-1]
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    values: dict[int, Array] = {slot: value.high for slot, value in answer.constants.items()}
    for slot, factor in answer.factors.items():
        assert slot not in values
        weight = stored[node.input[slot]]
        assert factor.channel.ndim == weight.ndim
        values[slot] = weight * factor.scale.high[factor.channel]
        assert values[slot].shape == weight.shape
    for slot, value in values.items():
        node.input.extend([""] * (slot + 1 - len(node.input)))
        node.input[slot] = f"new_{slot}"
        copy.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"new_{slot}"))
    return copy
