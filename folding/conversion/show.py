"""What a person sees of a conversion: where it came from, the evidence, and then its fold."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from folding.conversion.report import ConversionReport
from folding.exits import printable
from folding.show import show_report, size_of


def show_conversion(report: ConversionReport, *, on_error: bool = False) -> None:
    """Print what a conversion did; on standard error where the model goes to standard output."""
    stream = sys.stderr if on_error else sys.stdout
    for line in _lines(report):
        print(printable(line), file=stream)
    if report.fold is not None:
        show_report(report.fold, on_error=on_error)
    elif report.target is not None:
        written = f"{report.target.path} ({size_of(report.target.bytes)})"
        print(f"written: {printable(written)}", file=stream)


def _lines(report: ConversionReport) -> Iterator[str]:
    name = f"{report.source.path}: " if report.source.path is not None else ""
    how = f"{report.framework}, converted by {report.converter}"
    yield f"{name}{report.source.kind} of {how}"
    for what, ports in (("input", report.inputs), ("output", report.outputs)):
        for port in ports:
            if port.source != port.graph:
                yield f"{what} {port.source!r} is called {port.graph!r}"
    yield report.agreement.sentence(report.framework)
    for warning in report.warnings:
        yield f"warning: {warning.text}"
