"""Training flags that a caller can still set, and what the model is with them at inference.

    training ── If ── then: statistics of the batch      an input, or an initializer that is one
                      else: the moving ones

Not every flag is one for training: only where more of the model normalises by batches, or draws at
random, with one of its values than with another, it is. A mode that is a number is a flag, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from json import dumps
from shlex import quote

import numpy as np
from onnx import ModelProto, helper

from folding.conditions import Array, evaluated, stored
from folding.freezing import freeze
from folding.lint.decided import decide
from folding.lint.finding import Code, Finding
from folding.lint.steering import steering
from folding.modelfile import Model
from folding.protos import graphs

_MOST_VALUES = 4

#: How many nodes of a model normalise by batches, or draw at random.
Training = Callable[[Model], int]


@dataclass(frozen=True, slots=True)
class Inference:
    """A model as it is at inference: its flags frozen, its constant Ifs gone.

    ``required`` has what the flags for training are then, of those that a caller has to give.
    """

    model: Model
    findings: list[Finding]
    required: Mapping[str, Array] = field(default_factory=dict)


def at_inference(model: Model, training: Training) -> Inference:
    """Freeze what steers a model to what it is at inference; the model itself if nothing does."""
    choices = _choices(model)
    needed = choices.keys() - _stored(model.proto)
    values, level = _begun(model, choices, needed, training)
    found, required = [], {}
    for flag, options in choices.items():
        levels = [_level(model, values, level, training, flag, option) for option in options]
        least = min(levels)
        if least == max(levels):
            continue
        best = options[levels.index(least)]
        values[flag], level = (best, least) if flag in needed else (options[0], levels[0])
        if flag in needed:
            required[flag] = best
        found.append(_finding(flag, best, is_needed=flag in needed))
    return Inference(_frozen(model, values), found, required)


def _begun(
    model: Model, choices: Mapping[str, list[Array]], needed: AbstractSet[str], training: Training
) -> tuple[dict[str, Array], int]:
    """The truth values to begin with, and how much of the model trains with them."""
    truths = {flag: o for flag, o in choices.items() if o[0].dtype.kind == "b"}
    values = {flag: options[0] for flag, options in truths.items()}
    level = training(_frozen(model, values)) if choices else 0
    if level:  # Some flags are true at inference.
        turned = {flag: o[flag in needed] for flag, o in truths.items()}
        other = training(_frozen(model, turned))
        if other < level:
            return turned, other
    return values, level


def _level(
    model: Model,
    values: Mapping[str, Array],
    level: int,
    training: Training,
    flag: str,
    option: Array,
) -> int:
    """How much of a model trains with another value of a flag."""
    if values.get(flag) is option:
        return level
    return training(_frozen(model, {**values, flag: option}))


def _frozen(model: Model, values: Mapping[str, Array]) -> Model:
    frozen, branches = freeze(model, values, settled=True)
    if values:
        decide(frozen)
    return frozen if branches or values else model


def _finding(flag: str, value: Array, *, is_needed: bool) -> Finding:
    default = "required" if is_needed else "with a default that a caller may override"
    shown = dumps(value.item())
    cause = f"it is an input ({default}) that switches the model to training; {shown} does not"
    remedy = f"freeze it, as --freeze {quote(f'{flag}={shown}')} does, or export without it"
    return Finding(Code.TRAINING_FLAG, flag, cause, remedy)


def _stored(proto: ModelProto) -> set[str]:
    return {tensor.name for tensor in proto.graph.initializer}


def _choices(model: Model) -> dict[str, list[Array]]:
    """The inputs that steer a model, and what to try for each; first what it is by default."""
    flags = steering(model.proto)
    if not flags:
        return {}
    numbers = _numbers(model)
    return {flag: _options(model, flag, [numbers.get(n) for n in c]) for flag, c in flags.items()}


def _options(model: Model, flag: str, compared: Iterable[Array | None]) -> list[Array]:
    """Both truths, or the numbers that a mode may be."""
    value = next(v for v in model.proto.graph.input if v.name == flag)
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    shape = [dim.dim_value for dim in tensor.shape.dim]
    tensors = (t for t in model.proto.graph.initializer if t.name == flag)
    defaults = [model.array(tensor).item() for tensor in tensors]
    others = [] if dtype.kind == "b" else [c.item() for c in compared if c is not None]
    different = dict.fromkeys(dtype.type(n).item() for n in (*defaults, 0, 1, *others))
    return [np.full(shape, number, dtype) for number in different][:_MOST_VALUES]


def _numbers(model: Model) -> dict[str, Array]:
    """The single numbers that a model holds, by name."""
    found: dict[str, Array | None] = {}
    for graph in graphs(model.proto):
        found |= {tensor.name: stored(model, tensor) for tensor in graph.initializer}
        constants = (node for node in graph.node if node.op_type == "Constant")
        found |= {node.output[0]: evaluated(model, node, ()) for node in constants}
    return {name: array for name, array in found.items() if array is not None and array.size == 1}
