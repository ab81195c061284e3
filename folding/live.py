"""Values that are normalised by statistics of the run itself.

Layer norm, instance norm and batch norm on live statistics end in a gamma and a beta that look
like a trained affine but stand behind something no layer can absorb. They are told by where their
input comes from: a mean over the data, its root, and what that root scales.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
#: What passes its first input on, in a shape that may be computed.
_MOVING = frozenset({"Expand", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
PASSING = _MOVING | {"Add", "Cast", "Clip", "Div", "Identity", "Max", "Mul", "Neg", "Sub"}
_FOLLOWING = ROOTS | PASSING


@dataclass(frozen=True, slots=True)
class Live:
    """What is computed from statistics of the run: means, their roots, and what one scales."""

    means: set[str] = field(default_factory=set)
    deviations: set[str] = field(default_factory=set)
    scaled: set[str] = field(default_factory=set)


def live_values(scope: Scope, constants: Constants) -> Live:
    """The values that are deviations computed at run time, or scaled by one. One linear pass."""
    found = Live()
    means, deviations, live = found.means, found.deviations, found.scaled
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
            reads = scope.reads[index][:1] if operator in _MOVING else scope.reads[index]
            inputs = {name for name in reads if name and name not in constants}
            group = _group(operator, inputs, means, deviations, live)
            if group is not None:
                group.add(out)
    return found


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
