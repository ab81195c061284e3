"""Rules asked directly, and their answers tried by brute force from the ONNX definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from graphs import Net
from onnx import GraphProto, ModelProto, helper, numpy_helper, shape_inference
from oracle import Array, evaluate

from folding.affine import ChannelAffine
from folding.carriers import CARRIERS, Moved, Passage, ways
from folding.doubled import Doubled
from folding.inference import Shape
from folding.plan import Kept


@dataclass
class Around:
    """What is around the only node of a model: a ``Surroundings`` made of ONNX's own inference."""

    model: ModelProto
    read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph = shape_inference.infer_shapes(self.model, data_prop=True).graph
        self.opset = self.model.opset_import[0].version
        self.values = {value.name: value.type.tensor_type for value in _values(graph)}
        self.stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}

    def shape(self, name: str) -> Shape | None:
        if name in self.stored:
            return self.stored[name].shape
        kind = self.values.get(name)
        if kind is None or not kind.HasField("shape"):
            return None
        return tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)

    def symbols(self, name: str) -> tuple[str, ...]:
        kind = self.values.get(name)
        return () if kind is None else tuple(dim.dim_param for dim in kind.shape.dim)

    def type(self, name: str) -> int:
        if name in self.stored:
            return helper.np_dtype_to_tensor_dtype(self.stored[name].dtype)
        return self.values[name].elem_type if name in self.values else 0

    def is_constant(self, name: str) -> bool:
        return name in self.stored

    def integers(self, name: str) -> tuple[int, ...] | None:
        value = self.stored.get(name)
        whole = value is not None and value.dtype.kind in "biu"
        return tuple(int(v) for v in value.ravel()) if whole and value is not None else None

    def numbers(self, name: str) -> Doubled | None:
        value = self.stored.get(name)
        return Doubled.exact(value) if value is not None and value.dtype.kind == "f" else None

    def is_read(self, name: str) -> bool:
        return name in self.read


def _values(graph: GraphProto) -> list[Any]:
    return [*graph.input, *graph.output, *graph.value_info]


def affine_of(scale: Any, shift: Any, axis: int | None) -> ChannelAffine:
    """An affine of numbers; [C] each, or () each if ``axis`` is None."""
    return ChannelAffine(Doubled.exact(scale), Doubled.exact(shift), axis)


def random_affine(
    channels: int, axis: int, seed: int = 0, *, sign: int = 0, shift: bool = True
) -> ChannelAffine:
    """Scales of both signs (or of the one given, zero among them) and shifts, none near zero."""
    random = np.random.default_rng(seed)
    scale = random.uniform(0.25, 2.0, channels) * (sign or random.choice([-1.0, 1.0], channels))
    if sign > 0 and channels > 2:
        scale[1] = 0.0
    added = random.uniform(0.25, 2.0, channels) * random.choice([-1.0, 1.0], channels)
    return affine_of(scale, added if shift else np.zeros(channels), axis)


def applied(affine: ChannelAffine, value: Array) -> Array:
    """``scale * value + shift`` along the affine's axis."""
    tail = [1] * (-1 - affine.axis) if affine.axis is not None else []
    scale, shift = (
        part.high.reshape(-1, *tail) if part.size > 1 or affine.axis is not None else part.high
        for part in (affine.scale, affine.shift)
    )
    return np.asarray(scale * value + shift)


def ask(
    net: Net, affine: ChannelAffine, *, down: bool = False, place: int = 0, read: str = ""
) -> tuple[ModelProto, tuple[Moved, ...] | Kept]:
    """The net, which has one node, as a model, and the rule's answer for that node.

    ``read`` names, separated by commas, the further outputs that have readers.
    """
    model = net.model(*[name for name in net.nodes[-1].output if name])
    rule = CARRIERS[net.nodes[-1].op_type]
    passage = Passage(model.graph.node[-1], Around(model, set(read.split(",")) - {""}), place=place)
    asked = rule.down if down else rule.up
    assert asked is not None, "there is no rule in this direction"
    answer = asked(affine, passage)
    if isinstance(answer, ChannelAffine):
        return model, (Moved({0: answer}),)
    if isinstance(answer, Moved):
        return model, (answer,)
    return model, answer


def feed_of(model: ModelProto, seed: int = 1, sizes: Mapping[str, int] | None = None) -> Any:
    """Random float64 inputs; open dimensions get 2, or what ``sizes`` says by their names."""
    random = np.random.default_rng(seed)
    feed = {}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = [d.dim_value or (sizes or {}).get(d.dim_param, 2) for d in dims]
        feed[value.name] = random.standard_normal(shape)
    return feed


