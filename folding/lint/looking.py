"""The lints of the graphs of a model, as it is at inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from folding.conditions import Array
from folding.lint.absent import absent
from folding.lint.batch import batch_statistics
from folding.lint.finding import Finding, warnings_of
from folding.lint.formulas import formulas
from folding.lint.graphs import Graph, graphs, sketched
from folding.lint.placement import placement
from folding.lint.randomness import randomness
from folding.lint.statistics import statistics
from folding.lint.truths import may_be_steered
from folding.modelfile import Model
from folding.plan import Warned
from folding.planner import Planned, plan_model

_OF_A_GRAPH = (randomness, statistics, formulas, placement)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and what ``required`` flags for training are at inference."""

    findings: list[Finding]
    required: Mapping[str, Array] = field(default_factory=dict)


def lint_model(model: Model, planned: Planned | None = None) -> Looked:
    """What looks wrong in the graphs of a sound model; ``planned`` is its plan, if there is one."""
    seen, found = model, Looked([])
    if may_be_steered(model.proto):
        from folding.lint.flags import at_inference  # noqa: PLC0415 - few models have a flag

        inference = at_inference(model, _training)
        seen, found = inference.model, Looked(inference.findings, inference.required)
    looked_at = graphs(planned if planned and seen is model else plan_model(seen, {}))
    found.findings.extend(_by_batches(seen, looked_at))
    for graph in looked_at:
        for look in _OF_A_GRAPH:
            found.findings.extend(look(graph))
    found.findings.extend(absent(model.proto, looked_at))
    return found


def plan_warnings(model: Model, planned: Planned) -> list[Warned]:
    """What looks wrong in a model that was planned on, as warnings of its plan."""
    return warnings_of(lint_model(model, planned).findings)


def _training(model: Model) -> int:
    """How many nodes of a model normalise by batches, or draw at random."""
    found = sketched(model)
    random = sum(1 for graph in found for _ in randomness(graph))
    return random + sum(1 for _ in _by_batches(model, found))


def _by_batches(model: Model, looked_at: list[Graph]) -> Iterator[Finding]:
    """What normalises by batches, in functions where they are called, with sizes known there."""
    if model.proto.functions:
        from folding.lint.called import without_calls  # noqa: PLC0415 - few models have functions

        looked_at = sketched(without_calls(model))
    return batch_statistics(looked_at)
