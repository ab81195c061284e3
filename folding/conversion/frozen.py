"""Functions of which some inputs have one value for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from folding.conversion.samples import Array, Spec
from folding.errors import BadCall

if TYPE_CHECKING:
    from folding.conversion.function import Function


@dataclass(frozen=True, slots=True)
class _Frozen:
    """A function of which some inputs have one value for ever."""

    function: Function
    values: Mapping[str, Array]

    @property
    def inputs(self) -> Mapping[str, Spec]:
        all_inputs = self.function.inputs
        return {name: spec for name, spec in all_inputs.items() if name not in self.values}

    @property
    def outputs(self) -> Sequence[str]:
        return self.function.outputs

    @property
    def holder(self) -> Any:
        return self.function.holder

    def __call__(self, *tensors: Any) -> list[Any]:
        rest = iter(tensors)
        names = self.function.inputs
        return self.function(*(self.values[n] if n in self.values else next(rest) for n in names))


def frozen(function: Function, values: Mapping[str, Any]) -> Function:
    """The function with inputs frozen to values.

    Raises:
        BadCall: it has no such input, or the value is none for it.
    """
    if not values:
        return function
    known = function.inputs
    for name in values:
        if name not in known:
            has = ", ".join(map(repr, known)) or "none"
            raise BadCall(f"the source has no flag or input {name!r}", hint=f"It has {has}.")
    arrays = {name: _value(name, value, known[name]) for name, value in values.items()}
    return _Frozen(function, arrays)


def _value(name: str, value: Any, spec: Spec) -> Array:
    """A value as an input takes it; text is a value as it is typed."""
    sizes = [size for size in spec.sizes if size is not None]
    if len(sizes) < len(spec.sizes):
        raise BadCall(f"the input {name!r} cannot be frozen, because it has a size that is open")
    dtype = np.dtype(spec.dtype)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    try:
        return np.broadcast_to(np.asarray(value).astype(dtype), sizes).copy()
    except ValueError:
        raise BadCall(f"{value!r} is no value of type {dtype} for the input {name!r}") from None
