"""The lints of the graphs of a model, as it is at inference."""

from __future__ import annotations

from folding.lint.absent import absent
from folding.lint.batch import batch_statistics
from folding.lint.finding import Finding, warnings_of
from folding.lint.formulas import formulas
from folding.lint.graphs import graphs, sketched
from folding.lint.placement import placement
from folding.lint.randomness import randomness
from folding.lint.statistics import statistics
from folding.lint.truths import may_be_steered
from folding.modelfile import Model
from folding.plan import Warned
from folding.planner import Planned, plan_model

_OF_A_GRAPH = (batch_statistics, randomness, statistics, formulas, placement)


def lint_model(model: Model, planned: Planned | None = None) -> list[Finding]:
    """What looks wrong in the graphs of a sound model; ``planned`` is its plan, if there is one."""
    found: list[Finding] = []
    if may_be_steered(model.proto):
        from folding.lint.flags import at_inference  # noqa: PLC0415 - few models have a flag

        inference = at_inference(model, _is_training)
        found += inference.findings
        planned = planned if inference.model is model else plan_model(inference.model, {})
    looked_at = graphs(planned or plan_model(model, {}))
    for graph in looked_at:
        for look in _OF_A_GRAPH:
            found += look(graph)
    return [*found, *absent(model.proto, looked_at)]


def plan_warnings(model: Model, planned: Planned) -> list[Warned]:
    """What looks wrong in a model that was planned on, as warnings of its plan."""
    return warnings_of(lint_model(model, planned))


def _is_training(model: Model) -> bool:
    """Whether a model normalises by batches, or draws at random."""
    looks = (batch_statistics, randomness)
    return any(True for graph in sketched(model) for look in looks for _ in look(graph))
