"""Folding a model that is a ModelProto, not a file."""

from __future__ import annotations

from onnx import ModelProto

from folding import guards, soundness
from folding._version import __version__
from folding.clock import Clock
from folding.equivalence import gate
from folding.equivalence.inputs import Inputs
from folding.equivalence.verdict import Verdict
from folding.guards import LIMITS, Limits
from folding.modelfile import Model, in_memory
from folding.protos import tensors
from folding.report import FileFacts, Report, require
from folding.trial import confirmed


def fold_model(
    model: ModelProto,
    *,
    verify: bool = True,
    inputs: Inputs | None = None,
    limits: Limits = LIMITS,
) -> tuple[ModelProto, Report]:
    """Fold a model in memory. The one given is not changed.

    Args:
        model: a model without external data.
        verify: whether to prove that both are the same function.
        inputs: what to run both models on, as for ``fold``.
        limits: how deep graphs may be nested, and how far functions expand.

    Raises:
        NotEquivalent: the folded model computes something else.
        Unproven: equivalence could not be established.
        FoldError: the model or the inputs are bad.
    """
    clock = Clock()
    name = model.graph.name or "the model"
    with clock.stage("read"):
        source = in_memory(model)
    guards.check(source.proto, name, limits)
    soundness.check(source, name)
    with clock.stage("plan"):
        done = confirmed(source)
        folded = inlined(done.model)
    verdict = Verdict()
    if verify:
        with clock.stage("verify"):
            verdict = gate.verify_fold(source, folded, done.refused, inputs)
    report = Report(
        __version__,
        FileFacts(None, source.size),
        FileFacts(None, folded.size),
        done.plan,
        verdict,
        (*done.plan.warnings, *verdict.warnings),
        clock.seconds,
    )
    require(report, name)
    return folded.proto, report


def inlined(model: Model) -> Model:
    """A model in memory with all its tensors in it."""
    for tensor in tensors(model.proto):
        content = model.content(tensor)
        if content is not None:
            data = content.read(0, content.size)
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = data
    return Model(model.proto)
