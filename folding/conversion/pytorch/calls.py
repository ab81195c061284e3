"""How a model is called: a tree of arguments, some leaves of which are inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from folding.assignments import VALUE_HINT
from folding.conversion.samples import Array, Feed, Spec
from folding.errors import BadCall
from folding.renaming import Fresh

#: What an output is called that has no name in the source.
OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One argument: a tensor like those that are put in, or a settled value."""

    name: str
    value: Any
    is_input: bool


@dataclass(frozen=True, slots=True)
class Call:
    """The leaves of ``(args, kwargs)``, and the tree that they hang on."""

    leaves: tuple[Leaf, ...]
    tree: Any

    @property
    def inputs(self) -> tuple[Leaf, ...]:
        return tuple(leaf for leaf in self.leaves if leaf.is_input)

    def arguments(self, given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, with these tensors for the inputs."""
        from torch.utils import _pytree

        values = [given[leaf.name] if leaf.is_input else leaf.value for leaf in self.leaves]
        args, kwargs = _pytree.tree_unflatten(values, self.tree)
        return args, kwargs

    def run(self, module: Any, feed: Feed) -> dict[str, Any]:
        """What a module computes, by the names of its outputs."""
        given = {leaf.name: as_tensor(feed[leaf.name], leaf.value.dtype) for leaf in self.inputs}
        args, kwargs = self.arguments(given)
        return named_outputs(module(*args, **kwargs))

    def freeze(self, values: Mapping[str, Any]) -> Call:
        """The call with some of its inputs settled.

        Raises:
            BadCall: there is no such input, or it takes no such value.
        """
        known = [leaf.name for leaf in self.leaves]
        for name in values:
            if name not in known:
                hint = f"Its inputs: {', '.join(known) or 'none'}."
                raise BadCall(f"the source has no input {name!r} to freeze", hint=hint)
        leaves = (
            replace(leaf, value=settled(leaf, values[leaf.name]), is_input=False)
            if leaf.name in values
            else leaf
            for leaf in self.leaves
        )
        return replace(self, leaves=tuple(leaves))


def settled(leaf: Leaf, value: Any) -> Any:
    """A value for a leaf, as a tensor where that is one.

    Raises:
        BadCall: the leaf takes no such value.
    """
    import torch

    if not isinstance(leaf.value, torch.Tensor):
        return value
    wrong = BadCall(f"the input {leaf.name!r} takes no {value!r}", hint=VALUE_HINT)
    array = np.asarray(value)
    wanted = dtype_of(leaf.value.dtype)
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, wanted, "same_kind"):
        raise wrong
    if array.shape not in ((), tuple(leaf.value.shape)):
        raise wrong
    return as_tensor(array, leaf.value.dtype).expand(leaf.value.shape).clone()


def named_outputs(result: Any) -> dict[str, Any]:
    """The tensors that a model gave, by names that come of where they are in it."""
    import torch
    from torch.utils import _pytree

    leaves, _ = _pytree.tree_flatten_with_path(result)
    names = output_names([path for path, _ in leaves])
    return {
        name: leaf
        for name, (_, leaf) in zip(names, leaves, strict=True)
        if isinstance(leaf, torch.Tensor)
    }


def output_names(paths: Sequence[Any]) -> list[str]:
    """A name for each leaf of what a model gives: its keys, or its place."""
    fresh = Fresh(())
    return [fresh(_output_name([key_text(key) for key in path])) for path in paths]


def _output_name(keys: list[str]) -> str:
    placed = not keys or keys[0].isdigit()
    return "_".join([OUTPUT, *keys] if placed else keys)


def key_text(key: Any) -> str:
    """What a step into a tree is called: a key, an attribute or a place."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def dtype_of(dtype: Any) -> Any:
    """The type that numpy has for one of PyTorch."""
    import torch

    if dtype is torch.bfloat16:
        return np.dtype(ml_dtypes.bfloat16)
    return torch.zeros((), dtype=dtype).numpy().dtype


def as_tensor(array: Array, dtype: Any) -> Any:
    """A tensor of its own."""
    import torch

    wide = array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array
    return torch.tensor(wide, dtype=dtype)


def as_array(tensor: Any) -> Array:
    """A tensor's values."""
    import torch

    plain = tensor.detach().cpu()
    wide = plain.float() if plain.dtype is torch.bfloat16 else plain
    return np.array(wide.numpy())


def spec_of(tensor: Any, *, is_batched: bool = False) -> Spec:
    """What an input takes that is like a tensor: what is symbolic is open, and a batch."""
    shape = [size if isinstance(size, int) else None for size in tensor.shape]
    return Spec([None, *shape[1:]] if is_batched else shape, dtype_of(tensor.dtype))
