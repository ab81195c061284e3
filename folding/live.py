"""Values that are normalised by statistics of the run itself.

Layer norm, instance norm and batch norm on live statistics end in a gamma and a beta that look
like a trained affine but stand behind something no layer can absorb. They are told by where their
input comes from: a mean over the data, its root, and what that root scales.
"""

from __future__ import annotations

from folding.constants import Constants
from folding.graph import Scope

#: Where a mean comes from. A training flag chooses the batch's or the moving one by an If.
_MEANS = frozenset({"GlobalAveragePool", "If", "ReduceMean", "ReduceSum", "ReduceSumSquare"})
ROOTS = frozenset({"Sqrt", "Reciprocal", "Pow"})
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
PASSING = frozenset(
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
_FOLLOWING = ROOTS | PASSING


def live_values(scope: Scope, constants: Constants) -> set[str]:
    """The values that are deviations computed at run time, or scaled by one. One linear pass."""
    means: set[str] = set()
    deviations: set[str] = set()
    live: set[str] = set()
    for index, operator in enumerate(scope.operators):
        makes = scope.makes[index]
        out = makes[0] if makes else ""
        if operator in _NORMALISATIONS:
            live.add(out)
        elif operator in _MEANS:
            means.update(filter(None, makes))
        elif operator == "ReduceL2":
            deviations.add(out)
        elif operator in _FOLLOWING and (means or deviations or live):
            inputs = {name for name in scope.reads[index] if name and name not in constants}
            group = _group(operator, inputs, means, deviations, live)
            if group is not None:
                group.add(out)
    return live | deviations


def _group(
    operator: str, inputs: set[str], means: set[str], deviations: set[str], live: set[str]
) -> set[str] | None:
    """What the output of a node belongs to because of its inputs."""
    if not inputs:
        return None
    if operator in ROOTS:
        return deviations if inputs <= means or inputs <= deviations else None
    scaled = operator in ("Mul", "Div") and not inputs.isdisjoint(deviations)
    return next((g for g in (means, deviations, live) if inputs <= g), live if scaled else None)
