"""The tables of the fault benchmark, and its requirements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import faults
from comparison import markdown
from fault_trials import Outcome, Trial
from tolerances import TOLERANCES

_CHECKS = ("frame", "parameters", "sites", "outputs")
_OTHERS = tuple(tolerance.name for tolerance in TOLERANCES)


def models(trials: Sequence[Trial]) -> str:
    """What was tried."""
    head = ("model", "folds", "tried", "faults", "alarms on its right fold")
    rows = [markdown(*head, "worst site (of 1)", "worst output (of 4)", "others' alarms on it")]
    rows.append("|---|" + "--:|" * 6 + "---|")
    for one in trials:
        counts = (one.folds, one.tried, len(one.outcomes), len(one.alarms))
        rows.append(markdown(one.name, *map(str, counts), *_right(one)))
    return "\n".join(rows)


def kinds(outcomes: Sequence[Outcome]) -> str:
    """Who finds what, in percent of the faults of a kind."""
    beyond = [outcome for outcome in outcomes if outcome.fault.size > 1]
    rows = [markdown("fault", "n", *_CHECKS, "any", "place", "sites", "outputs", *_OTHERS)]
    rows.append("|---|" + "--:|" * (len(_CHECKS) + len(_OTHERS) + 5))
    for kind in faults.KINDS:
        own = [outcome for outcome in beyond if outcome.fault.kind == kind]
        rows += [_row(kind, own)] if own else []
    rows.append(_row("**all**", beyond))
    below = [outcome for outcome in outcomes if outcome.fault.size <= 1]
    return "\n".join([*rows, *([_row("less than 8 u A", below)] if below else [])])


def _row(label: str, outcomes: Sequence[Outcome]) -> str:
    tests: list[Callable[[Outcome], bool]] = [
        *((lambda o, c=c: c in o.caught) for c in _CHECKS),
        lambda o: bool(o.caught),
        lambda o: o.is_located,
        *((lambda o, c=c: c in o.alone) for c in ("sites", "outputs")),
        *((lambda o, c=c: c in o.others) for c in _OTHERS),
    ]
    shares = (_percent(sum(map(test, outcomes)), len(outcomes)) for test in tests)
    return markdown(label, str(len(outcomes)), *shares)


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 means all."""
    return str(100 * part // whole)


def alarms(rows: Iterable[tuple[str, Trial]]) -> str:
    """Right folds of all sorts."""
    head = ("right fold", "type", "runs", "alarms", "worst site (of 1)", "worst output (of 4)")
    found = [markdown(*head, "others' alarms"), "|---|---|" + "--:|" * 4 + "---|"]
    for kind, one in rows:
        counts = str(one.runs), str(len(one.alarms))
        found.append(markdown(one.name, kind, *counts, *_right(one)))
    return "\n".join(found)


def _right(one: Trial) -> tuple[str, ...]:
    """The worst of the sites and outputs of right folds, and who else takes them for wrong."""
    worst = ("not run" if value is None else f"{value:.2f}" for value in one.worst)
    return (*worst, ", ".join(sorted(one.false)))


def requirements(trials: Sequence[Trial], right: Sequence[Trial]) -> tuple[list[str], bool]:
    """A line for each requirement, what fails it, and whether all are met."""
    outcomes = [outcome for one in trials for outcome in one.outcomes]
    beyond = [outcome for outcome in outcomes if outcome.fault.size > 1]
    kinds_there = {outcome.fault.kind for outcome in beyond}
    missed = [_described(outcome) for outcome in beyond if not outcome.is_located]
    absent = [kind for kind in faults.KINDS if kind not in kinds_there]
    false = [alarm for one in (*trials, *right) for alarm in one.alarms]
    lines = [
        _line(f"{len(beyond)} faults beyond 8 u A and rewired edges are found and located", missed),
        _line(f"{len(faults.KINDS)} kinds of fault in {len(trials)} models", absent),
        _line("no alarm on a right fold", false),
    ]
    return lines, not (missed or absent or false)


def _described(outcome: Outcome) -> str:
    where = outcome.fault.site.name if outcome.fault.site else str(sorted(outcome.fault.places))
    said = [f"{check.name} at {check.at!r}" for check in outcome.found.failed]
    return f"{outcome.model}: {outcome.fault.kind} in {where}: {', '.join(said) or 'not found'}"


def _line(what: str, failures: Sequence[str]) -> str:
    if not failures:
        return f"- met: {what}"
    return "\n".join([f"- NOT met: {what}", *(f"    - {text}" for text in failures)])
