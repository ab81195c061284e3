"""Averages without what they began with, in the place of those that a graph holds.

Done on request only: the model was trained with its averages as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from folding.conversion.job import Job, Statistics
from folding.conversion.samples import write_statistics
from folding.conversion.tf1.inference import Inference
from folding.conversion.tf1.nodes import constant, value_of
from folding.conversion.tf1.statistics import Normalisations
from folding.errors import BadCall
from folding.lint.sources import arrays_of, beginning_left, corrected
from folding.plan import Warned

_HINT = "A checkpoint tells it that has global_step, and the updates of the averages in its graph."


def with_corrected(
    job: Job, found: Inference, told: Sequence[Statistics]
) -> tuple[Inference, list[Statistics], list[Warned]]:
    """A graph that normalises by corrected averages, these, and what is to be said of them.

    Raises:
        BadCall: of no average it is known what it began with, and how much of that is left.
    """
    nodes: list[Any] = []
    statistics: list[Statistics] = []
    warnings: list[Warned] = []
    for number, (norm, one) in enumerate(zip(Normalisations(found.graph), told, strict=True)):
        arrays = corrected(one, arrays_of(one, job.folder))
        if arrays is None:
            statistics.append(one)
            continue
        for role in ("mean", "variance"):
            old = value_of(found.graph.nodes[norm.nodes[role]])
            new = arrays[role].reshape(old.shape).astype(old.dtype)
            nodes.append(constant(norm.nodes[role], new))
        write_statistics(job, number, arrays)
        statistics.append(replace(one, averages_from_zero=False, steps=None))
        left = f"{beginning_left(one):.2f}"
        text = f"its mean and variance have lost the {left} that was left of what they began with"
        warnings.append(Warned("AVERAGES_CORRECTED", one.name, f"{one.name!r}: {text}"))
    if not warnings:
        text = "no averages can be corrected: it is unknown what is left of their beginning"
        raise BadCall(text, hint=_HINT)
    return replace(found, graph=found.graph.replaced(nodes)), statistics, warnings
