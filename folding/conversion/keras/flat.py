"""A Keras model of whatever kind as one with a list of inputs and a list of outputs, all named.

A functional model has them; one that is a subclass is called on symbols once, and so is one that
got its inputs from the first data that it was given. What a layer of it was called with, such as
``training=True``, stays. What a dictionary holds is called by its keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from itertools import count
from typing import Any

from folding.conversion.keras.layers import all_layers, is_stateful, is_told_to_train
from folding.conversion.keras.nested import is_shape, leaves, mapped, names_in
from folding.conversion.samples import Spec
from folding.errors import BadCall

_INPUT = "input"
#: Arguments that Keras itself gives.
_KEPT_BY_KERAS = ("training", "mask")
#: What a model may raise that cannot be called without knowing the size of the batch.
_FAULTS = (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Flat:
    """A model, and what its inputs and outputs are called in Keras."""

    holder: Any
    inputs: Mapping[str, Spec]
    outputs: Sequence[str]
    told: Mapping[str, bool]

    def __call__(self, *tensors: Any) -> list[Any]:
        """Its outputs as ``predict`` computes them, but for layers that are told to train."""
        result = self.holder(tensors[0] if len(tensors) == 1 else list(tensors), **self.told)
        return list(result) if isinstance(result, list | tuple) else [result]


@dataclass(frozen=True, slots=True)
class _Ends:
    """What a model takes and gives, and their names; none where their layers name them."""

    inputs: list[Any]
    outputs: list[Any]
    taken: list[str]
    given: list[str]


def flattened(library: Any, model: Any, wanted: Sequence[str]) -> Flat:
    """The model with the wanted outputs only, or all.

    Raises:
        BadCall: it has no such output, or was never called and so has no inputs yet.
    """
    is_built = getattr(model, "inputs", None)
    ends = _functional(library, model) if is_built else _called(library, model)
    inputs, outputs = ends.inputs, ends.outputs
    taken = _unique([], ends.taken or [str(tensor.name) for tensor in inputs])
    names = _unique(taken, ends.given or _layer_names(library, inputs, outputs))
    places = [_place(name, names) for name in wanted] or range(len(names))
    flat = library.Model(_single(inputs), _single([outputs[place] for place in places]))
    specs = dict(zip(taken, map(_spec, inputs), strict=True))
    # Keras would tell all layers, those too that were called with training=True.
    told = {} if is_told_to_train(model) else {"training": False}
    return Flat(flat, specs, [names[place] for place in places], told)


def _single(tensors: Sequence[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _place(name: str, names: Sequence[str]) -> int:
    if name not in names:
        known = ", ".join(map(repr, names))
        raise BadCall(f"the model has no output {name!r}", hint=f"It has {known}.")
    return names.index(name)


def _functional(library: Any, model: Any) -> _Ends:
    inputs, outputs = list(model.inputs), list(model.outputs)
    taken = names_in(getattr(model, "input", None), inputs)
    given = names_in(getattr(model, "output", None), outputs)
    is_sequence = isinstance(model, library.Sequential)
    if is_sequence and _batch_of(inputs[0]) and not any(map(is_stateful, all_layers(model))):
        taken = [str(inputs[0].name)]
        given = _layer_names(library, inputs, outputs)
        inputs, outputs = _of_any_batch(library, model)
    return _Ends(inputs, outputs, taken, given)


def _batch_of(tensor: Any) -> int | None:
    return tensor.shape[0] if len(tensor.shape) else None


def _of_any_batch(library: Any, model: Any) -> tuple[list[Any], list[Any]]:
    """The ends of a sequence of layers that was built by data: Keras runs it on any batch."""
    (built,) = model.inputs
    symbol = library.Input(batch_shape=(None, *built.shape[1:]), dtype=built.dtype)
    try:
        return [symbol], [model(symbol)]
    except _FAULTS:
        return list(model.inputs), list(model.outputs)


def _called(library: Any, model: Any) -> _Ends:
    """Call a subclass on symbols of what it was called on before, of any batch if it can be."""
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if not _are_shapes(shapes):
        raise BadCall(
            f"what the model {model.name!r} takes is not known",
            hint="Call it once on what it takes, or build it with keras.Input.",
        )
    _refuse_several(model)
    try:
        return _called_on(library, model, _with_open_batch(shapes))
    except _FAULTS:
        return _called_on(library, model, shapes)


def _called_on(library: Any, model: Any, shapes: Any) -> _Ends:
    symbols = mapped(shapes, lambda _, sizes: library.Input(batch_shape=tuple(sizes)))
    result = model(symbols)
    given = [name for name, _ in leaves(result)] if isinstance(result, dict) else []
    names = [_named(name, shapes) for name, _ in leaves(shapes)]
    inputs, outputs = ([leaf for _, leaf in leaves(each)] for each in (symbols, result))
    return _Ends(inputs, outputs, names, given)


def _named(name: str, shapes: Any) -> str:
    """What an input is called: by its keys, or by its place among what is called input."""
    if isinstance(shapes, dict):
        return name
    return f"{_INPUT}.{name}" if name else _INPUT


def _are_shapes(found: Any) -> bool:
    return bool(found) and all(is_shape(leaf) for _, leaf in leaves(found))


def _with_open_batch(shapes: Any) -> Any:
    """The shapes without the size of the batch that the model was called on."""
    if len({sizes[0] for _, sizes in leaves(shapes) if sizes}) != 1:
        return shapes
    return mapped(shapes, lambda _, sizes: (None, *sizes[1:]) if sizes else sizes)


def _refuse_several(model: Any) -> None:
    """Keras remembers the shapes of the first argument only."""
    required = [
        parameter.name
        for parameter in signature(model.call).parameters.values()
        if parameter.default is Parameter.empty
        and parameter.name not in _KEPT_BY_KERAS
        and parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) > 1:
        named = ", ".join(map(repr, required))
        raise BadCall(
            f"the model {model.name!r} takes several arguments: {named}",
            hint="Let it take them in one dictionary or list, or build it with keras.Input.",
        )


def _layer_names(library: Any, inputs: list[Any], outputs: list[Any]) -> list[str]:
    """The layers that give the outputs."""
    return [str(name) for name in library.Model(_single(inputs), _single(outputs)).output_names]


def _unique(taken: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names of what gives several outputs, or is an input too, numbered past all that are given."""
    given, found = {*taken, *names}, list(taken)
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        free = (one for one in numbered if one not in given and one not in found)
        found.append(next(free) if name in found else name)
    return found[len(taken) :]


def _spec(tensor: Any) -> Spec:
    dtype = str(getattr(tensor.dtype, "name", tensor.dtype))
    return Spec(tuple(tensor.shape), object if dtype == "string" else dtype)
