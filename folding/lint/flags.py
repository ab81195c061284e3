"""Training flags that a caller can still set, and what the model is with them at inference.

    training ── If ── then: statistics of the batch      an input, or an initializer that is one
                      else: the moving ones

Not every flag is one for training: only where a value of it leaves statistics of the batch, or
something random, it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto

from folding.conditions import Array
from folding.freezing import freeze
from folding.lint.finding import Code, Finding
from folding.lint.truths import is_truth
from folding.modelfile import Model
from folding.protos import callers_inputs, is_default_domain, subgraphs

#: What a condition is computed with from a flag.
_FOLLOWING = frozenset(
    {"And", "Cast", "Equal", "Flatten", "Identity", "Not", "Or", "Reshape", "Squeeze"}
    | {"Unsqueeze", "Where", "Xor"}
)
_MOST_FLAGS = 8

#: Whether a model normalises by batches, or draws at random.
IsTraining = Callable[[Model], bool]


@dataclass(frozen=True, slots=True)
class Inference:
    """A model as it is at inference: its flags frozen, its constant Ifs gone."""

    model: Model
    findings: list[Finding]


def at_inference(model: Model, is_training: IsTraining) -> Inference:
    """Freeze what steers a model to what it is at inference; the model itself if nothing does."""
    proto = model.proto
    flags = _flags(proto)
    required, values = set(flags) - _stored(proto), {f: _default(model, f) for f in flags}
    base = _frozen(model, values)
    is_on = bool(flags) and is_training(base)
    if is_on and required:  # Some flags are true at inference.
        turned = {flag: ~v if flag in required else v for flag, v in values.items()}
        other = _frozen(model, turned)
        if not is_training(other):
            base, values, is_on = other, turned, False
    found = []
    for flag in flags:
        turned = {**values, flag: ~values[flag]}
        if is_training(_frozen(model, turned)) != is_on:
            found.append(_finding(proto, flag))
    return Inference(base, found)


def _frozen(model: Model, values: Mapping[str, Array]) -> Model:
    frozen, branches = freeze(model, values, settled=True)
    return frozen if branches or values else model


def _finding(proto: ModelProto, flag: str) -> Finding:
    default = "with a default that a caller may override" if flag in _stored(proto) else "required"
    cause = f"it is an input ({default}) that switches the model to training"
    return Finding(Code.TRAINING_FLAG, flag, cause)


def _stored(proto: ModelProto) -> set[str]:
    return {tensor.name for tensor in proto.graph.initializer}


def _default(model: Model, flag: str) -> Array:
    """What a flag is without a caller; false if it needs one."""
    tensors = (t for t in model.proto.graph.initializer if t.name == flag)
    for tensor in tensors:
        return model.array(tensor)
    value = next(v for v in model.proto.graph.input if v.name == flag)
    return np.zeros([d.dim_value or 1 for d in value.type.tensor_type.shape.dim], bool)


def _flags(proto: ModelProto) -> list[str]:
    """The inputs of one truth value that conditions, or the modes of dropouts, depend on."""
    inputs = {v.name for v in callers_inputs(proto) if is_truth(v)}
    behind = {name: {name} for name in inputs}
    steering: dict[str, None] = {}
    if inputs:
        _walk(proto.graph, behind, steering)
    return list(steering)[:_MOST_FLAGS]


def _walk(graph: GraphProto, behind: dict[str, set[str]], steering: dict[str, None]) -> None:
    for node in graph.node:
        given = _given(node, behind)
        if is_default_domain(node) and node.op_type in _FOLLOWING:
            behind.update(dict.fromkeys(node.output, given) if given else {})
        for name in _switches(node):
            steering.update(dict.fromkeys(sorted(behind.get(name, ()))))
        for body in subgraphs(node):
            _walk(body, behind, steering)


def _given(node: NodeProto, behind: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    return found.union(*(behind.get(name, ()) for name in node.input))


def _switches(node: NodeProto) -> Iterable[str]:
    if not is_default_domain(node):
        return ()
    return (
        node.input[2:3]
        if node.op_type == "Dropout"
        else (node.input if node.op_type == "If" else ())
    )
