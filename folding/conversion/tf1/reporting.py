"""The normalisations of a graph as a ``Product`` tells of them, with their arrays in files."""

from __future__ import annotations

import re

from folding.conversion.job import Job, Statistics
from folding.conversion.samples import write_statistics
from folding.conversion.tf1.averages import Averages
from folding.conversion.tf1.inference import Inference
from folding.conversion.tf1.loading import Loaded
from folding.conversion.tf1.nodes import Graph, value_of
from folding.conversion.tf1.statistics import Found, Normalisations

_DECLARED = re.compile(r"(^|/)(batchnorm|moving_variance|FusedBatchNorm\w*)(/|$)")
_MEAN = "/moving_mean"
#: What a layer hands an operator in the place of a gamma or beta that it does not have.
_NAMELESS = re.compile(r"(^|/)(Const|ones|zeros)(_\d+)?$")


def write_all(job: Job, loaded: Loaded, inference: Inference) -> list[Statistics]:
    """Keep the arrays of each normalisation, and say what is known of it."""
    averages = Averages(loaded)
    told: list[Statistics] = []
    for number, found in enumerate(Normalisations(inference.graph)):
        arrays = {
            role: value_of(inference.graph.nodes[name]).reshape(-1)
            for role, name in found.nodes.items()
            if not _NAMELESS.search(name)
        }
        mean, variance = found.nodes["mean"], found.nodes["variance"]
        told.append(
            Statistics(
                _title(found),
                write_statistics(job, number, arrays),
                found.epsilon,
                averages.momentum(mean),
                found.formula,
                averages.began_at_zero(variance),
                averages.steps,
                correctable=loaded.checkpoint is not None,
            )
        )
    return told


def declares_normalisation(graph: Graph) -> bool:
    """Whether some node of a graph says by its name or operator that it normalises batches."""
    bodies = (node for function in graph.functions.values() for node in function.node_def)
    return any(
        node.op.startswith("FusedBatchNorm") or _DECLARED.search(node.name)
        for node in (*graph.nodes.values(), *bodies)
    )


def _title(found: Found) -> str:
    """The scope of a normalisation, by its mean or else by its root."""
    mean = found.nodes["mean"]
    if mean.endswith(_MEAN):
        return mean.removesuffix(_MEAN)
    scope = found.at.rpartition("/")[0].removesuffix("batchnorm").rstrip("/")
    return scope or found.at
