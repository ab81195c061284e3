"""``.pt2``, a program that ``torch.export.save`` wrote.

Its file may hold pickled objects, so it is read only if it is trusted. What it computes is settled:
flags that were arguments are constants, and so is the mode that the module was in. One that was
saved in training mode is refused, or put in its inference form by ``--freeze training=false``.
"""

from __future__ import annotations

from typing import Any
from warnings import WarningMessage

from folding.conversion.job import Job, Product
from folding.conversion.left_on import normalises_by_batch
from folding.conversion.pytorch import aten
from folding.conversion.pytorch.calls import Call, Leaf, spec_of
from folding.conversion.pytorch.norms import is_declared
from folding.conversion.pytorch.producing import Origin, produce
from folding.conversion.pytorch.quiet import quiet
from folding.conversion.pytorch.trusting import loaded, require_trust
from folding.errors import BadCall, LeftInTraining

#: The name under which training mode is frozen.
TRAINING = "training"


def run(job: Job) -> Product:
    """Convert a program.

    Raises:
        FoldError: it is not trusted, damaged, saved in training mode or unconvertible.
    """
    require_trust(job)
    with quiet() as heard:
        import torch

        program = loaded(job, torch.export.load)
        call = call_of(program)
        frozen = dict(job.freeze)
        if TRAINING not in (leaf.name for leaf in call.leaves):
            _settle_mode(job, program, frozen)
        return produce(origin_of(program, call.freeze(frozen), job, heard), job)


def _settle_mode(job: Job, program: Any, frozen: dict[str, Any]) -> None:
    """Take the training mode out of what is to be frozen, and out of the program."""
    mode = frozen.pop(TRAINING, None)
    if mode not in (None, False):
        text = f"{job.source.name!r} cannot be converted in training mode"
        raise BadCall(text, hint="Give --freeze training=false.")
    if mode is False:
        aten.switch_to_inference(program)
    trained = aten.trained_norms(program)
    if trained:
        text = (
            f"{job.source.name!r} was saved in training mode: {trained[0]!r} normalises by the"
            " batch at hand and updates its statistics"
        )
        hint = "Export it after model.eval(), or freeze its mode with --freeze training=false."
        raise LeftInTraining(text, [normalises_by_batch(name) for name in trained], hint=hint)


def call_of(program: Any) -> Call:
    """How a program is called."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    specs = [s for s in program.graph_signature.input_specs if s.kind.name == "USER_INPUT"]
    leaves = []
    for spec in specs:
        is_input = type(spec.arg).__name__ == "TensorArgument"
        value = values[spec.arg.name] if is_input else spec.arg.value
        leaves.append(Leaf(spec.arg.name, value, is_input))
    return Call(tuple(leaves), program.call_spec.in_spec)


def origin_of(program: Any, call: Call, job: Job, heard: list[WarningMessage]) -> Origin:
    """What is to be converted."""
    norms = tuple(aten.norms_of_program(program))
    origin = Origin(
        title=repr(job.source.name),
        module=program.module(),
        call=call,
        norms=norms,
        is_declared=bool(norms) or is_declared(program.state_dict),
        specs={leaf.name: spec_of(leaf.value) for leaf in call.inputs},
        heard=heard,
        program=program,
    )
    aten.normalise_by_batch_norm(program)
    return origin
