"""Folding a model, the whole story: open, check, plan, apply, write, verify, report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from onnx import ModelProto

from folding import soundness, writing
from folding._version import __version__
from folding.errors import NotEquivalent, Unproven
from folding.modelfile import Model, in_memory, open_model
from folding.plan import Plan
from folding.planner import Refused
from folding.protos import tensors
from folding.recipes import Unrepresentable
from folding.report import FileFacts, Report
from folding.trial import Trial, attempt, confirmed, refuse
from folding.verify.inputs import Inputs
from folding.verify.inputs import load as load_inputs
from folding.verify.verdict import Verdict, VerdictName

AnyPath = str | os.PathLike[str]
Progress = Callable[[str], None]


@dataclass(slots=True)
class _Clock:
    """Seconds by stage; tells the caller when one begins."""

    progress: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class _Call:
    """What the caller asked for."""

    source: Path
    target: Path | None
    verify: bool
    inputs: Inputs | None
    digests: bool
    report_to: Path | None
    clock: _Clock


def fold(
    source: AnyPath,
    target: AnyPath | None = None,
    *,
    verify: bool = True,
    inputs: Inputs | None = None,
    digests: bool = False,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Fold the model at ``source``, prove the result, and write it to ``target``.

    Args:
        source: an ONNX file, with or without external data. It is never changed.
        target: where the folded model goes; ``<stem>.folded.onnx`` beside the source by default.
        verify: whether to prove that both are the same function. Without, nothing is checked.
        inputs: what to run both models on: arrays by input name, or an .npz file.
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
    given, clock = Path(source), _Clock(progress)
    with clock.stage("read"):
        model = open_model(given)
    path = Path(target) if target is not None else given.with_name(f"{given.stem}.folded.onnx")
    note = None if report_to is None else Path(report_to)
    call = _Call(given, path, verify, inputs, digests, note, clock)
    with model:
        with clock.stage("read"):
            _check(model, call)
        refused: Refused = {}
        while True:
            with clock.stage("plan"):
                done = attempt(model, refused)
            try:
                return _write(model, done, call)
            except Unrepresentable as misfit:
                refused = refuse(done.planned, done.refused, misfit)


def explain(source: AnyPath, *, progress: Progress | None = None) -> Plan:
    """The plan for the model at ``source``, without carrying it out.

    Every folded number is computed, so that what does not fit its type is known here too.

    Raises:
        FoldError: the source is bad.
    """
    return explained(source, progress=progress).plan


def explained(
    source: AnyPath,
    *,
    digests: bool = False,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Like ``explain``, as a report without a target."""
    given, clock = Path(source), _Clock(progress)
    with clock.stage("read"):
        model = open_model(given)
    note = None if report_to is None else Path(report_to)
    call = _Call(given, None, False, None, digests, note, clock)
    with model:
        with clock.stage("read"):
            _check(model, call)
        with clock.stage("plan"):
            plan = confirmed(model).plan
        report = _report(model, None, call, plan, Verdict())
    if note is not None:
        with writing.noted(report.to_json(), note) as waiting:
            waiting.keep()
    return report


def _check(model: Model, call: _Call) -> None:
    """Refuse what would fail later, or harm one of the files of this call."""
    soundness.check(model, str(call.source))
    for path in (call.target, call.report_to):
        if path is not None:
            writing.check_target(path, model)
    if call.report_to is not None and call.target is not None:
        writing.check_apart(call.report_to, call.target)
    if call.inputs is not None:
        load_inputs(call.inputs, model.proto)


def fold_model(
    model: ModelProto, *, verify: bool = True, inputs: Inputs | None = None
) -> tuple[ModelProto, Report]:
    """Fold a model in memory. The one given is not changed.

    Args:
        model: a model without external data.
        verify: whether to prove that both are the same function.
        inputs: what to run both models on, as for ``fold``.

    Raises:
        NotEquivalent: the folded model computes something else.
        Unproven: equivalence could not be established.
        FoldError: the model or the inputs are bad.
    """
    clock = _Clock(None)
    name = model.graph.name or "the model"
    with clock.stage("read"):
        source = in_memory(model)
    soundness.check(source, name)
    with clock.stage("plan"):
        done = confirmed(source)
        folded = _inlined(done.model)
    verdict = Verdict()
    if verify:
        with clock.stage("verify"):
            verdict = _verify(source, folded, done.refused, inputs)
    report = Report(
        __version__,
        FileFacts(None, source.size),
        FileFacts(None, folded.size),
        done.plan,
        verdict,
        (*done.plan.warnings, *verdict.warnings),
        clock.seconds,
    )
    _require(report, name)
    return folded.proto, report


def _write(model: Model, done: Trial, call: _Call) -> Report:
    """Write, verify what was written, and only then put it in its place."""
    assert call.target is not None
    stream = writing.written if done.plan.changes_anything else writing.copied
    with ExitStack() as stack:
        with call.clock.stage("write"):
            target = stack.enter_context(stream(done.model, call.target))
        verdict = Verdict()
        candidate = stack.enter_context(open_model(target.waiting, target.data_names))
        if call.verify:
            with call.clock.stage("verify"):
                verdict = _verify(model, candidate, done.refused, call.inputs)
        model.check_unchanged()
        is_good = verdict.name in (VerdictName.EQUIVALENT, VerdictName.SKIPPED)
        report = _report(model, candidate if is_good else None, call, done.plan, verdict)
        note = None
        if call.report_to is not None:
            note = stack.enter_context(writing.noted(report.to_json(), call.report_to))
        if is_good:
            target.keep()
        if note is not None:
            note.keep()
    _require(report, str(call.source))
    return report


def _verify(model: Model, candidate: Model, refused: Refused, inputs: Inputs | None) -> Verdict:
    # Imported where it is needed: explaining must not load a runtime.
    from folding.verify.gate import verify_fold

    return verify_fold(model, candidate, refused, inputs)


def _report(
    model: Model, candidate: Model | None, call: _Call, plan: Plan, verdict: Verdict
) -> Report:
    facts = [
        FileFacts(str(path), file.size, file.digest() if call.digests else None)
        for path, file in ((call.source, model), (call.target, candidate))
        if file is not None
    ]
    return Report(
        __version__,
        facts[0],
        facts[1] if candidate is not None else None,
        plan,
        verdict,
        (*plan.warnings, *verdict.warnings),
        call.clock.seconds,
    )


def _inlined(model: Model) -> Model:
    """A model in memory with all its tensors in it."""
    for tensor in tensors(model.proto):
        content = model.content(tensor)
        if content is not None:
            data = content.read(0, content.size)
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = data
    return Model(model.proto)


def _require(report: Report, name: str) -> None:
    """Raise unless the verdict allows to hand the folded model over."""
    verdict = report.verification
    failure = verdict.failure
    why = f": {failure.why}" if failure else ""
    if verdict.name is VerdictName.DIFFERENT:
        raise NotEquivalent(f"folding {name!r} would change what it computes{why}", report)
    if verdict.name is VerdictName.UNPROVEN:
        raise Unproven(f"the fold of {name!r} could not be proved{why}", report)
