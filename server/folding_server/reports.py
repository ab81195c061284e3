"""What a job found, as the message that clients get: below 4 MiB, whatever a model's names are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from folding.v1.folding_pb2 import (
    OUTCOME_FOLDED,
    OUTCOME_KEPT,
    OUTCOME_PARTIAL,
    OUTCOME_UNSPECIFIED,
    VERDICT_DIFFERENT,
    VERDICT_EQUIVALENT,
    VERDICT_SKIPPED,
    VERDICT_UNPROVEN,
    VERDICT_UNSPECIFIED,
    Counts,
    Decision,
    File,
    Report,
    Verdict,
)
from folding.v1.folding_pb2 import Warning as Warned
from folding_server.jobs.outcome import (
    LONGEST_FACT,
    MOST_DECISIONS,
    MOST_NAMES,
    MOST_WARNINGS,
)
from folding_server.jobs.runner import JobResult
from folding_server.texts import cut

_MOST_BYTES = 3 << 20  # Of what is as long as the model makes it.

#: ``None`` is that of what is not proved.
VERDICTS: dict[str | None, Verdict.ValueType] = {
    None: VERDICT_UNSPECIFIED,
    "equivalent": VERDICT_EQUIVALENT,
    "different": VERDICT_DIFFERENT,
    "unproven": VERDICT_UNPROVEN,
    "skipped": VERDICT_SKIPPED,
}
_OUTCOMES = {
    "folded": OUTCOME_FOLDED,
    "partial": OUTCOME_PARTIAL,
    "kept": OUTCOME_KEPT,
}


def report_of(result: JobResult, *, cached: bool) -> Report:
    """The message for a result. The report's JSON, which is a file, has everything whole."""
    facts = result.facts
    report = Report(
        verdict=VERDICTS.get(facts.get("verdict"), VERDICT_UNSPECIFIED),
        rests_on=_text(facts.get("rests_on")) if facts.get("verdict") else "",
        files=(File(path=f.path, size=f.size, sha256=f.sha256) for f in result.files),
        cached=cached,
        cut=bool(facts.get("cut")),
    )
    if facts.get("counts"):
        report.counts.CopyFrom(_counts(facts["counts"]))
    warnings = map(_warning, facts.get("warnings", ())[:MOST_WARNINGS])
    report.warnings.extend(warnings)
    _extend(report, map(_decision, facts.get("decisions", ())[:MOST_DECISIONS]))
    return report


def _extend(report: Report, decisions: Iterable[Decision]) -> None:
    """Add as many as there is room for."""
    left = _MOST_BYTES - report.ByteSize()
    for decision in decisions:
        left -= decision.ByteSize()
        if left < 0:
            report.cut = True
            return
        report.decisions.append(decision)


def _counts(found: Mapping[str, int]) -> Counts:
    names = Counts.DESCRIPTOR.fields_by_name
    return Counts(**{name: found[name] for name in names if name in found})


def _decision(found: Mapping[str, Any]) -> Decision:
    return Decision(
        name=_text(found["name"]),
        kind=found["kind"],
        outcome=_OUTCOMES.get(found["outcome"], OUTCOME_UNSPECIFIED),
        into=map(_text, found["into"][:MOST_NAMES]),
        reason=found["reason"] or "",
        at=_text(found["at"]),
        text=_text(found["text"]),
    )


def _warning(found: Mapping[str, str]) -> Warned:
    return Warned(code=found["code"], at=_text(found["at"]), text=_text(found["text"]))


def _text(text: str | None) -> str:
    return cut(text or "", LONGEST_FACT)
