"""A normalisation that was asked for, and is not there."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto

from folding.lint.finding import Code, Finding
from folding.lint.graphs import Graph
from folding.lint.truths import unread_flags
from folding.plan import Reason

_NORMALISATIONS = frozenset(
    {"BatchNormalization", "Dropout", "GroupNormalization", "If", "InstanceNormalization"}
    | {"LayerNormalization", "RMSNormalization"}
)


def absent(proto: ModelProto, looked_at: list[Graph]) -> Iterator[Finding]:
    """Normalisations whose results nothing reads, and flags that have nothing to switch."""
    for graph in looked_at:
        # Bodies in a function are not indexed: what only they read would seem dead.
        dead = () if graph.scope.closed is Reason.IN_FUNCTION else sorted(graph.dead)
        for index in dead:
            if graph.scope.is_own(index, "BatchNormalization"):
                cause = "nothing reads what this BatchNormalization makes"
                yield Finding(Code.NORM_ABSENT, graph.title(index), cause)
    if any(_has_norm(graph) for graph in looked_at):
        return
    for flag in unread_flags(proto):
        cause = "this flag is an input that nothing reads, and the model has no normalisation"
        yield Finding(Code.NORM_ABSENT, flag, cause)


def _has_norm(graph: Graph) -> bool:
    return bool(graph.seen.chains) or not _NORMALISATIONS.isdisjoint(graph.scope.operators)
