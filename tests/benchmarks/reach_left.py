"""How much normalisation is left in a model: counted on the graph alone, by no rule of folding.

A normalisation is a BatchNormalization in inference form, or a chain of Mul, Div, Add and Sub with
constants of more than one number. A chain that only adds is a bias where a layer is before it, at
most a change of shape away.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, inliner

_STEPS = ("Mul", "Div", "Add", "Sub")
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "FusedMatMul", "FusedConv")
_MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast")


@dataclass(frozen=True, slots=True)
class Left:
    """Normalisations, and how many of them multiply."""

    count: int
    scales: int

    @property
    def weight(self) -> int:
        """How much work it is: one that only adds is half of one."""
        return self.count + self.scales

    def __str__(self) -> str:
        shifts = self.count - self.scales
        if not shifts:
            return str(self.count)
        return f"{self.count} ({shifts} only add)" if self.scales else f"{self.count} (only add)"


def left(model: ModelProto) -> Left:
    """What is left in all graphs, functions inlined."""
    plain = inliner.inline_local_functions(model) if model.functions else model
    chains = list(_chains(plain.graph, {}))
    return Left(len(chains), sum(chains))


def _chains(graph: GraphProto, outer: dict[str, int]) -> Iterator[bool]:
    """Whether it multiplies, for each normalisation."""
    sizes = outer | _constants(graph)
    makers = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(value.name for value in graph.output)
    steps = {node.output[0]: node for node in graph.node if _is_step(node, sizes)}
    goes_on = {_data(node, sizes) for node in steps.values()}
    for name, node in steps.items():
        if name in goes_on and readers[name] == 1:
            continue
        chain = [node]
        while (before := _data(chain[-1], sizes)) in steps and readers[before] == 1:
            chain.append(steps[before])
        multiplies = any(_multiplies(step) for step in chain)
        if _counts(chain, sizes) and (multiplies or not _is_behind_layer(chain, makers, sizes)):
            yield multiplies
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _chains(attribute.g, sizes)


def _constants(graph: GraphProto) -> dict[str, int]:
    """How many numbers each constant has, those that are computed of others included."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            sizes[node.output[0]] = _size(helper.get_attribute_value(node.attribute[0]))
        elif node.input and all(name in sizes for name in node.input):
            sizes |= dict.fromkeys(node.output, max(sizes[name] for name in node.input))
    return sizes


def _size(value: object) -> int:
    if isinstance(value, TensorProto):
        return math.prod(value.dims)
    return len(value) if isinstance(value, list) else 1


def _is_step(node: NodeProto, sizes: dict[str, int]) -> bool:
    if node.op_type == "BatchNormalization":
        return len(list(filter(None, node.output))) == 1 and not _is_training(node)
    return node.op_type in _STEPS and sum(name in sizes for name in node.input) == 1


def _is_training(node: NodeProto) -> bool:
    return any(one.name == "training_mode" and one.i for one in node.attribute)


def _data(node: NodeProto, sizes: dict[str, int]) -> str:
    """What a step acts on."""
    if node.op_type == "BatchNormalization":
        return node.input[0]
    return next(name for name in node.input if name not in sizes)


def _multiplies(node: NodeProto) -> bool:
    return node.op_type not in ("Add", "Sub")


def _counts(chain: list[NodeProto], sizes: dict[str, int]) -> bool:
    """Whether not all of its constants are single numbers."""
    return any(sizes.get(name, 1) > 1 for node in chain for name in node.input)


def _is_behind_layer(
    chain: list[NodeProto], makers: dict[str, NodeProto], sizes: dict[str, int]
) -> bool:
    node = makers.get(_data(chain[-1], sizes))
    while node is not None and node.op_type in _MOVES:
        node = makers.get(node.input[0])
    return node is not None and node.op_type in _LAYERS
