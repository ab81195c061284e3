"""What a person sees: tables on a terminal, plain text elsewhere, progress on standard error."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from folding.plan import Decision, Plan
from folding.report import Report
from folding.verify.verdict import Check, Status, Verdict, VerdictName

_SHOW_AFTER_SECONDS = 1.0
_PLAIN_WIDTH = 160
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
    console = _console(sys.stderr if on_error else sys.stdout)
    _decisions(console, report.plan)
    _operators(console, report.plan)
    _warnings(console, report)
    _verdict(console, report.verification)
    target = report.target
    if target is not None:
        size = f"{_bytes(report.source.bytes)} -> {_bytes(target.bytes)}"
        console.print(escape(f"written: {_clean(target.path or '')} ({size})"), soft_wrap=True)


def show_plan(report: Report) -> None:
    """Print what a fold would do."""
    console = _console(sys.stdout)
    _decisions(console, report.plan)
    _operators(console, report.plan)
    _warnings(console, report)


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(file=stream, highlight=False, width=width)


def _decisions(console: Console, plan: Plan) -> None:
    if not plan.decisions:
        console.print("nothing to fold: there is no normalisation in this model")
        return
    if console.is_terminal:
        table = Table("normalisation", "kind", "what became of it", box=None, pad_edge=False)
        for decision in plan.decisions:
            colour = "green" if decision.is_folded else "yellow"
            text = f"[{colour}]{escape(_clean(str(decision.outcome)))}[/]"
            table.add_row(escape(_clean(decision.name)), str(decision.kind), text)
        console.print(table)
    else:
        for decision in plan.decisions:
            console.print(escape(_line(decision)), soft_wrap=True)
    counts = plan.counts
    kept = f", {counts['kept']} kept" if counts["kept"] else ""
    console.print(f"{counts['folded']} of {counts['affines']} folded{kept}")


def _line(decision: Decision) -> str:
    return f"{_clean(decision.name)}: {decision.kind}: {_clean(str(decision.outcome))}"


def _clean(text: str) -> str:
    """Names come from the model: nothing in them may move the cursor or start a line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _operators(console: Console, plan: Plan) -> None:
    if not plan.changes_anything:
        return
    table = Table("operator", box=None, pad_edge=False)
    for heading in ("nodes", "after", "constants", "after"):
        table.add_column(heading, justify="right")
    rows = [(name, *pair) for name, pair in plan.operators.items() if pair[0] != pair[1]]
    for name, before, after in rows:
        table.add_row(
            escape(_clean(name)),
            str(before.nodes),
            str(after.nodes),
            _bytes(before.bytes),
            _bytes(after.bytes),
        )
    counts = plan.counts
    table.add_row(
        "all",
        str(counts["nodes_before"]),
        str(counts["nodes_after"]),
        _bytes(sum(before.bytes for before, _ in plan.operators.values())),
        _bytes(sum(after.bytes for _, after in plan.operators.values())),
    )
    console.print(table)


def _warnings(console: Console, report: Report) -> None:
    for warning in report.warnings:
        console.print(escape(f"warning: {_clean(warning.text)}"), soft_wrap=True)


def _verdict(console: Console, verdict: Verdict) -> None:
    if verdict.name is VerdictName.SKIPPED:
        console.print("not verified, as you asked")
        return
    evidence = "; ".join(_evidence(check) for check in verdict.checks)
    console.print(escape(f"{verdict.name}: {evidence}"), soft_wrap=True)


def _evidence(check: Check) -> str:
    if check.status is Status.NOT_RUN:
        return f"{check.name} not run ({_clean(check.why)})"
    worst = "" if check.worst is None else f" (worst {check.worst:.3g} of {check.bound:.3g})"
    return f"{check.name} {check.status}{worst}"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < _KILO:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KILO
    return f"{size:.2f} GB"
