"""What of two operators does not match, whatever their inputs are."""

from __future__ import annotations

from collections.abc import Sequence

from folding.equivalence.foreign.terms import FORMAL, INPUT, Call, Term, shape_of

#: What counts its axis in the dimensions of its first input.
_ALONG_AXIS = frozenset(
    {"ArgMax", "ArgMin", "Concat", "Gather", "GatherElements", "Hardmax", "LayerNormalization"}
    | {"LogSoftmax", "LpNormalization", "ScatterElements", "Softmax", "Split", "TopK"}
)


def unlike(ours: Term, theirs: Term) -> str | None:
    """What of two terms themselves does not match."""
    one, other = ours.call, theirs.call
    if _function(one) != _function(other):
        return f"where the reference has {said_of(one)}, the candidate has {said_of(other)}"
    if one.version != other.version:
        return f"{said_of(one)} means something else in the operator set of the candidate"
    for name in sorted(one.attributes.keys() | other.attributes.keys()):
        both = one.attributes.get(name), other.attributes.get(name)
        if both[0] != both[1] and not _is_one_axis(name, both, one, other):
            return f"{said_of(one)} has another {name} than {said_of(other)} of the candidate"
    if ours.index != theirs.index or len(one.inputs) != len(other.inputs):
        return f"{said_of(one)} has other inputs or outputs than {said_of(other)} of the candidate"
    shapes = [
        [(b.attribute, len(b.formals), len(b.results)) for b in c.bodies] for c in (one, other)
    ]
    return None if shapes[0] == shapes[1] else f"{said_of(one)} has other bodies in the candidate"


def _is_one_axis(name: str, said: Sequence[object], one: Call, other: Call) -> bool:
    """Whether both say the same axis, counted from either end; one may not know how many it has."""
    shapes = (shape_of(call.input(0)) for call in (one, other))
    rank = next((len(shape) for shape in shapes if shape is not None), None)
    first, second = said
    if name != "axis" or rank is None or not one.is_own(*_ALONG_AXIS):
        return False
    return isinstance(first, int) and isinstance(second, int) and abs(first - second) == rank


def _function(call: Call) -> tuple[str, str, str]:
    return call.domain, call.operator, call.overload


def said_of(call: Call) -> str:
    """A call in words: its operator and its name."""
    if call.is_own(INPUT, FORMAL):
        place = call.attributes["name"]
        return f"the input {call.title!r}" if call.title else f"input {place} of a body"
    return f"{':'.join(filter(None, _function(call)))} {call.title!r}"
