"""How far a model may go, as callers say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a model may go.

    Attributes:
        nesting: graphs and called functions within each other, the main graph included; and types
            within each other. Above 32 it lets only calls go deeper: protobuf reads no tensor in
            more graphs.
        expanded_nodes: nodes that the calls of functions stand for in all. A model without
            functions may have any number of nodes.
    """

    nesting: int = 32
    expanded_nodes: int = 100_000


#: The usual ones.
LIMITS = Limits()
