"""What a comparison of two models found, as one value: for command, JSON and service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from folding._version import __version__
from folding.equivalence.verdict import Verdict
from folding.report import FileFacts, as_text


@dataclass(frozen=True, slots=True)
class Verification:
    """Two models, whether they are the same function, and what it took. ``seconds`` is by stage."""

    reference: FileFacts
    candidate: FileFacts
    verdict: Verdict
    seconds: dict[str, float] = field(default_factory=dict)
    version: str = __version__

    def to_json(self) -> str:
        """The JSON report as text."""
        return as_text(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The JSON report; ``verification.schema.json`` describes it."""
        return {
            "version": self.version,
            "reference": self.reference.to_dict(),
            "candidate": self.candidate.to_dict(),
            "verification": self.verdict.to_dict(),
            "warnings": [warning.to_dict() for warning in self.verdict.warnings],
            "seconds": {stage: round(taken, 6) for stage, taken in self.seconds.items()},
        }
