"""Live ``torch.nn.Module`` objects, in the process that has them.

The module is copied, and what is converted is the copy in evaluation mode: neither its mode nor its
running statistics change. Its shapes come from samples of its inputs. A weight that is computed
from others, as weight and spectral norm do, is stored as what it is.
"""

from __future__ import annotations

from inspect import signature
from typing import Any
from warnings import WarningMessage

from folding.conversion.job import Job, Product
from folding.conversion.pytorch import aten
from folding.conversion.pytorch.calls import Call, spec_of
from folding.conversion.pytorch.modules import (
    at_inference,
    batch_of,
    call_of,
    is_batched,
    mode_warnings,
    plain,
    resized,
    specs_of,
)
from folding.conversion.pytorch.norms import norms_of_module
from folding.conversion.pytorch.producing import Origin, produce
from folding.conversion.pytorch.quiet import quiet
from folding.conversion.pytorch.runs import failures
from folding.conversion.pytorch.trusting import samples_of
from folding.conversion.routes import exported_program, torchscript

#: Programs are made with so many rows at least: they are specialised to what happens to one.
_ROWS = 2


def convert_module(module: Any, job: Job) -> Product:
    """Convert a module.

    Args:
        module: it is left as it is.
        job: its samples have arrays by the names of forward's parameters; ``extra.p`` is what the
            mapping ``extra`` has under p, ``extra.0`` the first in a list.

    Raises:
        FoldError: it cannot be called like that, or not be converted.
    """
    import torch

    title = f"the module {type(module).__name__!r}"
    if isinstance(module, torch.jit.ScriptModule):
        return torchscript.convert_script(module, job, title)
    given = samples_of(job, title, list(signature(module.forward).parameters))
    with quiet() as heard:
        copy = at_inference(module)
        origin = _origin(title, copy, call_of(copy, given, job.freeze), heard)
        origin.warnings += mode_warnings(module, type(module).__name__)
        return produce(origin, job)


def _origin(title: str, copy: Any, call: Call, heard: list[WarningMessage]) -> Origin:
    norms = tuple(norms_of_module(copy))
    origin = Origin(
        title=title,
        module=copy,
        call=call,
        norms=norms,
        is_declared=bool(norms),
        specs=specs_of(call),
        heard=heard,
    )
    program = _program(plain(copy), call)
    if program is not None:
        _describe(origin, program)
    return origin


def _describe(origin: Origin, program: Any) -> None:
    """Take over what a program says: which sizes are open, and functional normalisations."""
    found = exported_program.call_of(program).leaves
    for leaf, same in zip(origin.call.leaves, found, strict=True):
        if leaf.is_input:
            origin.specs[leaf.name] = spec_of(same.value)
    known = {norm.name for norm in origin.norms}
    more = [norm for norm in aten.norms_of_program(program) if "mean" in norm.arrays]
    origin.norms = (*origin.norms, *(norm for norm in more if norm.name not in known))
    origin.is_declared = bool(origin.norms)
    aten.normalise_by_batch_norm(program)
    origin.program = program


def _program(module: Any, call: Call) -> Any:
    """The program of a module, with an open batch if it can have one; None if there is none."""
    import torch
    from torch.utils import _pytree

    rows = batch_of(call)
    axes = [
        {0: torch.export.Dim.AUTO} if leaf.is_input and is_batched(call, leaf) else None
        for leaf in call.leaves
    ]
    positional, named = _pytree.tree_unflatten(axes, call.tree)
    for count in dict.fromkeys((max(_ROWS, rows), rows)):
        args, kwargs = call.arguments(resized(call, count))
        shapes = (*positional, *named.values())
        try:
            program = torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
        except failures():
            return None
        if count == rows or _is_open(program):
            return program
    return None


def _is_open(program: Any) -> bool:
    leaves = exported_program.call_of(program).inputs
    return any(spec_of(leaf.value).has_batch for leaf in leaves)
