"""Live ``torch.nn.Module`` objects, in the process that has them.

The module is copied, and what is converted is the copy in evaluation mode: neither its mode nor its
running statistics change. Its shapes come from examples of its inputs. A weight that is computed
from others, as weight and spectral norm do, is stored as what it is.
"""

from __future__ import annotations

from typing import Any

from folding.convert.job import Job, Product
from folding.convert.pytorch import aten
from folding.convert.pytorch.calls import Call, spec_of
from folding.convert.pytorch.modules import (
    at_inference,
    batch_of,
    call_of,
    is_batched,
    mode_warnings,
    plain,
    resized,
)
from folding.convert.pytorch.norms import norms_of_module
from folding.convert.pytorch.producing import Origin, produce
from folding.convert.pytorch.quiet import quiet
from folding.convert.pytorch.runs import FAILURES
from folding.convert.routes import exported_program, torchscript
from folding.convert.samples import Spec
from folding.equivalence.input_files import archive
from folding.errors import BadCall

#: Not a size that programs are specialised to.
_ROWS = 2


def convert_module(module: Any, job: Job, examples: Any = None) -> Product:
    """Convert a module.

    Args:
        module: it is left as it is.
        job: its samples, if any, have arrays by the names of forward's parameters.
        examples: without samples, what gives shapes and types: one argument, a tuple of all, or a
            mapping by name; tensors, arrays, or trees of them.

    Raises:
        FoldError: it cannot be called like that, or not be converted.
    """
    import torch

    given = archive(job.samples) if job.samples is not None else examples
    if given is None:
        text = "a PyTorch module does not say what shapes it takes"
        raise BadCall(text, hint="Give sample inputs: a .npz or examples of its arguments.")
    if isinstance(module, torch.jit.ScriptModule):
        return torchscript.convert_script(module, job, given)
    with quiet() as heard:
        title = type(module).__name__
        copy = at_inference(module)
        call = call_of(copy, given, job.freeze)
        program = _exported(plain(copy), call)
        norms = {norm.name: norm for norm in norms_of_module(copy)}
        origin = Origin(
            title=title,
            module=copy,
            call=call,
            norms=tuple(norms.values()),
            is_declared=bool(norms),
            specs=_specs(call),
            heard=heard,
            warnings=mode_warnings(module, title),
        )
        if program is not None:
            found = exported_program.call_of(program)
            ...
        return produce(origin, job)
