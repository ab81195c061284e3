"""Regions of small models, evaluated at every element and held against onnxruntime's results."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from graphs import Array, Feed, Net, feed_for, run
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from oracle import evaluate as by_definition

from folding.constants import Constants
from folding.equivalence.sampling import Region, Sampled, Unsupported, evaluate
from folding.graph import index
from folding.modelfile import Model, in_memory
from folding.protos import tensors

Shapes = dict[str, tuple[int, ...]]
#: What each operator is with plus signs only.
_POSITIVE = {"Neg": "Identity", "Sub": "Add"}


def region_of(model: ModelProto | Model, inputs: Collection[str] | None = None) -> Region:
    """The whole graph as one region, which is given the model's inputs."""
    opened = in_memory(model) if isinstance(model, ModelProto) else model
    graph = opened.proto.graph
    scope = index(opened)[0][0]
    stored = {tensor.name for tensor in graph.initializer}
    given = [value.name for value in graph.input if value.name not in stored]
    constants = Constants(opened, scope, None)
    return Region(opened, graph.node, given if inputs is None else inputs, constants, scope.opset)


def with_inner_outputs(model: ModelProto) -> ModelProto:
    """The model with every value that a node computes as an output."""
    copy = ModelProto.FromString(model.SerializeToString())
    del copy.graph.output[:]
    names = [name for node in model.graph.node for name in node.output if name]
    copy.graph.output.extend(ValueInfoProto(name=name) for name in names)
    return copy


def shapes_of(model: ModelProto, feed: Feed) -> Shapes:
    """The shape of every value that a node computes, as the runtime has it."""
    whole = with_inner_outputs(model)
    names = [value.name for value in whole.graph.output]
    return {name: value.shape for name, value in zip(names, run(whole, feed), strict=True)}


def everywhere(shape: tuple[int, ...]) -> Array:
    """The coordinates of all elements."""
    places = list(np.ndindex(*shape))
    return np.array(places, np.int64).reshape(len(places), len(shape))


def sampled(
    model: ModelProto | Region, feed: Feed, shapes: Mapping[str, tuple[int, ...]], output: str
) -> Sampled | Unsupported:
    """A whole value."""
    region = model if isinstance(model, Region) else region_of(model)
    found = evaluate(region, output, everywhere(shapes[output]), feed, shapes)
    return found if isinstance(found, Unsupported) else found.reshape(*shapes[output])


def outputs_of(model: ModelProto, feed: Feed) -> list[Sampled]:
    """The outputs of a model, evaluated as a whole."""
    shapes = shapes_of(model, feed)
    found = []
    for value in model.graph.output:
        result = sampled(model, feed, shapes, value.name)
        assert isinstance(result, Sampled), result
        assert result.value.shape == shapes[value.name]
        found.append(result)
    return found


def untyped(net: Net, *outputs: str) -> ModelProto:
    """A model that need not make sense: inference would refuse it."""
    imports = [helper.make_opsetid("", net.opset)]
    return helper.make_model(net.graph(*outputs), ir_version=net.ir_version, opset_imports=imports)


def whole_numbers(net: Net, *shape: int) -> str:
    """A constant of small integers, with which float32 computes exactly."""
    return net.store(net.random.integers(-4, 5, shape))


def whole_feed(model: ModelProto, seed: int = 1) -> Feed:
    """Small integers for every input."""
    feed = feed_for(model, seed)
    random = np.random.default_rng(seed)
    return {key: random.integers(-4, 5, v.shape).astype(v.dtype) for key, v in feed.items()}


def absolute(model: ModelProto) -> ModelProto:
    """The same formula with absolute values and plus signs."""
    copy = ModelProto.FromString(model.SerializeToString())
    for tensor in tensors(copy):
        array = numpy_helper.to_array(tensor)
        if array.dtype.kind == "f":
            tensor.CopyFrom(numpy_helper.from_array(np.abs(array), tensor.name))
    for node in copy.graph.node:
        node.op_type = _POSITIVE.get(node.op_type, node.op_type)
        _make_positive(node)
    return copy


def _make_positive(node: NodeProto) -> None:
    for given in node.attribute:
        if given.name in ("alpha", "beta"):
            given.f = abs(given.f)


def assert_exact(model: ModelProto, feed: Feed | None = None) -> None:
    """Of small integers: the value is onnxruntime's, the magnitude that of the absolute model."""
    feed = whole_feed(model) if feed is None else feed
    positive = {key: np.asarray(np.abs(value)) for key, value in feed.items()}
    values, sizes = run(model, feed), run(absolute(model), positive)
    for found, value, size in zip(outputs_of(model, feed), values, sizes, strict=True):
        np.testing.assert_array_equal(found.value, value)
        np.testing.assert_array_equal(found.magnitude, size)


def assert_value(model: ModelProto, feed: Feed | None = None, within: float = 0.0) -> None:
    """Of small integers: the value is onnxruntime's."""
    feed = whole_feed(model) if feed is None else feed
    for found, value in zip(outputs_of(model, feed), run(model, feed), strict=True):
        np.testing.assert_allclose(found.value, value, rtol=within, atol=within)
        assert (found.magnitude >= np.abs(found.value)).all()


def assert_by_definition(model: ModelProto) -> None:
    """Of any numbers: the value is what the text of the specification says, in float64."""
    feed = feed_for(model)
    expected = by_definition(with_inner_outputs(model), feed)
    names = [name for node in model.graph.node for name in node.output if name]
    shapes = {name: value.shape for name, value in zip(names, expected, strict=True)}
    for output in model.graph.output:
        found = sampled(model, feed, shapes, output.name)
        assert isinstance(found, Sampled), found
        value = expected[names.index(output.name)]
        np.testing.assert_allclose(found.value.astype(np.float64), value, rtol=1e-12, atol=1e-12)
        assert (found.magnitude * (1 + 1e-12) >= np.abs(found.value)).all()
