"""Shapes that a graph takes apart, of which only some dimensions are known.

    x [n, t, 8] ─ Shape ─ Gather([1, 0, 2]) ─ Cast(int32) ─ Gather([2]) ─ 8

A size that is not known is -1, and goes on as such; whoever takes none of those makes a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from folding.constant_ops import FOLLOWS_OUTPUT_SHAPE, Value
from folding.expressions import evaluate, measured
from folding.graph import Scope

Integers = npt.NDArray[Any]

#: Operators that take some elements of integers, or put them beside others, and compute nothing.
_FOLLOWED = frozenset({"Cast", "Concat", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze"})
#: No shape has more dimensions that matter.
_LONGEST = 64


class Known(Protocol):
    """The constants of a scope."""

    def __contains__(self, name: str) -> bool: ...

    def value(self, name: str) -> Value | None: ...


def partly_known(
    scope: Scope, index: int, constants: Known, known: Mapping[str, Integers]
) -> Integers | None:
    """What a node makes of a shape, with -1 for what is not known; None if that is no such thing.

    ``known`` has those of the nodes before.
    """
    node, reads = scope.nodes[index], scope.reads[index]
    if node.op_type == "Shape":
        return measured(node, scope.shape(reads[0]))
    if node.op_type not in _FOLLOWED or not reads:
        return None
    data = reads if node.op_type == "Concat" else reads[:1]
    if not any(name in known for name in data):
        return None
    given = [
        known[n] if n in known and slot < len(data) else _constant(n, constants)
        for slot, n in enumerate(reads)
    ]
    if any(value is None for value, name in zip(given, reads, strict=True) if name):
        return None
    found = evaluate(node, given, _dims(scope, node))
    is_short = isinstance(found, np.ndarray) and found.dtype.kind == "i" and found.size <= _LONGEST
    return found if is_short and isinstance(found, np.ndarray) else None


def _constant(name: str, constants: Known) -> Value | None:
    return constants.value(name) if name in constants else None


def _dims(scope: Scope, node: NodeProto) -> tuple[int, ...]:
    """The shape of a node's result, if its operator asks for it; one that fits nothing else."""
    shape = scope.shape(node.output[0]) if node.op_type in FOLLOWS_OUTPUT_SHAPE else ()
    return (0,) if shape is None or None in shape else tuple(size or 0 for size in shape)
