"""A plan carried out on files: write, verify what was written, keep it; until every fold holds.

A fold whose numbers do not fit their type, or that fails where it is run, is kept the next time.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from folding import writing
from folding._version import __version__
from folding.calling import Call
from folding.equivalence.verdict import Verdict, VerdictName
from folding.handing_over import hand_over
from folding.modelfile import open_model
from folding.plan import Plan
from folding.planner import Refused
from folding.preparing import Prepared
from folding.recipes import Unrepresentable
from folding.report import FileFacts, Report
from folding.target import Target
from folding.trial import Trial, attempt, failed_runs, misfits

if TYPE_CHECKING:
    from concurrent.futures import Future

    from folding.equivalence.running import Running


class _Undone(Exception):
    """Folds that failed where they were run, and are kept instead."""

    def __init__(self, refused: Refused) -> None:
        super().__init__()
        self.refused = refused


def carried_out(
    prepared: Prepared, call: Call, sha256: Future[str] | None, run: Running | None
) -> Report:
    """Fold what can be folded; what turns out not to fit, or to fail, is kept the next time."""
    refused = prepared.refused
    while True:
        with call.clock.stage("plan"):
            done = attempt(prepared.model, refused, allow_growth=call.allow_growth)
        try:
            return _write(prepared, done, call, sha256, run)
        except Unrepresentable:
            with call.clock.stage("plan"):
                refused = done.refused | misfits(done.planned)
        except _Undone as undone:
            refused = done.refused | undone.refused


def _write(
    prepared: Prepared, done: Trial, call: Call, sha256: Future[str] | None, run: Running | None
) -> Report:
    """Write, verify what was written, and only then put it in its place."""
    assert call.path is not None
    if not done.plan.changes_anything:
        prepared = prepared.needed()
    model = done.model if done.plan.changes_anything else prepared.model
    stream = writing.copied if model is prepared.source else writing.written
    with ExitStack() as stack:
        with call.clock.stage("write"):
            target = stack.enter_context(stream(model, call.path, call.layout, digest=call.digests))
        verdict = Verdict()
        if run is not None:
            with call.clock.stage("verify"):
                verdict = _verify(prepared, target, done, run)
        prepared.source.check_unchanged()
        if undone := failed_runs(verdict, done.refused):
            raise _Undone(undone)
        is_good = verdict.name in (VerdictName.EQUIVALENT, VerdictName.SKIPPED)
        written = FileFacts(call.target, target.bytes, target.sha256) if is_good else None
        plan = replace(done.plan, warnings=(*done.plan.warnings, *target.warnings))
        report = report_on(call, prepared, sha256, plan, verdict, written)
        hand_over(report, target, call)
    return report


def _verify(prepared: Prepared, target: Target, done: Trial, run: Running) -> Verdict:
    from folding.equivalence.gate import verify_prepared

    with open_model(target.waiting, data_names=target.data_names) as candidate:
        return verify_prepared(prepared, candidate, done.refused, run)


def report_on(
    call: Call,
    prepared: Prepared,
    sha256: Future[str] | None,
    plan: Plan,
    verdict: Verdict,
    target: FileFacts | None = None,
) -> Report:
    """The report on a plan that was carried out, or not; ``target`` is what was written."""
    return Report(
        __version__,
        FileFacts(call.source, prepared.source.size, sha256.result() if sha256 else None),
        target,
        plan,
        verdict,
        (*prepared.warnings, *plan.warnings, *verdict.warnings),
        call.clock.seconds,
        prepared.done,
    )
