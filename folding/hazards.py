"""Nodes that crash or hang the shape inference of onnx 1.23; its checker lets them pass."""

from __future__ import annotations

import re

from onnx import NodeProto

from folding.bound_rules import WINDOWS, has_counted_lengths
from folding.bounds import Bounds
from folding.protos import attribute, integer, integers

#: Operators that read beyond a length below 0, or end the process at it, unless they lose input 1.
BLINDED = frozenset({"GatherND", "Slice"})

#: Operators that take a kernel as large as input 1.
KERNELS = frozenset({"Conv", "ConvTranspose"})

_TERM = rb"[A-Za-z]*+(?:\.\.\.)?+[A-Za-z]*+"
_EQUATION = re.compile(rb"%s(?:,%s)*+(?:->.*)?" % (_TERM, _TERM), re.DOTALL)
_FARTHEST_AXIS = 64
_SIZED = frozenset({"CenterCropPad", "Pad", "Split", "TopK"})


def is_hazard(node: NodeProto, inputs: Bounds) -> bool:
    """Whether inference must not see a node of ONNX's own."""
    match node.op_type:
        case "DictVectorizer" | "EyeLike" | "LabelEncoder" | "RegexFullMatch" | "TreeEnsemble":
            return not inputs or not inputs[0].typed  # They read a type that may not be there.
        case "Einsum":  # Anything but a letter is waited at for a letter.
            equation = attribute(node, "equation")
            return equation is not None and not _EQUATION.fullmatch(equation.s.replace(b" ", b""))
        case "GatherND":
            return integer(node, "batch_dims", 0) < 0
        case "LayerNormalization":
            return integer(node, "axis", 0) > _FARTHEST_AXIS
        case "Split":  # As many sizes are made as it says, and as many read as it has outputs.
            return integer(node, "num_outputs", len(node.output)) != len(node.output)
        case _:
            return False


def may_be_negative(node: NodeProto, inputs: Bounds) -> bool:
    """Whether inference may find a length below 0 for a result, which no run has."""
    if node.op_type in WINDOWS or node.op_type == "ConvTranspose":
        return not _fits(node, inputs)
    if node.op_type in _SIZED:
        named = (n for name in ("pads", "paddings", "split") for n in integers(node, name) or ())
        sizes = inputs[1].values if len(inputs) > 1 else None
        return sizes == () or min(integer(node, "k", 0), *named, *(sizes or ()), 0) < 0
    return not has_counted_lengths(node)


def _fits(node: NodeProto, inputs: Bounds) -> bool:
    """Whether a kernel cannot be larger than an image with its pads by more than a step.

    Of a transposed convolution: whether what is cut off is no more than it makes of nothing.
    """
    kernel = integers(node, "kernel_shape") or (inputs[1].dims[2:] if len(inputs) > 1 else ())
    pads, apart = integers(node, "pads"), integers(node, "dilations") or (1,)
    steps, auto = integers(node, "strides") or (1,), attribute(node, "auto_pad")
    if pads is None and auto is not None and auto.s.startswith(b"SAME"):
        return True
    if not kernel or attribute(node, "output_shape") is not None:
        return False
    if node.op_type == "ConvTranspose":
        return (min(kernel) - 1) * min(apart) + 1 >= max(steps) + 2 * max(pads or (0,))
    return (max(kernel) - 1) * max(apart) + 1 <= min(steps) + 2 * min(pads or (0,))
