"""Two models of the same inputs and weights, to be held against each other."""

from __future__ import annotations

from graphs import FLOAT, Net
from onnx import ModelProto

from folding.equivalence.foreign.check import compare
from folding.equivalence.foreign.result import Result
from folding.modelfile import in_memory

Pair = tuple[ModelProto, ModelProto]


def nets(*shape: int | str, opset: int = 17, elem_type: int = FLOAT) -> tuple[Net, Net]:
    """Two nets with the input x and the same weights."""
    both = Net(elem_type, opset=opset), Net(elem_type, opset=opset)
    for net in both:
        net.input(*shape)
    return both


def models(one: Net, other: Net) -> Pair:
    """Both as models with the output y."""
    return one.model("y"), other.model("y")


def judged(reference: ModelProto, candidate: ModelProto) -> Result:
    """What can be told of both without a run."""
    return compare(in_memory(reference), in_memory(candidate))
