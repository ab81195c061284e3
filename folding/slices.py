"""Slices of axes whose length may be negative as far as ONNX's shape inference knows.

A kernel that is larger than its image makes a length negative, which no run ever sees; but where a
Slice of constants meets it, inference aborts the process. So each value is given the first axis
that may be negative, and a Slice from there on does without its starts until a run of inference
has shown the length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx import GraphProto, NodeProto, TypeProto

from folding.bounds import Bound
from folding.protos import integers, is_default_domain
from folding.survey import MOST_DIMENSIONS

#: A value that nobody makes.
NOWHERE = "\0nowhere"
#: Nodes that inference may see for the sake of Slices.
_MOST_REPEATED = 1_000_000
#: Images begin with a batch and channels; only what follows is computed from kernels.
_IMAGE = 2

_ON_IMAGES = {"AveragePool", "Conv", "ConvInteger", "ConvTranspose", "LpPool", "MaxPool"}
_ON_IMAGES |= {"QLinearConv"}
#: Operators that keep every axis in its place, or move all of them to the right.
_KEEPING = {"Abs", "Add", "And", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "CumSum"}
_KEEPING |= {"DequantizeLinear", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu"}
_KEEPING |= {"Greater", "GroupNormalization", "HardSigmoid", "HardSwish", "Identity"}
_KEEPING |= {"InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "Less", "Log"}
_KEEPING |= {"LogSoftmax", "Max", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow"}
_KEEPING |= {"QuantizeLinear", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Slice", "Softmax"}
_KEEPING |= {"Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "Tile", "Where", "Xor"}
#: Operators that make no length negative out of others.
_MOVING = {"ArgMax", "ArgMin", "Flatten", "Gather", "GatherElements", "Gemm", "GlobalAveragePool"}
_MOVING |= {"GlobalMaxPool", "MatMul", "OneHot", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean"}
_MOVING |= {"ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Reshape", "Squeeze"}
_MOVING |= {"Transpose", "Unsqueeze"}
#: Operators whose lengths are counts.
_COUNTING = {"Constant", "ConstantOfShape", "NonZero", "Range", "Shape", "Size"}
#: Operators that add to a length, or set it; by attribute or as an input.
_SETTING = {"Pad": ("pads", 1), "Split": ("split", 1), "TopK": ("k", 1)}


def negative_axis(node: NodeProto, inputs: Sequence[Bound]) -> int | None:
    """The first axis of the outputs of a node that may be negative; None if there is none."""
    found = [bound.negative for bound in inputs if bound.negative is not None]
    operator = node.op_type if is_default_domain(node) else ""
    if operator in _COUNTING:
        return None
    if operator in _SETTING and not _sets_negative(node, inputs):
        return min(found, default=None)
    if operator in _ON_IMAGES:
        return min([_IMAGE, *found])
    if operator in _KEEPING:
        return min(found, default=None)
    return 0 if found or operator not in _MOVING else None


def _sets_negative(node: NodeProto, inputs: Sequence[Bound]) -> bool:
    name, place = _SETTING[node.op_type]
    given = integers(node, name)
    if given is None and len(inputs) > place:
        given = inputs[place].values
    elif given is None:
        return node.op_type == "Pad"  # By an attribute of another name.
    return given is None or min(given, default=0) < 0


def sliced_axes(node: NodeProto, inputs: Sequence[Bound]) -> Sequence[int]:
    """The axes of a Slice that may be negative, if inference computes what is left of them."""
    data, starts, ends, axes = (*inputs, *[Bound()] * 4)[:4]
    if data.negative is None or starts.numbers is None or ends.numbers is None:
        return ()
    named = range(MOST_DIMENSIONS) if axes.values is None else axes.values
    return [a for a in named if a < 0 or a >= data.negative]


def is_known(value: TypeProto, axes: Sequence[int]) -> bool:
    """Whether the lengths of all those axes are known."""
    return value.tensor_type.HasField("shape") and None not in _lengths(value, axes)


def _lengths(value: TypeProto, axes: Sequence[int]) -> list[int | None]:
    dims = value.tensor_type.shape.dim
    inside = [dims[a] for a in axes if -len(dims) <= a < len(dims)]
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in inside]


@dataclass(frozen=True, slots=True)
class _Held:
    node: NodeProto
    starts: str
    axes: Sequence[int]
    level: int


class Held:
    """Slices that do without their starts.

    A Slice has level n + 1 if there is one of level n before it, and after n runs without the
    former all is known that it has to wait for.
    """

    def __init__(self) -> None:
        self._slices: list[_Held] = []
        self._runs = 0

    def hold(self, node: NodeProto, axes: Sequence[int], level: int) -> None:
        """Take the starts from a Slice; those of level 0 do not get them back."""
        if level:
            self._slices.append(_Held(node, node.input[1], axes, level))
        node.input[1] = NOWHERE

    def has_last(self, node: NodeProto) -> bool:
        """Whether this is the Slice held last."""
        return bool(self._slices) and self._slices[-1].node is node

    def release(self, graphs: Iterable[GraphProto], nodes: int) -> bool:
        """Give the next Slices their starts back whose axes are not negative, if there are any."""
        self._runs += 1
        waiting = [held for held in self._slices if held.level == self._runs]
        if not waiting or self._runs * nodes > _MOST_REPEATED:
            return False
        types: dict[str, list[TypeProto]] = {}
        for graph in graphs:
            for value in (*graph.value_info, *graph.input, *graph.output):
                types.setdefault(value.name, []).append(value.type)
        for held in waiting:
            lengths = [_lengths(t, held.axes) for t in types.get(held.node.input[0], ())]
            if all(length is None or length >= 0 for found in lengths for length in found):
                held.node.input[1] = held.starts
        return True
