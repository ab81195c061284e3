"""A Keras model of whatever kind as one with a list of inputs and a list of outputs, all named.

A functional model has them; one that is a subclass is called on symbols once. What a layer of it
was called with, such as ``training=True``, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from folding.conversion.samples import Spec
from folding.errors import BadCall


@dataclass(frozen=True, slots=True)
class Flat:
    """A model, and what its inputs and outputs are called in Keras."""

    holder: Any
    inputs: Mapping[str, Spec]
    outputs: Sequence[str]

    def __call__(self, *tensors: Any) -> list[Any]:
        """Its outputs, as they would be at inference: called without ``training``."""
        return _listed(self.holder(tensors[0] if len(tensors) == 1 else list(tensors)))


def flattened(library: Any, model: Any, wanted: Sequence[str]) -> Flat:
    """The model with the wanted outputs only, or all.

    Raises:
        BadCall: it has no such output, or was never called and so has no inputs yet.
    """
    inputs, outputs, keys = _ends(library, model)
    specs = {str(tensor.name): _spec(tensor) for tensor in inputs}
    names = _unique(list(specs), keys or _output_names(library, model, inputs, outputs))
    places = [_place(name, names) for name in wanted] or range(len(names))
    flat = library.Model(_single(inputs), _single([outputs[place] for place in places]))
    return Flat(flat, specs, [names[place] for place in places])


def _single(tensors: Sequence[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _place(name: str, names: Sequence[str]) -> int:
    if name not in names:
        known = ", ".join(map(repr, names))
        raise BadCall(f"the model has no output {name!r}", hint=f"It has {known}.")
    return names.index(name)


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


def _ends(library: Any, model: Any) -> tuple[list[Any], list[Any], list[str]]:
    """What a model takes and gives, and the keys of the latter if it is a subclass' dictionary."""
    if getattr(model, "inputs", None):
        return list(model.inputs), list(model.outputs), []
    shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if not isinstance(shape, list | tuple) or not all(
        n is None or isinstance(n, int) for n in shape
    ):
        raise BadCall(
            f"what the model {model.name!r} takes is not known",
            hint="Call it once on one array before saving it; if it takes several, build it with"
            " keras.Input.",
        )
    symbol = library.Input(batch_shape=tuple(shape), name="input")
    result = model(symbol)
    if isinstance(result, dict):
        return [symbol], list(result.values()), [str(key) for key in result]
    return [symbol], _listed(result), []


def _output_names(library: Any, model: Any, inputs: list[Any], outputs: list[Any]) -> list[str]:
    """The keys of a dictionary of outputs, otherwise the layers that give them."""
    named = getattr(model, "output", None) if hasattr(model, "output_names") else None
    if isinstance(named, dict):
        keys = {id(tensor): str(key) for key, tensor in named.items()}
        if all(id(tensor) in keys for tensor in outputs):
            return [keys[id(tensor)] for tensor in outputs]
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
