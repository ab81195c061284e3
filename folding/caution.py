"""ONNX's shape inference, without what would hang, crash or exhaust it.

``onnx.shape_inference`` believes every number. A value of 2⁴⁰ elements costs it nothing until data
propagation writes a message for each of them, ``Gather(x, x)`` doubles the dimensions, and some
operators read beyond their attributes. So it runs on a model with changes:

1. Without data propagation, where no value can get more dimensions than ``MOST_DIMENSIONS``: a
   shape that may have more elements is taken away, or the node is hidden.
2. With it, if that is of any use. Where the first run cannot rule out that more than
   ``MOST_NUMBERS`` numbers are propagated, nodes are hidden, and their outputs keep the types that
   the first run has found.

A hidden node has an operator that nobody knows. All others are inferred as ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError, EncodeError
from onnx import ModelProto, NodeProto, checker, shape_inference

from folding.bounded import WITH_BODIES, Bounded, bodies, walked
from folding.bounds import Bound
from folding.hazards import is_hazard
from folding.lengths import Lengths
from folding.protos import is_default_domain
from folding.slices import NOWHERE, Held, sliced_axes
from folding.survey import MOST_DIMENSIONS

#: What inference raises: its own errors, those of C++, and those of protobuf.
FAILURES = (
    shape_inference.InferenceError,
    checker.ValidationError,
    DecodeError,
    EncodeError,
    ArithmeticError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)

#: Inference copies every name in sight for every body, and every function for every call.
_MOST_COPIES = 100_000_000
#: Operators that make no dimensions, read no numbers and need no guard.
_PLAIN = {"Add", "AveragePool", "BatchNormalization", "Clip", "Conv", "ConvTranspose", "Div"}
_PLAIN |= {"GlobalAveragePool", "Identity", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Relu"}
_PLAIN |= {"Sigmoid", "Sqrt", "Sub", "Tanh"}
#: Inputs whose numbers become dimensions.
_SHAPES = {"AffineGrid": 1, "ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Resize": 3}


def infer_shapes(model: ModelProto) -> ModelProto:
    """The model with every type that inference finds. The one given is changed on the way.

    Raises:
        one of ``FAILURES``.
    """
    if _is_plain(model):
        data = model.SerializeToString()
        del model  # Here, and with its caller, if that has no other use for it.
        return shape_inference.infer_shapes(data)
    ranks = _Ranks(model)
    ranks.graph(model.graph)
    first = _run(model, ranks.slices, data_prop=False)
    if not ranks.reads_numbers:
        return first
    lengths = Lengths(model, first.graph)
    lengths.graph(model.graph)
    return first if lengths.unbounded else _run(model, lengths.slices, data_prop=True)


def _run(model: ModelProto, slices: Held, *, data_prop: bool) -> ModelProto:
    """Run inference until no Slice waits for it."""
    found = shape_inference.infer_shapes(model, data_prop=data_prop)
    while slices.release(walked(found.graph), len(model.graph.node)):
        found = shape_inference.infer_shapes(model, data_prop=data_prop)
    return found


def _is_plain(model: ModelProto) -> bool:
    """Whether no value can have more dimensions than one of the model's inputs."""
    return not len(model.functions) and all(
        node.op_type in _PLAIN and is_default_domain(node) for node in model.graph.node
    )


class _Ranks(Bounded):
    """Before the first run: bounds dimensions, and says whether a second one is of use."""

    def __init__(self, model: ModelProto) -> None:
        super().__init__(model)
        self.reads_numbers = False
        self._copies = 0

    def may_see(self, node: NodeProto, seen: NodeProto, inputs: Sequence[Bound]) -> bool:
        place = _SHAPES.get(node.op_type, len(inputs))
        if place < len(inputs) and node.input[place] and is_default_domain(node):
            self.reads_numbers |= inputs[place].numbers is None
            size = inputs[place].size
            if size is None or size > MOST_DIMENSIONS:
                node.input[place] = NOWHERE
        elif node.op_type == "Slice" and (axes := sliced_axes(seen, inputs)):
            self.hold(node, axes, inputs[0])
        return not is_hazard(seen, inputs) and self._may_copy(node, seen)

    def _may_copy(self, node: NodeProto, seen: NodeProto) -> bool:
        """Whether there is time for the bodies of a node, or for the function it calls."""
        if self.function(seen) is not None:
            self._copies += 2 * len(self.functions)
        elif node.op_type in WITH_BODIES:
            names = sum(map(len, self.scopes)) + 2 * len(self.functions)
            self._copies += names * sum(1 for _ in bodies(seen))
            # A body that is an argument cannot be changed where it is.
            return self._copies <= _MOST_COPIES and not any(a.ref_attr_name for a in node.attribute)
        return self._copies <= _MOST_COPIES
