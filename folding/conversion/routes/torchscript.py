"""TorchScript archives and modules, traced or scripted.

An archive is a program of its own, so it is read only if it is trusted, and it does not say what
shapes it takes, so samples are needed. A module that was traced in training mode stays in it, and
is refused.
"""

from __future__ import annotations

from typing import Any

from folding.conversion.job import Job, Product
from folding.conversion.left_on import normalises_by_batch
from folding.conversion.pytorch.modules import at_inference, mode_warnings, specs_of, training_lints
from folding.conversion.pytorch.norms import is_declared
from folding.conversion.pytorch.producing import Origin, produce
from folding.conversion.pytorch.quiet import quiet
from folding.conversion.pytorch.scripts import call_of_script, norms_of_script
from folding.conversion.pytorch.trusting import loaded, require_trust, samples_of
from folding.errors import LeftInTraining


def run(job: Job) -> Product:
    """Convert an archive.

    Raises:
        FoldError: it is not trusted, damaged, traced in training mode or unconvertible.
    """
    import torch

    require_trust(job)
    with quiet():
        module = loaded(job, lambda path: torch.jit.load(path, map_location="cpu"))
    return convert_script(module, job, repr(job.source.name))


def convert_script(module: Any, job: Job, title: str) -> Product:
    """Convert a module that is TorchScript.

    Args:
        module: it is left as it is.
        job: its samples have arrays by the names of forward's arguments.
        title: what the module is called in messages.

    Raises:
        FoldError: it cannot be called like that, or not be converted.
    """
    names = [argument.name for argument in list(module.forward.schema.arguments)[1:]]
    given = samples_of(job, title, names)
    with quiet() as heard:
        copy = at_inference(module)
        norms = tuple(norms_of_script(copy))
        trained = [found.norm.name for found in norms if found.is_trained]
        if trained:
            text = (
                f"{title} was traced in training mode: {trained[0]!r} normalises by the"
                " batch at hand and updates its statistics"
            )
            lints = [normalises_by_batch(name) for name in trained]
            raise LeftInTraining(text, lints, hint="Trace it again after model.eval().")
        call = call_of_script(copy, given, job.freeze)
        origin = Origin(
            title=title,
            module=copy,
            call=call,
            norms=tuple(found.norm for found in norms),
            is_declared=bool(norms) or is_declared(name for name, _ in copy.named_buffers()),
            specs=specs_of(call),
            heard=heard,
            warnings=mode_warnings(module, title),
            lints=tuple(training_lints(module)),
        )
        return produce(origin, job)
