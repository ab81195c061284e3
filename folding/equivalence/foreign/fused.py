"""Seen through: what onnxruntime makes one operator of, as the operators that it stands for.

    FusedConv(x, W, b, z)      activation(Add(Conv(x, W, b), z))
    FusedGemm(x, W, c)         activation(Gemm(x, W, c))

It is written out in a copy of the skeleton before that is planned: no inference knows the shape of
what these operators make, and so of nothing behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from onnx import ModelProto, NodeProto, helper

from folding.modelfile import Model
from folding.protos import attribute, graphs, names, opset

_DOMAIN = "com.microsoft"
_PLAIN = frozenset({"Relu", "Sigmoid", "Tanh"})
_PARAMETERS = {
    "Elu": ("alpha",),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}
_GEMM_PARAMETERS = ("activation_alpha", "activation_beta", "activation_gamma")
_OWN = frozenset({"activation", "activation_params", *_GEMM_PARAMETERS})
_FUSED = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
#: Since when Clip has its bounds as inputs.
_BOUNDS_ARE_INPUTS = 11


def written_out(model: Model) -> Model:
    """The model without fused operators; itself if it has none that is known."""
    if not any(_is_fused(node) for graph in graphs(model.proto) for node in graph.node):
        return model
    # A function of the model goes before an operator of that name.
    if any(f.domain == _DOMAIN and f.name in _FUSED for f in model.proto.functions):
        return model
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    version = opset(copy.opset_import)
    taken = {name for graph in graphs(copy) for name in names(graph)}
    for graph in reversed(graphs(copy)):
        nodes = [new for node in graph.node for new in _separate(node, version, taken)]
        del graph.node[:]
        graph.node.extend(nodes)
    return replace(model, proto=copy)


def _is_fused(node: NodeProto) -> bool:
    return node.domain == _DOMAIN and node.op_type in _FUSED


def _separate(node: NodeProto, version: int, taken: set[str]) -> Iterator[NodeProto]:
    """The operators that a node stands for, the last with its output."""
    said = _activation(node) if _is_fused(node) else None
    if said is None:
        yield _copied(node)
        return
    operator, parameters = said
    layer, value = _copied(node), node.output[0]
    layer.op_type, layer.domain = _FUSED[node.op_type], ""
    _without(layer, _OWN)
    del layer.input[3:]
    added = node.input[3] if len(node.input) > 3 else ""  # noqa: PLR2004 - x, W, b, z
    steps = [layer]
    if added:
        steps.append(helper.make_node("Add", [value, added], [value], node.name))
    if operator:
        steps.append(_behind(operator, value, parameters, node.name))
    for step, following in pairwise(steps):
        step.output[0] = following.input[0] = _fresh(value, taken)
    last = steps[-1]
    if operator == "Clip" and version >= _BOUNDS_ARE_INPUTS:
        yield from _bounds(last, parameters, taken)
    yield from steps


def _behind(operator: str, value: str, parameters: dict[str, float], name: str) -> NodeProto:
    node = helper.make_node(operator, [value], [value], name)
    node.attribute.extend(helper.make_attribute(*said) for said in parameters.items())
    return node


def _copied(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _without(node: NodeProto, gone: Iterable[str]) -> None:
    holder = NodeProto(attribute=[a for a in node.attribute if a.name not in gone])
    del node.attribute[:]
    node.attribute.extend(holder.attribute)


def _bounds(clip: NodeProto, bounds: dict[str, float], taken: set[str]) -> Iterator[NodeProto]:
    _without(clip, bounds)
    for name, bound in bounds.items():
        constant = _fresh(f"{clip.output[0]}_{name}", taken)
        clip.input.append(constant)
        yield helper.make_node("Constant", [], [constant], value_float=bound)


def _fresh(wish: str, taken: set[str]) -> str:
    while wish in taken:
        wish += "_"
    taken.add(wish)
    return wish


def _activation(node: NodeProto) -> tuple[str, dict[str, float]] | None:
    """The operator behind the layer and its parameters; None if it is not known."""
    said = attribute(node, "activation")
    name = said.s.decode() if said is not None else ""
    if not name or name in _PLAIN:
        return name, {}
    wanted, numbers = _PARAMETERS.get(name, ()), _numbers(node)
    if not wanted or len(numbers) < len(wanted):
        return None
    return name, dict(zip(wanted, numbers, strict=False))


def _numbers(node: NodeProto) -> Sequence[float]:
    several = attribute(node, "activation_params")
    if several is not None:
        return list(several.floats)
    found = (attribute(node, name) for name in _GEMM_PARAMETERS)
    return [a.f for a in found if a is not None]
