"""Values that are normalised by statistics of the run itself.

Layer norm, instance norm and batch norm on live statistics end in a gamma and a beta that look
like a trained affine but stand behind something no layer can absorb. They are told by where their
input comes from: a mean over the data, its root, and what that root scales.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from folding.constants import Constants
from folding.draft import Draft
from folding.graph import Scope
from folding.plan import Kept, Reason
from folding.way import Stop

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
PASSING = _MOVING | {"Add", "Cast", "Clip", "Div", "Identity", "Max", "Min", "Mul", "Neg", "Sub"}
_FOLLOWING = ROOTS | PASSING
#: So many nodes that bring a root in shape are passed.
_MOST_MOVES = 8


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


def scales_data(scope: Scope, name: str, constants: Constants) -> bool:
    """Whether computed data is multiplied or divided by a value, perhaps in another shape."""
    rest, left = [name], _MOST_MOVES
    while rest and left:
        left -= 1
        for index in scope.readers.get(rest.pop(), ()):
            operator, reads = scope.operators[index], scope.reads[index]
            if operator in _MOVING:
                rest += scope.makes[index]
            elif operator in ("Div", "Mul") and not any(read in constants for read in reads):
                return True
    return False


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


def statistics_of(draft: Draft, first: Stop) -> Kept:
    """What every affine of a normalisation that is computed at run time stays for."""
    data = draft.node(first.node).input[first.slot]
    at = draft.producer(data)
    if at is None:
        return Kept(Reason.LIVE_STATISTICS, data)
    return Kept(Reason.LIVE_STATISTICS, draft.title(at), draft.node(at).op_type)
