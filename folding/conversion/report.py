"""What a conversion did, as one value: for the command and for JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from folding._version import __version__
from folding.conversion.agreement import Agreed, Agreement
from folding.conversion.job import Port
from folding.errors import NotEquivalent, Unproven
from folding.lint.finding import Code
from folding.plan import Warned
from folding.report import FileFacts, Report

_OTHERWISE = "Give inputs with --sample-inputs, or convert with --no-verify if you can check it."
_AT_RANDOM = (
    "Export it with dropout and noise off, or freeze the input that says how much is dropped, as"
    " --freeze keep_prob=1 does; if it is to draw at random, convert it with --no-verify."
)


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What was converted. ``path`` and ``bytes`` are None for a live object."""

    path: str | None
    kind: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """The source, how it was converted, the evidence, and the fold of what came of it.

    ``target`` is None if nothing was written. ``inputs`` and ``outputs`` map the source's names to
    the graph's. ``fold`` is None if nobody asked for it, or nothing came so far. ``warnings`` are
    the conversion's; the fold has its own. ``seconds`` is by stage.
    """

    source: SourceFacts
    target: FileFacts | None
    framework: str
    converter: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    agreement: Agreement
    fold: Report | None = None
    warnings: tuple[Warned, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    version: str = __version__

    def to_json(self) -> str:
        """The JSON report as text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The JSON report; ``conversion.schema.json`` describes it."""
        return {
            "version": self.version,
            "source": asdict(self.source),
            "target": self.target.to_dict() if self.target else None,
            "framework": self.framework,
            "converter": self.converter,
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
            "agreement": self.agreement.to_dict(),
            "fold": self.fold.to_dict() if self.fold else None,
            "warnings": [warning.to_dict() for warning in self.warnings],
            "seconds": {stage: round(taken, 6) for stage, taken in self.seconds.items()},
        }


def require_same(report: ConversionReport, name: str) -> None:
    """Raise unless the graph is the function that the framework computes, or nobody asked.

    Raises:
        NotEquivalent: it is another one.
        Unproven: nothing could be compared.
    """
    agreement = report.agreement
    if agreement.verdict is Agreed.DIFFERENT:
        text = f"{report.converter} made of {name!r} another function than {report.framework}"
        hint = "Convert it another way, or report this with the model; nothing was written."
        raise NotEquivalent(f"{text} computes: {agreement.why}", report, hint=hint)
    if agreement.verdict is Agreed.NOT_COMPARED:
        text = f"whether {report.converter} made of {name!r} what {report.framework} computes"
        why, hint = _unknown(report)
        raise Unproven(f"{text} is not known: {why}", report, hint=hint)


def _unknown(report: ConversionReport) -> tuple[str, str]:
    """Why nothing could be compared, and what to do."""
    random = (w for w in report.warnings if w.code == Code.RANDOM_AT_INFERENCE.name)
    for warning in random:
        return f"{report.agreement.why} (see {warning.at!r})", _AT_RANDOM
    return report.agreement.why, _OTHERWISE
