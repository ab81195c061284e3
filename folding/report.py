"""What a fold did, as one value: for the command, for JSON, for the service."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from onnx import NodeProto

from folding.modelfile import Model
from folding.plan import Plan, Tally, Warned
from folding.protos import element_bytes, graphs
from folding.verify.verdict import Verdict


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

    ``target`` is None if nothing was written. ``seconds`` is by stage.
    """

    version: str
    source: FileFacts
    target: FileFacts | None
    plan: Plan
    verification: Verdict
    warnings: tuple[Warned, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """The JSON report as text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The JSON report; ``report.schema.json`` describes it."""
        return {
            "version": self.version,
            "source": self.source.to_dict(),
            "target": self.target.to_dict() if self.target else None,
            **self.plan.to_dict(),
            "verification": self.verification.to_dict(),
            "warnings": [warning.to_dict() for warning in self.warnings],
            "seconds": {stage: round(taken, 6) for stage, taken in self.seconds.items()},
        }


def operators(before: Model, after: Model) -> dict[str, tuple[Tally, Tally]]:
    """Nodes and bytes by operator, in both models; the most bytes first."""
    one, other = _tally(before), _tally(after)
    names = sorted(one.keys() | other.keys(), key=lambda n: (-one.get(n, Tally()).bytes, n))
    return {name: (one.get(name, Tally()), other.get(name, Tally())) for name in names}


def _tally(model: Model) -> dict[str, Tally]:
    nodes: Counter[str] = Counter()
    sizes: Counter[str] = Counter()

    def count(found: NodeProto, stored: dict[str, int]) -> None:
        nodes[found.op_type] += 1
        for name in found.input:
            sizes[found.op_type] += stored.pop(name, 0)

    stored: dict[str, int] = {}
    for graph in graphs(model.proto):
        stored.update((t.name, max(element_bytes(t), 0)) for t in graph.initializer)
    for graph in graphs(model.proto):
        for node in graph.node:
            count(node, stored)
    for function in model.proto.functions:
        for node in function.node:
            count(node, {})
    return {name: Tally(nodes[name], sizes[name]) for name in nodes}
