"""The course of a conversion: recognise, convert apart, check, fold, write, report."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from folding import beside
from folding.calling import Call, check_places
from folding.clock import Clock
from folding.conversion.child import converted, private_folder
from folding.conversion.handing import as_it_is, folded, named
from folding.conversion.job import MODEL, Product
from folding.conversion.linting import of_product, without_lints
from folding.conversion.live import Live, converted_here, live
from folding.conversion.report import ConversionReport, SourceFacts, require_same
from folding.conversion.request import AnyPath, Request
from folding.conversion.routing import ROUTES
from folding.conversion.sanity import checked
from folding.conversion.sources import Source, opened_source
from folding.errors import BadCall, StorageFailed, VerificationFailed
from folding.layout import Layout
from folding.lint.finding import warnings_of
from folding.plan import Warned
from folding.report import Report
from folding.spool import STANDARD, standard_output


class Course:
    """One call of ``folding.convert``, whose arguments these are.

    Raises:
        BadCall: the source or the target is none.
        BadModel: the source is a part of something, or damaged.
        StorageFailed: it cannot be read, or the target cannot be written.
    """

    def __init__(
        self, source: Any, target: AnyPath | None, request: Request, note: Path | None, clock: Clock
    ) -> None:
        self._request, self._note, self._clock = request, note, clock
        self._source: Source | Live
        with clock.stage("read"):
            found = live(source)
            self._source = found or opened_source(os.fspath(source), trust=request.trust)
        self._target = self._default_target() if target is None else os.fspath(target)
        self._check_places()

    def done(self) -> ConversionReport:
        """Convert, and write the report whatever the verdict is.

        Raises:
            FoldError: as ``folding.convert`` says; nothing was written but the report.
        """
        with private_folder() as folder:
            product = self._converted(folder)
            model = folder / "job" / MODEL
            with self._clock.stage("check"):
                report = self._checked(product, model)
            try:
                require_same(report, self._source.name)
                report = self._written(report, model)
            except VerificationFailed as failure:
                if isinstance(failure.report, Report):
                    failure.report = replace(report, fold=failure.report)
                self._keep_note(failure.report)
                raise
        self._keep_note(report)
        return report

    def _default_target(self) -> str:
        if isinstance(self._source, Live):
            text = f"a live {self._source.name} has no path to put the target beside"
            raise BadCall(text, hint="Name the target.")
        return f"{self._source.default_stem}{'.folded' if self._request.fold else ''}.onnx"

    def _check_places(self) -> None:
        """Refuse what would fail after minutes of work, or harm the source."""
        samples = self._request.sample_inputs
        named = samples if isinstance(samples, (str, os.PathLike)) else None
        call = replace(self._call(), report_to=self._note, inputs=named)
        check_places(call, self._source)
        if isinstance(self._source, Source):
            for place in call.places:
                self._source.check_outside(place)

    def _call(self, spool: Path | None = None) -> Call:
        """What is asked of a fold; ``spool`` is where a model waits for standard output."""
        is_piped = self._target == STANDARD
        return Call(
            self._source.name,
            self._clock,
            None,
            self._request.digests,
            self._target,
            spool if is_piped else Path(self._target),
            Layout.SINGLE_FILE if is_piped else self._request.layout,
        )

    def _converted(self, folder: Path) -> Product:
        source, request = self._source, self._request
        with self._clock.stage("convert"):
            if isinstance(source, Live):
                return converted_here(source, request.job(Path(source.name), source.kind, folder))
            job = request.job(source.path, source.kind, folder)
            product = converted(job, ROUTES[source.kind], source.name, request.run_limits)
            source.check_unchanged()
            return product

    def _checked(self, product: Product, model: Path) -> ConversionReport:
        request, source = self._request, self._source
        agreement = checked(
            product,
            model.parent,
            source.name,
            compare=request.verify,
            nesting=request.limits.nesting,
            tolerance=request.tolerance,
            limits=request.run_limits,
        )
        return ConversionReport(
            _facts(source),
            None,
            product.framework,
            product.converter,
            product.inputs,
            product.outputs,
            agreement,
            None,
            (*product.warnings, *self._lints(product, model)),
            self._clock.seconds,
        )

    def _lints(self, product: Product, model: Path) -> list[Warned]:
        with self._clock.stage("lint"), named(model, self._source.name):
            found = of_product(product, model, self._request, run=self._request.verify)
            return warnings_of(found.findings)

    def _written(self, report: ConversionReport, model: Path) -> ConversionReport:
        if self._request.fold:
            with self._clock.stage("fold"):
                done = without_lints(folded(model, self._call(), self._request))
            return replace(report, fold=done, target=done.target)
        is_piped = self._target == STANDARD
        with (
            standard_output() if is_piped else nullcontext() as spool,
            self._clock.stage("write"),
        ):
            return replace(report, target=as_it_is(model, self._call(spool), self._request))

    def _keep_note(self, report: Report | ConversionReport) -> None:
        if self._note is None:
            return
        try:
            with beside.noted(report.to_json(), self._note) as waiting:
                waiting.replace()
        except StorageFailed as error:
            if report.target is None:
                raise
            text = f"{self._target!r} is written, but its report is not: {error}"
            raise StorageFailed(text, hint=error.hint) from error


def _facts(source: Source | Live) -> SourceFacts:
    if isinstance(source, Live):
        return SourceFacts(None, f"live {source.name}")
    return SourceFacts(source.name, source.kind.value, source.bytes)
