"""Folding a file, the whole story: open, check, plan, apply, write, verify, report.

What only some calls need is imported where they need it: explaining must not load a runtime, and
folding without proof not what makes inputs and digests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folding import beside
from folding.calling import Call, target_of
from folding.carrying import carried_out, report_on
from folding.clock import Clock, Progress
from folding.equivalence.limits import CPU_PROVIDER, RUN_LIMITS, RunLimits
from folding.equivalence.verdict import Verdict
from folding.layout import Layout
from folding.model_limits import LIMITS, Limits
from folding.modelfile import Model
from folding.notes import check_unread
from folding.opening import opened
from folding.plan import Plan
from folding.preparing import prepare_if_asked
from folding.report import Report, require
from folding.spool import STANDARD, standard_output
from folding.trial import confirmed

if TYPE_CHECKING:
    from concurrent.futures import Future

    from folding.equivalence.feeds import Inputs

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
    shapes: Mapping[str, Sequence[int]] | None = None,
    tolerance: float | None = None,
    provider: str = CPU_PROVIDER,
    custom_ops: AnyPath | None = None,
    run_limits: RunLimits = RUN_LIMITS,
    freeze: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
) -> Report:
    """Fold the model at ``source``, prove the result, and write it to ``target``.

    Args:
        source: an ONNX file, with or without external data; ``-`` is standard input. It is
            never changed.
        target: where the folded model goes; ``<stem>.folded.onnx`` beside the source by default.
            ``-`` is standard output, the default for standard input.
        verify: whether to prove that both are the same function. Without, nothing is checked.
        inputs: what to run both models on: arrays by input name, an .npz file, a folder of
            input_*.pb, or a callable that gives such arrays.
        layout: where the target keeps its big tensors.
        follow_links: whether external data may be a link that leaves the model's folder.
        limits: how deep graphs may be nested, and how far functions expand.
        digests: whether the report has the SHA-256 of both files.
        report_to: a file for the report as JSON, which is written if the model is or not.
        progress: is told the name of each stage when it begins.
        shapes: the shapes of inputs that are made up, by input name.
        tolerance: how far outputs may be apart, relative to their size, instead of what rounding
            explains. The report says that it is yours.
        provider: the execution provider of onnxruntime that runs the folded model.
        custom_ops: a library of custom operators that the model needs.
        run_limits: how long runs may take, and how much memory.
        freeze: values for inputs, by name, such as ``{"training": False}`` or ``"false"``: they
            are inputs no more, and an If that depends on them gives way to the branch taken.
        keep: affines that are to stay, by the names of their outputs or nodes.
        allow_growth: whether copies of shared tensors may grow the model by more than 1 %.

    Returns:
        What became of every affine, and the evidence.

    Raises:
        NotEquivalent: the folded model computes something else. Nothing was written.
        Unproven: equivalence could not be established. Nothing was written.
        FoldError: the source, the target or the call is bad. Nothing was written.
    """
    to = target_of(source, target, layout)
    with ExitStack() as stack:
        call = Call(
            os.fspath(source),
            Clock(progress),
            None if report_to is None else Path(report_to),
            digests,
            to,
            stack.enter_context(standard_output()) if to == STANDARD else Path(to),
            Layout.SINGLE_FILE if to == STANDARD else layout,
            inputs,
            allow_growth,
        )
        model = stack.enter_context(opened(call, limits, follow_links=follow_links))
        prepared = prepare_if_asked(call.clock, model, freeze, keep)
        run = None
        if verify:
            from folding.equivalence.running import Wish, running

            wish = Wish(inputs, shapes, tolerance, provider, custom_ops, run_limits)
            for place in call.places:
                check_unread(place, wish.files)
            run = stack.enter_context(running(wish, prepared.model.proto, limits.nesting))
        sha256 = _digest(model, stack, wanted=digests)
        report = carried_out(prepared, call, sha256, run)
        require(report, call.source)
    return report


def explain(
    source: AnyPath,
    *,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    progress: Progress | None = None,
    freeze: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
) -> Plan:
    """The plan for the model at ``source``, without carrying it out.

    Every folded number is computed, so that what does not fit its type is known here too.

    Raises:
        FoldError: the source or the call is bad.
    """
    report = explained(
        source,
        follow_links=follow_links,
        limits=limits,
        progress=progress,
        freeze=freeze,
        keep=keep,
        allow_growth=allow_growth,
    )
    return report.plan


def explained(
    source: AnyPath,
    *,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    digests: bool = False,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
    freeze: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
) -> Report:
    """Like ``explain``, as a report without a target."""
    note = None if report_to is None else Path(report_to)
    call = Call(os.fspath(source), Clock(progress), note, digests)
    with ExitStack() as stack:
        model = stack.enter_context(opened(call, limits, follow_links=follow_links))
        sha256 = _digest(model, stack, wanted=digests)
        prepared = prepare_if_asked(call.clock, model, freeze, keep)
        with call.clock.stage("plan"):
            done = confirmed(prepared.model, prepared.refused, allow_growth=allow_growth)
        model.check_unchanged()
        report = report_on(call, prepared, sha256, done.plan, Verdict())
    if note is not None:
        with beside.noted(report.to_json(), note) as waiting:
            waiting.replace()
    return report


def _digest(model: Model, stack: ExitStack, *, wanted: bool) -> Future[str] | None:
    """The source's digest, if wanted, computed while everything else goes on."""
    if not wanted:
        return None
    from folding.digests import sha256_beside

    return stack.enter_context(sha256_beside(model.files[0]))
