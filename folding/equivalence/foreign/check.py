"""Frame and parameters for any two models: the normal forms of both, and a match of them.

The frame has passed if all operators and wires match, the parameters if the constants do too. What
does not match is not taken for a fault unless it must be one: a tool may have written the same
function in a way that no rule sees through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto

from folding import soundness
from folding.equivalence.foreign.match import Match
from folding.equivalence.foreign.normal import Normal, NotFollowed, normal_form
from folding.equivalence.foreign.result import Matched, NotEstablished, Result
from folding.equivalence.sealed import rest, same_tensor
from folding.equivalence.verdict import Check, Status
from folding.errors import BadModel
from folding.inference import Shape
from folding.modelfile import Model
from folding.protos import INITIALIZERS_ALONE_SINCE_IR, callers_inputs

#: What the default of a function's attribute is seen to hold.
_PLAIN = frozenset(
    {AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING}
    | {AttributeProto.FLOATS, AttributeProto.INTS, AttributeProto.STRINGS}
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two checks, and which value of the candidate is which of the reference."""

    frame: Check
    parameters: Check
    values: dict[str, str]


def check_foreign(reference: Model, candidate: Model) -> Comparison:
    """Compare a model with one that another tool made of it."""
    result = compare(reference, candidate)
    if isinstance(result, NotEstablished) and result.check == "parameters":
        idle = Check("parameters", Status.NOT_RUN, result.why, at=result.at)
        return Comparison(Check("frame", Status.PASSED), idle, result.values)
    if isinstance(result, NotEstablished):
        frame = Check("frame", Status.NOT_RUN, result.why, at=result.at)
        why = "the frame could not be established"
        return Comparison(frame, Check("parameters", Status.NOT_RUN, why), {})
    frame = Check("frame", Status.PASSED)
    status = Status.PASSED if isinstance(result, Matched) else Status.FAILED
    why = "" if isinstance(result, Matched) else result.why
    parameters = Check("parameters", status, why, result.worst, 1.0, result.at)
    return Comparison(frame, parameters, result.values)


def compare(reference: Model, candidate: Model) -> Result:
    """Whether two models are the same function, as far as can be told without a run."""
    try:
        soundness.check(lenient(candidate), "the candidate")
        found = _apart(reference, candidate)
        if found is not None:
            return found
        theirs = normal_form(_called_alike(candidate, reference))
        ours = normal_form(reference)
    except NotFollowed as unknown:
        return NotEstablished(unknown.why, unknown.at)
    except BadModel as fault:
        return NotEstablished(str(fault))
    found = _signatures(ours, theirs) or _defaults(reference, candidate, ours)
    if found is not None:
        return found
    result = Match(
        [(ours.outputs[name], theirs.outputs[name], None) for name in ours.outputs]
    ).result()
    for name, same in ours.aliases.items():
        if same in result.values:
            result.values.setdefault(name, result.values[same])
    return result


def lenient(model: Model) -> Model:
    """The model as one whose initializers need not be inputs, as runtimes take it for."""
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    copy.ir_version = max(copy.ir_version, INITIALIZERS_ALONE_SINCE_IR)
    return replace(model, proto=copy)


def _called_alike(candidate: Model, reference: Model) -> Model:
    """The candidate as it is when nobody gives what is no input of both, as runtimes see them."""
    stored = {tensor.name for tensor in candidate.proto.graph.initializer}
    given = {value.name for value in callers_inputs(reference.proto)}
    given &= {value.name for value in callers_inputs(candidate.proto)}
    inputs = candidate.proto.graph.input
    kept = [value for value in inputs if value.name in given or value.name not in stored]
    if len(kept) == len(inputs):
        return candidate
    alike = lenient(candidate)
    holder = GraphProto(input=kept)
    del alike.proto.graph.input[:]
    alike.proto.graph.input.extend(holder.input)
    return alike


def _apart(ours: Model, theirs: Model) -> NotEstablished | None:
    """What differs beside the graphs."""
    calls, its_calls = ({_key(f): f for f in model.proto.functions} for model in (ours, theirs))
    for key in sorted(calls.keys() | its_calls.keys()):
        one, other, name = calls.get(key), its_calls.get(key), ":".join(filter(None, key))
        is_same = one is not None and other is not None and one.domain not in ("", "ai.onnx")
        if not is_same or _content(ours, functions=[one]) != _content(theirs, functions=[other]):
            return NotEstablished(f"the function {name!r} is not the same in both", name)
        if one is not None and not all(a.type in _PLAIN for a in one.attribute_proto):
            return NotEstablished(f"the function {name!r} has tensors as defaults", name)
    # A tool may drop what says how to train a model, but not say something else.
    trained = [_content(m, training_info=m.proto.training_info) for m in (ours, theirs)]
    if trained[1] and trained[0] != trained[1]:
        return NotEstablished("the candidate says otherwise how the model is trained")
    outputs = [[value.name for value in model.proto.graph.output] for model in (ours, theirs)]
    if outputs[0] != outputs[1]:
        return NotEstablished("the outputs have other names or another order")
    mine, its = (_no_tensors(model.proto.graph) for model in (ours, theirs))
    for name in mine.keys() | its.keys():
        if mine.get(name) != its.get(name):
            return NotEstablished(f"the input {name!r} of the candidate is of another type", name)
    return None


def _no_tensors(graph: GraphProto) -> dict[str, bytes]:
    """The types of inputs that are sequences, maps or optional, of which no more is known."""
    others = (v for v in graph.input if v.type.WhichOneof("value") not in (None, "tensor_type"))
    return {value.name: value.type.SerializeToString(deterministic=True) for value in others}


def _content(model: Model, **fields: Any) -> bytes:
    """Parts of a model with what their tensors hold, wherever that is and however deep in them."""
    return rest(replace(model, proto=ModelProto(**fields)))


def _key(function: FunctionProto) -> tuple[str, str, str]:
    return function.domain, function.name, function.overload


def _signatures(ours: Normal, theirs: Normal) -> NotEstablished | None:
    """Inputs that only one side has, or that are of another type or in another order."""
    for name in sorted(ours.inputs.keys() | theirs.inputs.keys()):
        one, other = ours.inputs.get(name), theirs.inputs.get(name)
        if one is None or other is None:
            side = "candidate" if one is None else "reference"
            return NotEstablished(f"only the {side} has the input {name!r}", name)
        if one.outcome.type != other.outcome.type or not _accepts(other.shape, one.shape):
            return NotEstablished(f"the input {name!r} of the candidate accepts others", name)
    if list(ours.inputs) != list(theirs.inputs):
        why = "the inputs have another order: who gives them by position calls another function"
        return NotEstablished(why)
    return None


def _accepts(shape: Shape | None, given: Shape | None) -> bool:
    """Whether a declared shape lets all pass that another one does."""
    if shape is None or given is None:
        return shape is None
    same_rank = len(shape) == len(given)
    return same_rank and all(d is None or d == g for d, g in zip(shape, given, strict=False))


def _defaults(reference: Model, candidate: Model, ours: Normal) -> NotEstablished | None:
    """What an input is if the caller does not say."""
    stored = [
        {tensor.name: tensor for tensor in model.proto.graph.initializer}
        for model in (reference, candidate)
    ]
    for name in sorted(ours.inputs):
        one, other = (tensors.get(name) for tensors in stored)
        if one is None or other is None:
            is_same = one is other
        else:
            is_same = same_tensor(reference, candidate, one, other)
        if not is_same:
            return NotEstablished(f"the input {name!r} has another default", name)
    return None
