"""The normalisations in a program of ``torch.export``, and the form that they have at inference.

    aten.batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, cudnn)

With statistics given, ``training`` means that those of the batch at hand are used and the given
ones are updated: a program saved so computes nothing that is worth converting. Without, it is what
``track_running_stats=False`` computes at inference as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from folding.conversion.pytorch.norms import Norm, arrays_of, name_of, steps_in

_INSTANCE = "aten::instance_norm"
_UPDATING = ("aten::_batch_norm_with_update", "aten::_batch_norm_with_update_functional")
_NORMS = frozenset(
    (
        _INSTANCE,
        "aten::batch_norm",
        "aten::native_batch_norm",
        "aten::_native_batch_norm_legit",
        "aten::_native_batch_norm_legit_functional",
        "aten::_native_batch_norm_legit_no_training",
        *_UPDATING,
    )
)
#: What has a flag that only training sets, and may be told otherwise.
_SWITCHED = frozenset(
    f"aten::{name}"
    for name in (
        "batch_norm",
        "instance_norm",
        "dropout",
        "feature_dropout",
        "alpha_dropout",
        "feature_alpha_dropout",
        "rrelu",
    )
)
_FLAGS = ("training", "train", "use_input_stats")
_SLOTS = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}


def operator(node: Any) -> str:
    """The name of what a node calls, such as ``aten::batch_norm``, or nothing."""
    schema = _schema(node)
    return schema.name if node.op == "call_function" and schema is not None else ""


def _schema(node: Any) -> Any:
    return getattr(node.target, "_schema", None)


def trained_norms(program: Any) -> list[str]:
    """The normalisations that use and update statistics of the batch, though they have some."""
    return [
        _name(program, node, number)
        for number, node in enumerate(_norm_nodes(program))
        if _has_statistics(node) and (operator(node) in _UPDATING or _flag(node))
    ]


def switch_to_inference(program: Any) -> None:
    """Clear the training flags of normalisations that have statistics, and of dropout."""
    for node in program.graph.nodes:
        name = operator(node)
        if name not in _SWITCHED or (name in _NORMS and not _has_statistics(node)):
            continue
        for place, argument in enumerate(_schema(node).arguments):
            if argument.name in _FLAGS:
                node.update_arg(place, arg=False)
    program.graph_module.recompile()


def normalise_by_batch_norm(program: Any) -> None:
    """An instance normalisation by stored statistics is a batch normalisation, so call it that."""
    import torch

    for node in program.graph.nodes:
        if operator(node) == _INSTANCE and _has_statistics(node) and not _flag(node):
            node.target = torch.ops.aten.batch_norm.default


def norms_of_program(program: Any) -> Iterator[Norm]:
    """The batch normalisations of a program, and others that have statistics."""
    targets = _targets(program)
    values = {**program.constants, **program.state_dict}
    for number, node in enumerate(_norm_nodes(program)):
        if operator(node) == _INSTANCE and not _has_statistics(node):
            continue
        given = _arguments(node)
        tensors = {
            key: values.get(targets.get(given[slot].name, ""))
            for key, slot in _SLOTS.items()
            if given.get(slot) is not None
        }
        name = _name(program, node, number)
        steps = steps_in(values, name)
        yield Norm(name, arrays_of(tensors), given["eps"], given["momentum"], steps)


def _arguments(node: Any) -> dict[str, Any]:
    """What a node is given, by the names that its operator has for it."""
    names = [argument.name for argument in _schema(node).arguments]
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _has_statistics(node: Any) -> bool:
    return _arguments(node).get("running_mean") is not None


def _flag(node: Any) -> bool:
    given = _arguments(node)
    return any(given.get(name) is True for name in _FLAGS)


def _norm_nodes(program: Any) -> Iterator[Any]:
    return (node for node in program.graph.nodes if operator(node) in _NORMS)


def _name(program: Any, node: Any, number: int) -> str:
    mean = _arguments(node).get("running_mean")
    return name_of("" if mean is None else _targets(program).get(mean.name, ""), number)


def _targets(program: Any) -> dict[str, str]:
    """What the placeholders of parameters and buffers stand for."""
    specs = program.graph_signature.input_specs
    return {spec.arg.name: spec.target for spec in specs if spec.target is not None}
