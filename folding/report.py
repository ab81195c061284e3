"""What a fold did, as one value: for the command, for JSON, for the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from folding.equivalence.verdict import Verdict, VerdictName
from folding.errors import NotEquivalent, Unproven
from folding.plan import Plan, Warned
from folding.preparation import NOTHING, Preparation


def as_text(report: Mapping[str, Any]) -> str:
    """A JSON report of any kind as a file has it: strict, and laid out for people."""
    return json.dumps(report, indent=2, allow_nan=False) + "\n"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A model's files. ``path`` is None for a model in memory, ``sha256`` where nobody asked."""

    path: str | None
    bytes: int
    sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "sha256": self.sha256, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class Report:
    """The plan that was carried out, the proof, and what it took.

    ``target`` is None if nothing was written. ``seconds`` is by stage. ``preparation`` is what was
    done to the source before it was planned on.
    """

    version: str
    source: FileFacts
    target: FileFacts | None
    plan: Plan
    verification: Verdict
    warnings: tuple[Warned, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    preparation: Preparation = NOTHING

    def to_json(self) -> str:
        """The JSON report as text."""
        return as_text(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The JSON report; ``report.schema.json`` describes it."""
        return {
            "version": self.version,
            "source": self.source.to_dict(),
            "target": self.target.to_dict() if self.target else None,
            "preparation": self.preparation.to_dict(),
            **self.plan.to_dict(),
            "verification": self.verification.to_dict(),
            "warnings": [warning.to_dict() for warning in self.warnings],
            "seconds": {stage: round(taken, 6) for stage, taken in self.seconds.items()},
        }


def require(report: Report, name: str) -> None:
    """Raise unless the verdict allows to hand the folded model over."""
    verdict = report.verification
    failure = verdict.failure
    why = f": {failure.why}" if failure else ""
    if verdict.name is VerdictName.DIFFERENT:
        raise NotEquivalent(f"folding {name!r} would change what it computes{why}", report)
    if verdict.name is VerdictName.UNPROVEN:
        raise Unproven(f"the fold of {name!r} could not be proved{why}", report)
