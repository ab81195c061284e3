"""Values that are normalised by statistics of the run itself.

Layer norm, instance norm and batch norm on live statistics end in a gamma and a beta that look
like a trained affine but stand behind something no layer can absorb. They are told by where their
input comes from: a mean over the data, its root, and what that root scales.
"""

from __future__ import annotations

from onnx import NodeProto

from folding.constants import Constants
from folding.graph import Scope

#: Where a mean comes from. A training flag chooses the batch's or the moving one by an If.
_MEANS = frozenset({"GlobalAveragePool", "If", "ReduceMean", "ReduceSum", "ReduceSumSquare"})
_ROOTS = frozenset({"Sqrt", "Reciprocal", "Pow"})
_NORMALISATIONS = frozenset(
    {
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LpNormalization",
        "MeanVarianceNormalization",
        "RMSNormalization",
    }
)
_PASSING = frozenset(
    {
        "Add",
        "Cast",
        "Clip",
        "Div",
        "Expand",
        "Identity",
        "Max",
        "Mul",
        "Neg",
        "Reshape",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
)


def live_values(scope: Scope, constants: Constants) -> set[str]:
    """The values that are deviations computed at run time, or scaled by one. One linear pass."""
    means: set[str] = set()
    deviations: set[str] = set()
    live: set[str] = set()
    for node in scope.nodes:
        inputs = {name for name in node.input if name and name not in constants}
        out = node.output[0] if len(node.output) else ""
        if node.op_type in _NORMALISATIONS:
            live.add(out)
        elif node.op_type in _MEANS:
            means.update(name for name in node.output if name)
        elif node.op_type == "ReduceL2" or _is_root(node, inputs, means, deviations):
            deviations.add(out)
        elif node.op_type in _PASSING and inputs:
            scaled = node.op_type in ("Mul", "Div") and inputs & deviations
            groups = (means, deviations, live)
            group = next((g for g in groups if inputs <= g), live if scaled else None)
            if group is not None:
                group.add(out)
    return live | deviations


def _is_root(node: NodeProto, inputs: set[str], *known: set[str]) -> bool:
    return node.op_type in _ROOTS and bool(inputs) and any(inputs <= names for names in known)
