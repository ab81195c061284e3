"""Converting, the whole story: recognise, convert apart, check, fold, write, report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from folding import writing
from folding.calling import Call, check_places
from folding.clock import Clock, Progress
from folding.convert.child import converted, private_folder
from folding.convert.handing import as_it_is, folded
from folding.convert.job import MODEL, Product
from folding.convert.live import Live, converted_here, live
from folding.convert.report import ConversionReport, SourceFacts, require_same
from folding.convert.request import AnyPath, Request, Samples
from folding.convert.routing import ROUTES
from folding.convert.sanity import checked
from folding.convert.sources import Source, opened_source
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.errors import BadCall, StorageFailed, VerificationFailed
from folding.guards import LIMITS, Limits
from folding.layout import Layout
from folding.report import Report
from folding.spool import STANDARD, standard_output


def convert(
    source: Any,
    target: AnyPath | None = None,
    *,
    fold: bool = True,
    verify: bool = True,
    outputs: Sequence[str] = (),
    freeze: Mapping[str, Any] | None = None,
    opset: int | None = None,
    sample_inputs: Samples | None = None,
    trust: bool = False,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
    layout: Layout = Layout.AS_SOURCE,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    tolerance: float | None = None,
    digests: bool = False,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert what a framework saved to ONNX, check it against the framework, and fold it.

    Args:
        source: a file or folder of Keras, TensorFlow or PyTorch, or a live ``keras.Model`` or
            ``torch.nn.Module``. It is never changed. A path is converted in another process.
        target: where the model goes; ``<stem>.folded.onnx`` beside the source by default, without
            a fold ``<stem>.onnx``. ``-`` is standard output.
        fold: whether to fold it.
        verify: whether to compare it with the framework, and to prove the fold. Without, no more
            is checked than that it is a valid model.
        outputs: the outputs that are wanted, by the source's names, none for its own.
        freeze: values for training flags and other inputs, by the source's names.
        opset: the operator set to convert to; the converter's choice by default.
        sample_inputs: what to run both on: arrays by the source's input names, or an .npz of them.
            Their first axis is the batch.
        trust: whether code that the source holds may run.
        keep: affines that are to stay, as for ``fold``.
        allow_growth: whether copies may grow the model, as for ``fold``.
        layout: where the target keeps its big tensors.
        limits: how deep graphs may be nested, and how far functions expand.
        run_limits: how long the conversion may take, and the runs after it, and how much memory.
        tolerance: how far outputs may be from the framework's, relative to their size, instead of
            what rounding explains.
        digests: whether the report has the SHA-256 of the target.
        report_to: a file for the report as JSON, which is written if the model is or not.
        progress: is told the name of each stage when it begins.

    Returns:
        How it was converted, the evidence, and what became of every affine.

    Raises:
        NotEquivalent: the framework computes something else. Nothing was written.
        Unproven: nothing could be compared, or the fold not proved. Nothing was written.
        Unconvertible: no sound file can be made of it. Nothing was written.
        FoldError: the source, the target or the call is bad. Nothing was written.
    """
    request = Request(
        fold=fold,
        verify=verify,
        outputs=outputs,
        freeze={} if freeze is None else freeze,
        opset=opset,
        sample_inputs=sample_inputs,
        trust=trust,
        keep=keep,
        allow_growth=allow_growth,
        layout=layout,
        limits=limits,
        run_limits=run_limits,
        tolerance=tolerance,
        digests=digests,
    )
    note = None if report_to is None else Path(report_to)
    return _Conversion(source, target, request, note, Clock(progress)).done()


class _Conversion:
    """One call of ``convert``."""

    def __init__(
        self, source: Any, target: AnyPath | None, request: Request, note: Path | None, clock: Clock
    ) -> None:
        self._request, self._note, self._clock = request, note, clock
        with clock.stage("read"):
            found = live(source)
            self._source: Source | Live = (
                opened_source(os.fspath(source), trust=request.trust) if found is None else found
            )
        self._target = self._default_target() if target is None else os.fspath(target)
        self._check_places()

    def done(self) -> ConversionReport:
        with private_folder() as folder:
            product = self._product(folder)
            with self._clock.stage("check"):
                report = self._checked(product, folder / "job")
            try:
                require_same(report, self._source.name)
                report = self._written(report, folder / "job" / MODEL)
            except VerificationFailed as failure:
                if isinstance(failure.report, Report):
                    failure.report = replace(report, fold=failure.report)
                self._keep_note(failure.report)
                raise
        report = replace(report, seconds=self._clock.seconds)
        self._keep_note(report)
        return report

    def _product(self, folder: Path) -> Product:
        source, name = self._source, self._source.name
        with self._clock.stage("convert"):
            if isinstance(source, Live):
                return converted_here(source, self._request.job(Path(name), source.kind, folder))
            job = self._request.job(source.path, source.kind, folder)
            product = converted(job, ROUTES[source.kind], name, self._request.run_limits)
            source.check_unchanged()
            return product

    def _checked(self, product: Product, folder: Path) -> ConversionReport:
        request, source = self._request, self._source
        agreement = checked(
            product,
            folder,
            source.name,
            compare=request.verify,
            nesting=request.limits.nesting,
            tolerance=request.tolerance,
            limits=request.run_limits,
        )
        is_live = isinstance(source, Live)
        return ConversionReport(
            SourceFacts(
                None if is_live else source.name,
                f"live {source.name}" if is_live else source.kind.value,
                None if isinstance(source, Live) else source.bytes,
            ),
            None,
            product.framework,
            product.converter,
            product.inputs,
            product.outputs,
            agreement,
            None,
            tuple(product.warnings),
            self._clock.seconds,
        )

    def _written(self, report: ConversionReport, model: Path) -> ConversionReport:
        with ExitStack() as stack:
            if self._request.fold:
                done = folded(model, self._call(None), self._request)
                return replace(report, fold=done, target=done.target)
            path = None
            if self._target == STANDARD:
                path = stack.enter_context(standard_output())
            with self._clock.stage("write"):
                return replace(report, target=as_it_is(model, self._call(path), self._request))

    def _call(self, path: Path | None) -> Call:
        is_piped = self._target == STANDARD
        layout = Layout.SINGLE_FILE if is_piped else self._request.layout
        place = path if is_piped else Path(self._target)
        name = self._source.name
        return Call(name, self._clock, None, self._request.digests, self._target, place, layout)

    def _default_target(self) -> str:
        if isinstance(self._source, Live):
            text = f"a live {self._source.name} has no path to put the target beside"
            raise BadCall(text, hint="Name the target.")
        suffix = ".folded.onnx" if self._request.fold else ".onnx"
        return f"{self._source.default_stem}{suffix}"

    def _check_places(self) -> None:
        """Refuse what would fail after minutes of work, or harm the source."""
        samples = self._request.sample_inputs
        named = samples if isinstance(samples, (str, os.PathLike)) else None
        call = replace(self._call(None), report_to=self._note, inputs=named)
        files = _NoFiles() if isinstance(self._source, Live) else self._source
        check_places(call, files)
        if isinstance(self._source, Source):
            for place in call.places:
                self._source.check_outside(place)

    def _keep_note(self, report: ConversionReport) -> None:
        if self._note is None:
            return
        try:
            with writing.noted(report.to_json(), self._note) as waiting:
                waiting.replace()
        except StorageFailed as error:
            if report.target is None:
                raise
            text = f"{self._target!r} is written, but its report is not: {error}"
            raise StorageFailed(text, hint=error.hint) from error


class _NoFiles:
    """What a live model is on the disk."""

    files = ()
