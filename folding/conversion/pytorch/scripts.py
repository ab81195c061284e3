"""What a TorchScript module says of itself: its arguments and its normalisations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from folding.conversion.pytorch.calls import Call, Leaf
from folding.conversion.pytorch.norms import Norm, arrays_of, name_of, steps_in
from folding.conversion.samples import Feed
from folding.errors import BadCall

_BATCH_NORM, _INSTANCE_NORM = "aten::batch_norm", "aten::instance_norm"
_ROLES = ("gamma", "beta", "mean", "variance")
_TRAINING, _MOMENTUM, _EPSILON = 5, 6, 7


@dataclass(frozen=True, slots=True)
class ScriptNorm:
    """A normalisation, and whether it is settled that it updates statistics by the batch."""

    norm: Norm
    is_trained: bool


def norms_of_script(module: Any) -> Iterator[ScriptNorm]:
    """The batch normalisations of a module in evaluation mode, and others that have statistics."""
    import torch

    buffers = dict(module.named_buffers())
    names = {tensor.data_ptr(): name for name, tensor in buffers.items()}
    graph = torch.jit.freeze(module, optimize_numerics=False).graph
    nodes = (*graph.findAllNodes(_BATCH_NORM), *graph.findAllNodes(_INSTANCE_NORM))
    for number, node in enumerate(nodes):
        values = [value.toIValue() for value in node.inputs()]
        tensors = dict(zip(_ROLES, values[1:_TRAINING], strict=True))
        mean = tensors["mean"]
        if mean is None and node.kind() == _INSTANCE_NORM:
            continue
        name = name_of("" if mean is None else names.get(mean.data_ptr(), ""), number)
        steps = steps_in(buffers, name)
        norm = Norm(name, arrays_of(tensors), values[_EPSILON], values[_MOMENTUM], steps)
        yield ScriptNorm(norm, is_trained=mean is not None and values[_TRAINING] is True)


def call_of_script(module: Any, samples: Feed, frozen: Mapping[str, Any]) -> Call:
    """How a module is called, by samples of its inputs.

    Args:
        module: its schema says what they are called.
        samples: arrays by name.
        frozen: values for other arguments by name.

    Raises:
        BadCall: it has no such arguments, or others besides.
    """
    from torch.utils import _pytree

    arguments = list(module.forward.schema.arguments)[1:]
    names = [argument.name for argument in arguments]
    known = f"Its inputs: {', '.join(names) or 'none'}."
    for name in (*samples, *frozen):
        if name not in names:
            raise BadCall(f"the source has no input {name!r}", hint=known)
    leaves = [_leaf(argument, samples, frozen) for argument in arguments]
    return Call(tuple(leaves), _pytree.tree_structure((tuple(names), {}))).freeze(
        {name: value for name, value in frozen.items() if name in samples}
    )


def _leaf(argument: Any, samples: Feed, frozen: Mapping[str, Any]) -> Leaf:
    import torch

    name = argument.name
    if name in samples:
        return Leaf(name, torch.from_numpy(samples[name]), is_input=True)
    if name in frozen:
        return Leaf(name, frozen[name], is_input=False)
    if not argument.has_default_value():
        text = f"nothing is given for the input {name!r}, which is of type {argument.type}"
        raise BadCall(text, hint="Give sample inputs, or a value with --freeze.")
    return Leaf(name, argument.default_value, is_input=False)