def assert_goes_up(net: Net, affine: ChannelAffine, *, place: int = 0, **sizes: int) -> None:
    """``affine(op(x))`` is what the node gives after the answer, for each way that it offers."""
    model, answer = ask(net, affine, place=place)
    assert not isinstance(answer, Kept), answer
    feed = feed_of(model, sizes=sizes)
    before = evaluate(model, feed)
    wanted = [applied(affine, v) if i == place else v for i, v in enumerate(before)]
    assert answer
    for moved in answer:
        names = model.graph.node[-1].input
        given = dict(feed)
        copy = _with_constants(model, moved)
        for tensor in copy.graph.initializer:
            given.pop(tensor.name, None)
        for slot, part in moved.affines.items():
            value = given.get(names[slot])
            if value is None:
                stored = next(t for t in copy.graph.initializer if t.name == names[slot])
                value = numpy_helper.to_array(stored)
            given[names[slot]] = applied(part, value)
        _assert_close(evaluate(copy, given), wanted)


def assert_goes_down(net: Net, affine: ChannelAffine, *, place: int = 0, **sizes: int) -> None:
    """``op(affine(x))`` is what stands behind the node after the answer, at every output."""
    model, answer = ask(net, affine, down=True, place=place)
    assert not isinstance(answer, Kept), answer
    assert len(answer) == 1, "downward there are no alternatives"
    feed = feed_of(model, sizes=sizes)
    name = model.graph.node[-1].input[place]
    wanted = evaluate(model, feed | {name: applied(affine, feed[name])})
    found = evaluate(_with_constants(model, answer[0]), feed)
    affines = answer[0].affines
    shown = [applied(affines[i], v) if i in affines else v for i, v in enumerate(found)]
    _assert_close(shown, wanted)


def join(net: Net, affines: Mapping[int, ChannelAffine]) -> tuple[ModelProto, Moved | Kept]:
    """The net, which has one node, as a model, and the answer for affines before some slots."""
    model = net.model(net.nodes[-1].output[0])
    node = model.graph.node[-1]
    rule = CARRIERS[node.op_type].join
    assert rule is not None
    answer = rule(affines, Passage(node, Around(model), place=min(affines)))
    if isinstance(answer, Kept):
        return model, answer
    (moved,) = ways(answer)
    return model, moved


def assert_joins(net: Net, affines: Mapping[int, ChannelAffine], **sizes: int) -> Moved:
    """The node with these affines before it is what stands behind it after the answer."""
    model, answer = join(net, affines)
    assert isinstance(answer, Moved), answer
    feed = feed_of(model, sizes=sizes)
    names = model.graph.node[-1].input
    before = {names[slot]: applied(part, feed[names[slot]]) for slot, part in affines.items()}
    (found,) = evaluate(_with_constants(model, answer), feed)
    assert answer.affines.keys() == {0}
    _assert_close([applied(answer.affines[0], found)], evaluate(model, feed | before))
    return answer


def assert_joins_not(net: Net, affines: Mapping[int, ChannelAffine], reason: Any) -> None:
    """The rule refuses several affines for a reason, and names the node."""
    _, answer = join(net, affines)
    assert isinstance(answer, Kept), answer
    node = net.nodes[-1]
    assert (answer.reason, answer.at, answer.operator) == (reason, node.output[0], node.op_type)


def assert_stays(net: Net, affine: ChannelAffine, reason: Any, **given: Any) -> None:
    """The rule refuses for a reason, and names the node."""
    _, answer = ask(net, affine, **given)
    assert isinstance(answer, Kept), answer
    node = net.nodes[-1]
    assert (answer.reason, answer.at, answer.operator) == (
        reason,
        node.name or node.output[0],
        node.op_type,
    )


def _with_constants(model: ModelProto, moved: Moved) -> ModelProto:
    """The model with the new constants of its node, which keep their type."""
    copy = ModelProto()
    copy.CopyFrom(model)
    node = copy.graph.node[-1]
    for slot, value in moved.constants.items():
        name = f"{node.input[slot]}_new"
        node.input[slot] = name
        copy.graph.initializer.append(numpy_helper.from_array(np.asarray(value.high), name))
    return copy


def _assert_close(found: list[Array], wanted: list[Array]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
