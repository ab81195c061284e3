"""What a job found, as the message that clients get: below 4 MiB, whatever a model's names are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

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
from folding_server.jobs.runner import FileSpec, JobResult
from folding_server.texts import cut

_MOST_BYTES = 3 << 20  # Of what is as long as the model makes it.
#: So many are sent, however many other answers are.
_LEAST_BYTES = 1 << 14
#: Around each part of a message: its field and its length.
_AROUND = 4

_Part = TypeVar("_Part", Decision, Warned)

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets: the message, then the files, which are in ``folder``."""

    report: Report
    folder: Path
    files: tuple[FileSpec, ...]


def answer_of(result: JobResult, room: int, *, cached: bool) -> Answer:
    """The answer with a message of no more bytes than there is room for, unless that is little."""
    report = report_of(result, max(room, _LEAST_BYTES), cached=cached)
    return Answer(report, result.folder, result.files)


def report_of(result: JobResult, room: int = _MOST_BYTES, *, cached: bool) -> Report:
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
    left = min(room, _MOST_BYTES) - report.ByteSize()
    warnings = map(_warning, facts.get("warnings", ())[:MOST_WARNINGS])
    left = _extend(report, report.warnings, warnings, left)
    decisions = map(_decision, facts.get("decisions", ())[:MOST_DECISIONS])
    _extend(report, report.decisions, decisions, left)
    return report


def _extend(report: Report, parts: MutableSequence[_Part], more: Iterable[_Part], left: int) -> int:
    """Add as many as there is room for; what is left of that."""
    for part in more:
        left -= part.ByteSize() + _AROUND
        if left < 0:
            report.cut = True
            break
        parts.append(part)
    return left


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
