"""Folding a model that is a ModelProto, not a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from onnx import ModelProto

from folding import guards, soundness
from folding._version import __version__
from folding.clock import Clock
from folding.equivalence import gate
from folding.equivalence.feeds import Inputs
from folding.equivalence.running import Wish, running
from folding.equivalence.verdict import Verdict
from folding.model_limits import LIMITS, Limits
from folding.modelfile import Model, in_memory, open_model
from folding.planner import Refused
from folding.preparing import Prepared, prepare_if_asked
from folding.protos import tensors
from folding.report import FileFacts, Report, require
from folding.spool import kept
from folding.trial import confirmed, failed_runs


def fold_model(
    model: ModelProto,
    *,
    verify: bool = True,
    inputs: Inputs | None = None,
    limits: Limits = LIMITS,
    freeze: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
) -> tuple[ModelProto, Report]:
    """Fold a model in memory. The one given is not changed.

    Args:
        model: a model without external data.
        verify: whether to prove that both are the same function.
        inputs: what to run both models on, as for ``fold``.
        limits: how deep graphs may be nested, and how far functions expand.
        freeze: values for inputs, as for ``fold``.
        keep: affines that are to stay, as for ``fold``.
        allow_growth: whether copies may grow it by more than 1 %, as for ``fold``.

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
    prepared = prepare_if_asked(clock, source, freeze, keep)
    refused = prepared.refused
    while True:
        with clock.stage("plan"):
            done = confirmed(prepared.model, refused, allow_growth=allow_growth)
        used = prepared if done.plan.changes_anything else prepared.needed()
        folded = inlined(done.model if done.plan.changes_anything else used.model)
        verdict = Verdict()
        if verify:
            with clock.stage("verify"):
                verdict = _verified(used, folded.proto, done.refused, Wish(inputs), limits)
        undone = failed_runs(verdict, done.refused)
        if not undone:
            break
        refused = done.refused | undone
    report = Report(
        __version__,
        FileFacts(None, source.size),
        FileFacts(None, folded.size),
        done.plan,
        verdict,
        (*used.warnings, *done.plan.warnings, *verdict.warnings),
        clock.seconds,
        used.done,
    )
    require(report, name)
    return folded.proto, report


def _verified(
    prepared: Prepared, folded: ModelProto, refused: Refused, wish: Wish, limits: Limits
) -> Verdict:
    """The verdict on two models in memory; they are run from files."""
    with ExitStack() as stack:
        run = stack.enter_context(running(wish, prepared.model.proto, limits.nesting))
        source = prepared.source.proto
        reference, candidate = (
            stack.enter_context(open_model(kept(proto, what, stack), nesting=limits.nesting))
            for proto, what in ((source, "the model"), (folded, "the folded model"))
        )
        return gate.verify_prepared(prepared.again(reference), candidate, refused, run)


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
