"""Folding a file, the whole story: open, check, plan, apply, write, verify, report.

What only some calls need is imported where they need it: explaining must not load a runtime, and
folding without proof not what makes inputs and digests.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from folding import writing
from folding._version import __version__
from folding.clock import Clock, Progress
from folding.errors import BadCall, ModelTooLarge, StorageFailed
from folding.guards import LIMITS, Limits
from folding.interrupts import held_back
from folding.modelfile import Model, open_model
from folding.opening import Call, opened
from folding.plan import Plan
from folding.planner import Refused
from folding.recipes import Unrepresentable
from folding.report import FileFacts, Report, require
from folding.spool import STANDARD, standard_output
from folding.target import Target
from folding.trial import Trial, attempt, confirmed, misfits
from folding.verify.verdict import Verdict, VerdictName
from folding.writing import Layout

if TYPE_CHECKING:
    from concurrent.futures import Future

    from folding.verify.inputs import Inputs

AnyPath = str | os.PathLike[str]


def fold(
    source: AnyPath,
    target: AnyPath | None = None,
    *,
    verify: bool = True,
    inputs: Inputs | None = None,
    layout: Layout = Layout.AS_SOURCE,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    digests: bool = False,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Fold the model at ``source``, prove the result, and write it to ``target``.

    Args:
        source: an ONNX file, with or without external data; ``-`` is standard input. It is
            never changed.
        target: where the folded model goes; ``<stem>.folded.onnx`` beside the source by default.
            ``-`` is standard output, the default for standard input.
        verify: whether to prove that both are the same function. Without, nothing is checked.
        inputs: what to run both models on: arrays by input name, or an .npz file.
        layout: where the target keeps its big tensors.
        follow_links: whether external data may be a link that leaves the model's folder.
        limits: how deep graphs may be nested, and how far functions expand.
        digests: whether the report has the SHA-256 of both files.
        report_to: a file for the report as JSON, which is written if the model is or not.
        progress: is told the name of each stage when it begins.

    Returns:
        What became of every affine, and the evidence.

    Raises:
        NotEquivalent: the folded model computes something else. Nothing was written.
        Unproven: equivalence could not be established. Nothing was written.
        FoldError: the source, the target or the call is bad. Nothing was written.
    """
    to = _default_target(os.fspath(source)) if target is None else os.fspath(target)
    if to == STANDARD and layout is Layout.EXTERNAL_DATA:
        raise BadCall("standard output takes one file", hint="Name a file with -o.")
    with ExitStack() as stack:
        call = Call(
            os.fspath(source),
            Clock(progress),
            None if report_to is None else Path(report_to),
            digests,
            to,
            stack.enter_context(standard_output()) if to == STANDARD else Path(to),
            Layout.SINGLE_FILE if to == STANDARD else layout,
            verify,
            inputs,
        )
        model = stack.enter_context(opened(call, limits, follow_links=follow_links))
        sha256 = _digest(model, stack, wanted=digests)
        report = _folded(model, call, sha256)
        require(report, call.source)
    return report


def explain(
    source: AnyPath,
    *,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    progress: Progress | None = None,
) -> Plan:
    """The plan for the model at ``source``, without carrying it out.

    Every folded number is computed, so that what does not fit its type is known here too.

    Raises:
        FoldError: the source is bad.
    """
    return explained(source, follow_links=follow_links, limits=limits, progress=progress).plan


def explained(
    source: AnyPath,
    *,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    digests: bool = False,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Like ``explain``, as a report without a target."""
    note = None if report_to is None else Path(report_to)
    call = Call(os.fspath(source), Clock(progress), note, digests)
    with ExitStack() as stack:
        model = stack.enter_context(opened(call, limits, follow_links=follow_links))
        sha256 = _digest(model, stack, wanted=digests)
        with call.clock.stage("plan"):
            plan = confirmed(model).plan
        model.check_unchanged()
        report = _report(call, model, sha256, plan, Verdict())
    if note is not None:
        with writing.noted(report.to_json(), note) as waiting:
            waiting.replace()
    return report


def _default_target(source: str) -> str:
    if source == STANDARD:
        return STANDARD
    path = Path(source)
    if not path.name:
        raise BadCall(f"{source!r} names no file", hint="Name the .onnx file.")
    return str(path.with_name(f"{path.stem}.folded.onnx"))


def _digest(model: Model, stack: ExitStack, *, wanted: bool) -> Future[str] | None:
    """The source's digest, if wanted, computed while everything else goes on."""
    if not wanted:
        return None
    from folding.digests import sha256_beside

    return stack.enter_context(sha256_beside(model.files[0]))


def _folded(model: Model, call: Call, sha256: Future[str] | None) -> Report:
    refused: Refused = {}
    while True:
        with call.clock.stage("plan"):
            done = attempt(model, refused)
        try:
            return _write(model, done, call, sha256)
        except Unrepresentable:
            with call.clock.stage("plan"):
                refused = done.refused | misfits(done.planned)


def _write(model: Model, done: Trial, call: Call, sha256: Future[str] | None) -> Report:
    """Write, verify what was written, and only then put it in its place."""
    assert call.path is not None
    stream = writing.written if done.plan.changes_anything else writing.copied
    with ExitStack() as stack:
        with call.clock.stage("write"):
            target = stack.enter_context(
                stream(done.model, call.path, call.layout, digest=call.digests)
            )
        verdict = Verdict()
        if call.verify:
            with call.clock.stage("verify"):
                verdict = _verify(model, target, done, call.inputs)
        model.check_unchanged()
        is_good = verdict.name in (VerdictName.EQUIVALENT, VerdictName.SKIPPED)
        written = FileFacts(call.target, target.bytes, target.sha256) if is_good else None
        plan = replace(done.plan, warnings=(*done.plan.warnings, *target.warnings))
        report = _report(call, model, sha256, plan, verdict, written)
        note = None
        if call.report_to is not None:
            note = stack.enter_context(writing.noted(report.to_json(), call.report_to))
        if is_good:
            if call.target == STANDARD and target.data is not None:
                raise ModelTooLarge(
                    "standard output takes one file, and this model needs two",
                    hint="Name a file with -o.",
                )
            target.keep()
        if note is not None:
            _keep_note(note, call.target if is_good else "")
    return report


def _keep_note(note: Target, written: str) -> None:
    """Put the report in its place; ``written`` is what stands already."""
    try:
        note.replace()
    except StorageFailed as error:
        if not written:
            raise
        text = f"{written!r} is written, but its report is not: {error}"
        raise StorageFailed(text, hint=error.hint) from error


def _verify(model: Model, target: Target, done: Trial, inputs: Inputs | None) -> Verdict:
    with held_back():  # C++ ends the process if it is interrupted as it loads.
        from folding.verify.gate import verify_fold

    with open_model(target.waiting, data_names=target.data_names) as candidate:
        return verify_fold(model, candidate, done.refused, inputs)


def _report(
    call: Call,
    model: Model,
    sha256: Future[str] | None,
    plan: Plan,
    verdict: Verdict,
    target: FileFacts | None = None,
) -> Report:
    return Report(
        __version__,
        FileFacts(call.source, model.size, sha256.result() if sha256 else None),
        target,
        plan,
        verdict,
        (*plan.warnings, *verdict.warnings),
        call.clock.seconds,
    )
