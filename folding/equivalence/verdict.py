"""What a verification found: checks with their evidence, and the verdict they amount to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

from folding.plan import Warned


class Status(StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not_run"


class VerdictName(StrEnum):
    """What all checks together say."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNPROVEN = "unproven"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``worst`` is the largest deviation found, in the unit that ``bound`` is in.

    ``why`` says what is wrong, or why it was not run; ``at`` names the tensor, node or output.
    """

    name: str
    status: Status
    why: str = ""
    worst: float | None = None
    bound: float | None = None
    at: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": str(self.status),
            "why": self.why or None,
            "worst": self.worst if self.worst is not None and isfinite(self.worst) else None,
            "bound": self.bound,
            "at": self.at or None,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checks that were made; none means that the user said so. ``inputs`` says what ran."""

    checks: tuple[Check, ...] = ()
    inputs: str = ""
    warnings: tuple[Warned, ...] = ()

    @property
    def name(self) -> VerdictName:
        if not self.checks:
            return VerdictName.SKIPPED
        if any(check.status is Status.FAILED for check in self.checks):
            return VerdictName.DIFFERENT
        passed = {check.name for check in self.checks if check.status is Status.PASSED}
        proved = passed >= {"frame", "parameters"}
        return VerdictName.EQUIVALENT if proved else VerdictName.UNPROVEN

    @property
    def failure(self) -> Check | None:
        """The check that decided, if the verdict is not good."""
        order = (Status.FAILED, Status.NOT_RUN)
        for status in order:
            for check in self.checks:
                if check.status is status:
                    return check
        return None

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": str(self.name),
            "checks": [check.to_dict() for check in self.checks],
            "inputs": self.inputs or None,
        }
