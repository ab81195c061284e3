"""A copy of a live module as it is at inference, and how it is called."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature, signature
from typing import Any

from folding.conversion.left_on import draws, normalises_by_batch
from folding.conversion.pytorch.calls import Call, Leaf, key_text, spec_of
from folding.conversion.pytorch.runs import failures, first_line
from folding.conversion.samples import Feed, Spec
from folding.errors import BadCall
from folding.plan import Warned

_HOOKS = "_forward_pre_hooks"


def at_inference(module: Any) -> Any:
    """A copy on the CPU that is in evaluation mode and shares nothing with the module.

    Raises:
        BadCall: it cannot be copied.
    """
    import torch

    inner = getattr(module, "_orig_mod", module)
    derived = {
        id(value): value.detach().clone()
        for layer in inner.modules()
        for value in vars(layer).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        return copy.deepcopy(inner, derived).cpu().eval()
    except failures() as error:
        text = f"the module cannot be copied: {first_line(error)}"
        raise BadCall(text, hint="Save torch.export.export(...) of it as .pt2.") from error


def mode_warnings(module: Any, title: str) -> list[Warned]:
    """That a module is in training mode, or a part of it."""
    names = [name for name, layer in module.named_modules() if layer.training]
    if not names:
        return []
    text = "it is in training mode, and was converted as it is after model.eval()"
    return [Warned("TRAINING_MODE", names[0] or title, text)]


def training_lints(script: Any) -> Iterator[Warned]:
    """What the layers of a scripted module do in training mode, which it was saved in."""
    for name, layer in script.named_modules():
        if layer.training and getattr(layer, "running_mean", None) is not None:
            yield normalises_by_batch(name)
        elif layer.training and "Dropout" in layer.original_name:
            yield draws(name)


def plain(module: Any) -> Any:
    """A module whose parameters are what they are computed to be: without weight norms and such.

    The module given is not changed; where there is nothing to do it is the answer.
    """
    from torch.nn.utils import parametrize

    if not any(parametrize.is_parametrized(m) or _hooks(m) for m in module.modules()):
        return module
    own = copy.deepcopy(module)
    for layer in own.modules():
        if parametrize.is_parametrized(layer):
            _settle(layer)
        for key, hook in _hooks(layer):
            hook.remove(layer)
            del vars(layer)[_HOOKS][key]
    return own


def _settle(layer: Any) -> None:
    """Store the computed parameters of a layer that is a copy.

    ``remove_parametrizations`` would take them from the class, which the original has as well.
    """
    import torch
    from torch.nn.utils import parametrize

    values = {name: getattr(layer, name).detach().clone() for name in layer.parametrizations}
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))


def _hooks(layer: Any) -> list[tuple[int, Any]]:
    """What computes the weight of a layer before each call."""
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    hooks = vars(layer)[_HOOKS].items()
    return [(key, hook) for key, hook in hooks if isinstance(hook, (SpectralNorm, WeightNorm))]


def call_of(module: Any, samples: Feed, frozen: Mapping[str, Any]) -> Call:
    """How a module is called, by samples of its inputs.

    Args:
        module: its ``forward`` says what they are called.
        samples: arrays by name, or by the path to where they are in a tree.
        frozen: values for other arguments by name.

    Raises:
        BadCall: it has no such arguments, or others besides.
    """
    from torch.utils import _pytree

    known = signature(module.forward)
    _check_names(known, (*samples, *frozen))
    settled = {name: value for name, value in frozen.items() if name not in samples}
    try:
        bound = known.bind(**_grown(samples), **settled)
    except TypeError as error:
        raise BadCall(f"the module cannot be called: {error}", hint=_inputs(known)) from error
    found, tree = _pytree.tree_flatten_with_path((bound.args, bound.kwargs))
    positions = list(known.parameters)
    kind = computed_in(module)
    leaves = tuple(_leaf(_argument_name(path, positions), value, kind) for path, value in found)
    return Call(leaves, tree).freeze({n: v for n, v in frozen.items() if n in samples})


def _check_names(known: Signature, names: Iterable[str]) -> None:
    """Raise BadCall if a name, or the first part of a path, is no argument."""
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in known.parameters.values())
    for name in names:
        if not takes_any and name.partition(".")[0] not in known.parameters:
            raise BadCall(f"the module has no input {name!r}", hint=_inputs(known))


def _inputs(known: Signature) -> str:
    return f"Its inputs: {', '.join(known.parameters) or 'none'}."


def _grown(samples: Feed) -> dict[str, Any]:
    """Arguments, some of which are mappings or lists that others are parts of."""
    grown: dict[str, Any] = {}
    for path, array in samples.items():
        *stems, last = path.split(".")
        place = grown
        for stem in stems:
            place = place.setdefault(stem, {})
        place[last] = array
    return {name: _listed(part) for name, part in grown.items()}


def _listed(part: Any) -> Any:
    """Mappings whose keys are 0, 1 and so on are lists."""
    if not isinstance(part, dict):
        return part
    inner = {key: _listed(value) for key, value in part.items()}
    is_list = sorted(inner) == [str(place) for place in range(len(inner))]
    return [inner[str(place)] for place in range(len(inner))] if is_list else inner


def _argument_name(path: Sequence[Any], positions: Sequence[str]) -> str:
    """``x`` for the first argument, ``extra.p`` for what a mapping ``extra`` has under p."""
    side, first, *rest = (key_text(key) for key in path)
    return ".".join([positions[int(first)] if side == "0" else first, *rest])


def computed_in(module: Any) -> Any:
    """The only type of a module's floats where numpy, and so an .npz, has none like it."""
    import torch

    arrays = (*module.parameters(), *module.buffers())
    kinds = {array.dtype for array in arrays if array.is_floating_point()}
    return torch.bfloat16 if kinds == {torch.bfloat16} else None


def _leaf(name: str, value: Any, kind: Any) -> Leaf:
    import numpy as np
    import torch

    if isinstance(value, np.ndarray):
        tensor = torch.from_numpy(np.array(value))
        is_meant = kind is not None and tensor.is_floating_point()
        return Leaf(name, tensor.to(kind) if is_meant else tensor, is_input=True)
    return Leaf(name, value, is_input=False)


def resized(call: Call, batch: int) -> dict[str, Any]:
    """The inputs with so many rows, where their first axis is the batch."""
    return {
        leaf.name: _rows(leaf.value, batch) if is_batched(call, leaf) else leaf.value
        for leaf in call.inputs
    }


def batch_of(call: Call) -> int:
    """The first size of the first input that has any, else 0."""
    return next((len(leaf.value) for leaf in call.inputs if leaf.value.ndim), 0)


def is_batched(call: Call, leaf: Leaf) -> bool:
    """Whether an input has the batch as its first axis."""
    return bool(leaf.value.ndim) and len(leaf.value) == batch_of(call)


def _rows(tensor: Any, count: int) -> Any:
    import torch

    return torch.cat([tensor] * -(-count // len(tensor)))[:count]


def specs_of(call: Call) -> dict[str, Spec]:
    """What the inputs take, if nothing is known but examples."""
    return {
        leaf.name: spec_of(leaf.value, is_batched=is_batched(call, leaf)) for leaf in call.inputs
    }
