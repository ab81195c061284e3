"""Absorbers asked directly, and their answers tried by brute force from the ONNX definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from graphs import Net
from onnx import ModelProto, NodeProto, helper, numpy_helper
from oracle import Array, evaluate
from passing import applied, feed_of

from folding.absorbers import ABSORBERS, Absorbed
from folding.affine import ChannelAffine
from folding.constants import Constants
from folding.draft import Draft
from folding.graph import index
from folding.layers import DraftLayer
from folding.modelfile import Model, in_memory
from folding.names import Names
from folding.plan import Kept, Reason


def layer_of(model: Model) -> DraftLayer:
    """The last node of a model, in a draft in which nothing is decided yet."""
    scopes, _ = index(model)
    scope = scopes[0]
    draft = Draft(scope, Constants(model, scope, None), Names(scopes), keeps_inputs=False)
    return DraftLayer(draft, len(scope.nodes) - 1)


def ask(net: Net, affine: ChannelAffine, slot: int = 0) -> tuple[ModelProto, Absorbed | Kept]:
    """The net, whose last node is the layer, as a model, and the layer's answer."""
    model = net.model(net.nodes[-1].output[0])
    rule = ABSORBERS[net.nodes[-1].op_type].at_input
    assert rule is not None, "this layer never takes in what stands before it"
    return model, rule(layer_of(in_memory(model)), affine, slot)


def assert_taken(net: Net, affine: ChannelAffine, slot: int = 0, **sizes: int) -> Absorbed:
    """The changed layer makes of x what the layer made of ``affine(x)``."""
    model, answer = ask(net, affine, slot)
    assert isinstance(answer, Absorbed), answer
    feed = feed_of(model, sizes=sizes)
    name = model.graph.node[-1].input[slot]
    (wanted,) = evaluate(model, feed | {name: applied(affine, feed[name])})
    (found,) = evaluate(_changed(model, answer), feed)
    if answer.shift is not None:
        found = found + answer.shift.high.reshape(-1, *[1] * (-1 - answer.shift_axis))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    return answer


def assert_refused(net: Net, affine: ChannelAffine, reason: Reason, slot: int = 0) -> None:
    """The layer refuses for a reason, and names itself."""
    _, answer = ask(net, affine, slot)
    node = net.nodes[-1]
    assert isinstance(answer, Kept), answer
    assert (answer.reason, answer.at) == (reason, node.output[0])


def _changed(model: ModelProto, answer: Absorbed) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    node = copy.graph.node[-1]
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for slot, factor in answer.factors.items():
        weight = stored[node.input[slot]]
        scale = factor.scale.high[factor.channel]
        assert scale.ndim == weight.ndim
        _put(copy, node, slot, weight * np.broadcast_to(scale, weight.shape))
    for slot, value in answer.constants.items():
        _put(copy, node, slot, value.high)
    for name, number in answer.attributes.items():
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, number)])
    return copy


def _put(model: ModelProto, node: NodeProto, slot: int, value: Array | Any) -> None:
    """Give a node a new constant, in float64."""
    while len(node.input) <= slot:
        node.input.append("")
    node.input[slot] = f"new {slot}"
    model.graph.initializer.append(numpy_helper.from_array(np.array(value), node.input[slot]))
