"""Values that are normalised by statistics of the run itself.

Layer norm, instance norm and batch norm on live statistics end in a gamma and a beta that look
like a trained affine but stand behind something no layer can absorb. They are told by where their
input comes from: a mean over the data, its root, and what that root scales.
"""

from __future__ import annotations

from folding.constants import Constants
from folding.graph import Scope

_MEANS = frozenset({"ReduceMean", "ReduceSum", "ReduceSumSquare", "GlobalAveragePool"})
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
        found = None
        if node.op_type in _MEANS:
            found = means
        elif node.op_type == "ReduceL2":
            found = deviations
        elif node.op_type in _NORMALISATIONS:
            found = live
        elif node.op_type in _ROOTS and inputs and inputs <= means | deviations:
            found = deviations
        elif node.op_type in _PASSING and inputs:
            if inputs <= means:
                found = means
            elif inputs <= deviations:
                found = deviations
            elif inputs <= live or (node.op_type in ("Mul", "Div") and inputs & deviations):
                found = live
        if found is not None:
            found.add(node.output[0])
    return live | deviations
