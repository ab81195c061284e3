"""What a verification found: checks with their evidence, and the verdict they amount to."""

from __future__ import annotations

from collections.abc import Sequence
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


#: The checks that prove a verdict; the others are runs, the alarm.
_PROOF = frozenset({"frame", "parameters"})


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``worst`` is the largest deviation found, in the unit that ``bound`` is in.

    ``why`` says what is wrong, or why it was not run; ``at`` names the tensor, node or output.
    ``excused`` is a check that was not run for a reason that the proof can do without it.
    ``mismatch`` has what ``numpy.testing`` would say of two arrays; no report but its own kind has.
    """

    name: str
    status: Status
    why: str = ""
    worst: float | None = None
    bound: float | None = None
    at: str = ""
    excused: bool = False
    mismatch: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        is_number = self.worst is None or isfinite(self.worst)
        return {
            "name": self.name,
            "status": str(self.status),
            "why": self.why or None,
            "worst": self.worst if is_number else None,
            "not_finite": None if is_number else str(self.worst),
            "bound": self.bound,
            "at": self.at or None,
            "excused": self.excused,
            "mismatch": list(self.mismatch),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checks that were made; none means that the user said so.

    ``inputs`` says what ran, ``seeds`` what it was drawn from. ``guilty`` are the folded affines
    whose sites failed, worst first.
    """

    checks: tuple[Check, ...] = ()
    inputs: str = ""
    warnings: tuple[Warned, ...] = ()
    seeds: tuple[int, ...] = ()
    guilty: tuple[str, ...] = ()

    @property
    def name(self) -> VerdictName:
        if not self.checks:
            return VerdictName.SKIPPED
        if any(check.status is Status.FAILED for check in self.checks):
            return VerdictName.DIFFERENT
        runs = (check for check in self.checks if check.name not in _PROOF)
        ran = all(check.status is Status.PASSED or check.excused for check in runs)
        return VerdictName.EQUIVALENT if self.is_proved and ran else VerdictName.UNPROVEN

    @property
    def is_proved(self) -> bool:
        """Whether the files themselves say that it is the same function, whatever the runs say."""
        return self._passed >= _PROOF

    @property
    def _passed(self) -> set[str]:
        return {check.name for check in self.checks if check.status is Status.PASSED}

    @property
    def rests_on(self) -> str:
        """What the verdict rests on, in words."""
        if self.name is VerdictName.SKIPPED:
            return "nothing: no check was made"
        failed = [check.name for check in self.checks if check.status is Status.FAILED]
        if failed:
            return f"{_listed(failed)}, which failed"
        found = ("preparation", "frame", "parameters")
        proof = [name for name in found if name in self._passed]
        runs = [name for name in ("sites", "outputs") if name in self._passed]
        proved = f"{_listed(proof)}, a proof from the files" if self.is_proved else ""
        ran = f"{_listed(runs)} on {self.inputs or 'some inputs'}" if runs else ""
        return "; ".join(filter(None, (proved, ran))) or "nothing: no check could be made"

    @property
    def failure(self) -> Check | None:
        """The check that decided, if the verdict is not good."""
        failed = [check for check in self.checks if check.status is Status.FAILED]
        idle = [c for c in self.checks if c.status is Status.NOT_RUN and not c.excused]
        return next(iter((*failed, *idle)), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": str(self.name),
            "rests_on": self.rests_on,
            "checks": [check.to_dict() for check in self.checks],
            "inputs": self.inputs or None,
            "seeds": list(self.seeds),
            "guilty": list(self.guilty),
        }


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
