"""What a person sees: tables on a terminal, plain text elsewhere, progress on standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from folding.equivalence.verdict import Check, Status, Verdict, VerdictName
from folding.exits import printable
from folding.plan import Decision, Plan, Tally
from folding.report import Report

if TYPE_CHECKING:
    from folding.commands.check import Findings
    from folding.lint.linting import Linted
    from folding.verification import Verification

_SHOW_AFTER_SECONDS = 1.0
_KILO = 1000


class Progress:
    """Says on standard error what is going on, once it takes longer than a second."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._timer: threading.Timer | None = None

    def __call__(self, stage: str) -> None:
        self._stop()
        if self._enabled:
            self._timer = threading.Timer(_SHOW_AFTER_SECONDS, self._say, (stage,))
            self._timer.daemon = True
            with suppress(RuntimeError):  # There may be no room for a thread.
                self._timer.start()

    @staticmethod
    def _say(stage: str) -> None:
        print(f"fold-model: {stage} ...", file=sys.stderr, flush=True)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()


def show_report(report: Report, *, on_error: bool = False) -> None:
    """Print what a fold did; on standard error where the model goes to standard output."""
    stream = sys.stderr if on_error else sys.stdout
    show_plan(report, stream)
    print(_verdict(report.verification), file=stream)
    target = report.target
    if target is not None:
        size = f"{size_of(report.source.bytes)} -> {size_of(target.bytes)}"
        print(f"written: {printable(target.path or '')} ({size})", file=stream)


def show_plan(report: Report, stream: TextIO | None = None) -> None:
    """Print what a fold would do."""
    stream = stream or sys.stdout
    for line in report.preparation.lines():
        print(printable(line), file=stream)
    if not report.plan.decisions:
        print("nothing to fold: there is no normalisation in this model", file=stream)
    elif stream.isatty():
        _table(report.plan, stream)
    lines = () if stream.isatty() else map(_line, report.plan.decisions)
    for line in (*lines, *_counts(report.plan), *_operators(report.plan)):
        print(line, file=stream)
    for warning in report.warnings:
        print(f"warning: {printable(warning.text)}", file=stream)


def _table(plan: Plan, stream: TextIO) -> None:
    # Imported for terminals only: it costs a pipeline a tenth of the time of a small model.
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("normalisation", "kind", "what became of it", box=None, pad_edge=False)
    for decision in plan.decisions:
        colour = "green" if decision.is_folded else "yellow"
        text = f"[{colour}]{escape(printable(str(decision.outcome)))}[/]"
        table.add_row(escape(printable(decision.name)), str(decision.kind), text)
    Console(file=stream, highlight=False).print(table)


def _counts(plan: Plan) -> Iterator[str]:
    counts = plan.counts
    if counts["affines"]:
        others = (("partial", "folded in part"), ("kept", "kept"))
        rest = "".join(f", {counts[key]} {what}" for key, what in others if counts[key])
        yield f"{counts['folded']} of {counts['affines']} folded{rest}"


def _line(decision: Decision) -> str:
    return f"{printable(decision.name)}: {decision.kind}: {printable(str(decision.outcome))}"


def _operators(plan: Plan) -> Iterator[str]:
    """A table of what the fold changes, by operator."""
    if not plan.changes_anything:
        return
    rows = [("operator", "nodes", "after", "constants", "after")]
    for name, (before, after) in plan.operators.items():
        if before != after:
            rows.append(_row(printable(name), before, after))
    befores, afters = zip(*plan.operators.values(), strict=True)
    rows.append(_row("all", _sum(befores), _sum(afters)))
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells])


def _row(name: str, before: Tally, after: Tally) -> tuple[str, str, str, str, str]:
    sizes = size_of(before.bytes), size_of(after.bytes)
    return name, str(before.nodes), str(after.nodes), *sizes


def _sum(tallies: tuple[Tally, ...]) -> Tally:
    return Tally(sum(t.nodes for t in tallies), sum(t.bytes for t in tallies))


def _verdict(verdict: Verdict) -> str:
    if verdict.name is VerdictName.SKIPPED:
        return "not verified, as you asked"
    return f"{verdict.name}: {'; '.join(_evidence(check) for check in verdict.checks)}"


def _evidence(check: Check) -> str:
    if check.status is Status.NOT_RUN:
        return f"{check.name} not run ({printable(check.why)})"
    worst = "" if check.worst is None else f" (worst {check.worst:.3g} of {check.bound:.3g})"
    return f"{check.name} {check.status}{worst}"


def show_verification(done: Verification) -> None:
    """Print each check with its evidence, then the verdict and on what it rests."""
    for check in done.verdict.checks:
        print(described(check))
    print(f"{done.verdict.name}: {printable(done.verdict.rests_on)}")
    for warning in done.verdict.warnings:
        print(f"warning: {printable(warning.text)}")


def described(check: Check) -> str:
    """One check in a line: what became of it, where, by how much, and why."""
    at = f" at '{printable(check.at)}'" if check.at else ""
    bound = "" if check.bound is None else f" of {check.bound:.3g}"
    worst = "" if check.worst is None else f" (worst {check.worst:.3g}{bound})"
    why = f": {printable(check.why)}" if check.why else ""
    return f"{check.name}: {_words(check.status)}{at}{worst}{why}"


def _words(status: Status) -> str:
    return str(status).replace("_", " ")


def show_findings(found: Findings) -> None:
    """Print what can be folded in which file."""
    for file in found.files:
        for decision in file.foldable:
            text = f"{file.path}: {decision.name}: {decision.kind}: can be {decision.outcome}"
            print(printable(text))
    foldable = sum(bool(file.foldable) for file in found.files)
    unread = sum(bool(file.error) for file in found.files)
    more = f", {unread} cannot be read" if unread else ""
    print(f"{foldable} of {len(found.files)} can be folded{more}")


def show_lints(found: Linted) -> None:
    """Print what looks wrong in a model, and what to do about it."""
    for finding in found.findings:
        print(f"{finding.code.name}: {printable(finding.warned.text)}")
    count = len(found.findings)
    print(f"{count or 'no'} finding{'' if count == 1 else 's'}")
    if found.unrun:
        print(f"not run: {printable(found.unrun)}")


def size_of(count: int) -> str:
    """So many bytes, for people."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < _KILO:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KILO
    return f"{size:.2f} GB"
