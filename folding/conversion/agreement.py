"""Whether the graph computes what the framework computes: the evidence, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite
from typing import Any


class Agreed(StrEnum):
    """What the comparison with the framework says."""

    SAME = "same"
    DIFFERENT = "different"
    NOT_COMPARED = "not_compared"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """The worst of an output over all batches.

    ``worst`` is how far it is from the framework's, in the unit of ``bound``: relative to its own
    size, or, with ``by_noise``, in multiples of what rounding does to it. Both are None for what
    was decided, like an index: such is the same, but for what rounding may flip. ``why`` says what
    is wrong.
    """

    name: str
    batch: int | None
    worst: float | None = None
    bound: float | None = None
    by_noise: bool = False
    lost: bool = False
    why: str = ""

    @property
    def share(self) -> float:
        """How much of the bound is used up."""
        return (self.worst or 0.0) / self.bound if self.bound else 0.0

    def to_dict(self) -> dict[str, Any]:
        found = asdict(self)
        if self.worst is not None and not isfinite(self.worst):
            found["worst"] = None
        return {**found, "why": self.why or None}


@dataclass(frozen=True, slots=True)
class Agreement:
    """The comparison: ``batches`` are the sizes of what both were run on."""

    verdict: Agreed
    why: str = ""
    batches: tuple[int, ...] = ()
    outputs: tuple[OutputFacts, ...] = ()

    @property
    def worst(self) -> OutputFacts | None:
        """The output that comes nearest to its bound."""
        measured = [output for output in self.outputs if output.bound is not None]
        return max(measured, key=lambda output: output.share, default=None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": str(self.verdict),
            "why": self.why or None,
            "batches": list(self.batches),
            "outputs": [output.to_dict() for output in self.outputs],
        }

    def sentence(self, framework: str) -> str:
        """The same for people."""
        if self.verdict is Agreed.SKIPPED:
            return "not compared with the framework, as you asked"
        if self.verdict is not Agreed.SAME:
            what = "another function than" if self.verdict is Agreed.DIFFERENT else "unproven to be"
            return f"{what} what {framework} computes: {self.why}"
        sizes = ", ".join(map(str, self.batches))
        text = f"the same as {framework} computes{', at batches of ' if sizes else ''}{sizes}"
        worst = self.worst
        if worst is None or worst.worst is None:
            return text
        unit = "times what rounding explains" if worst.by_noise else "of its size"
        return f"{text}: {worst.name!r} is off by {worst.worst:.2g} of {worst.bound:.2g} {unit}"
