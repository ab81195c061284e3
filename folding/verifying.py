"""Is one model the same function as another? Open both, check them, compare, report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from onnx import ModelProto

from folding import guards, soundness
from folding.clock import Clock, Progress
from folding.digests import sha256_beside
from folding.equivalence import gate
from folding.equivalence.feeds import Inputs
from folding.equivalence.foreign import lenient
from folding.equivalence.limits import CPU_PROVIDER, RUN_LIMITS, RunLimits
from folding.equivalence.running import AS_USUAL, Wish, running
from folding.equivalence.verdict import Verdict
from folding.errors import BadCall
from folding.junit import to_junit
from folding.model_limits import LIMITS, Limits
from folding.modelfile import Model, open_model
from folding.notes import check_notes, write_notes
from folding.plan import Warned
from folding.report import FileFacts
from folding.spool import STANDARD, kept, standard_input
from folding.verification import Verification

#: A model as callers have it.
AnyModel = str | os.PathLike[str] | ModelProto
AnyPath = str | os.PathLike[str]


def verify(
    reference: AnyModel,
    candidate: AnyModel,
    *,
    inputs: Inputs | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    tolerance: float | None = None,
    provider: str = CPU_PROVIDER,
    custom_ops: AnyPath | None = None,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    progress: Progress | None = None,
) -> Verdict:
    """Whether ``candidate`` is the same function as ``reference``, whoever made it.

    Args:
        reference: an ONNX file, with or without external data, or a ModelProto without; ``-`` is
            standard input.
        candidate: what should compute the same.
        inputs: what to run both on: arrays by input name, an .npz file, a folder of input_*.pb,
            or a callable that gives such arrays.
        shapes: the shapes of inputs that are made up, by input name.
        tolerance: how far outputs may be apart, relative to their size, instead of what rounding
            explains. The verdict says that it is yours.
        provider: the execution provider of onnxruntime that runs the candidate.
        custom_ops: a library of custom operators that the candidate needs.
        follow_links: whether external data may be a link that leaves the model's folder.
        limits: how deep graphs may be nested, and how far functions expand.
        run_limits: how long the runs may take, and how much memory.
        progress: is told the name of each stage when it begins.

    Returns:
        The verdict and its evidence. Nothing is raised because the models differ.

    Raises:
        FoldError: a model, an input or the call is bad.
    """
    wish = Wish(inputs, shapes, tolerance, provider, custom_ops, run_limits)
    done = verified(
        reference, candidate, wish, follow_links=follow_links, limits=limits, progress=progress
    )
    return done.verdict


def verified(
    reference: AnyModel,
    candidate: AnyModel,
    wish: Wish = AS_USUAL,
    *,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    digests: bool = False,
    report_to: AnyPath | None = None,
    junit_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Like ``verify``, with the facts about both files.

    ``wish`` is how both are run. ``report_to`` and ``junit_to`` are files for the report, as JSON
    and as JUnit XML, which are written whatever the verdict is; ``digests`` asks for the SHA-256 of
    both models.
    """
    clock = Clock(progress)
    with ExitStack() as stack:
        with clock.stage("read"):
            if _is_standard(reference) and _is_standard(candidate):
                text = "standard input cannot be both models"
                raise BadCall(text, hint="Name a file for one.")
            opened = partial(_opened, stack=stack, limits=limits, follow_links=follow_links)
            ours, theirs = opened(reference, "the reference"), opened(candidate, "the candidate")
            notes = [Path(note) for note in (report_to, junit_to) if note is not None]
            check_notes(notes, (ours.model, theirs.model), wish.files)
            run = stack.enter_context(running(wish, ours.model.proto, limits.nesting))
            for side in (ours, theirs) if digests else ():
                side.sha256 = stack.enter_context(sha256_beside(side.model.files[0]))
        with clock.stage("verify"):
            verdict = _with_notice(wish, gate.verify_any(ours.model, theirs.model, run))
        for side in (ours, theirs):
            side.model.check_unchanged()
        done = Verification(ours.facts(), theirs.facts(), verdict, clock.seconds)
        texts = ((report_to, done.to_json), (junit_to, partial(to_junit, done)))
        write_notes([(Path(path), text()) for path, text in texts if path is not None])
    return done


def _with_notice(wish: Wish, verdict: Verdict) -> Verdict:
    """Say it if inputs were given that nothing was run on."""
    if (wish.inputs is None and not wish.shapes) or verdict.inputs or verdict.warnings:
        return verdict
    why = next((check.why for check in verdict.checks[::-1] if check.why), "no check was made")
    notice = Warned("INPUTS_NOT_RUN", "", f"nothing was run on the inputs given: {why}")
    return replace(verdict, warnings=(notice,))


@dataclass(slots=True)
class _Side:
    """One of the two models, open, and what the caller calls it."""

    path: str | None
    model: Model
    sha256: Future[str] | None = None

    def facts(self) -> FileFacts:
        sha256 = self.sha256.result() if self.sha256 else None
        return FileFacts(self.path, self.model.size, sha256)


def _is_standard(given: AnyModel) -> bool:
    return isinstance(given, (str, os.PathLike)) and os.fspath(given) == STANDARD


def _opened(
    given: AnyModel, what: str, stack: ExitStack, limits: Limits, *, follow_links: bool
) -> _Side:
    """A model to compare, after everything is refused that no library should see."""
    if isinstance(given, ModelProto):
        path, name = kept(given, what, stack), what
    elif not isinstance(given, (str, os.PathLike)) or not isinstance(os.fspath(given), str):
        text = f"{what} is a {type(given).__name__}"
        raise BadCall(text, hint="Give the path of a file as text, or a ModelProto.")
    elif _is_standard(given):
        path, name = stack.enter_context(standard_input()), STANDARD
    else:
        path, name = Path(given), os.fspath(given)
    model = stack.enter_context(
        open_model(path, name=name, follow_links=follow_links, nesting=limits.nesting)
    )
    guards.check(model.proto, name, limits)
    soundness.check(lenient(model), name)
    return _Side(None if isinstance(given, ModelProto) else name, model)
