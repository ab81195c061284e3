"""What a carrier is asked, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from onnx import NodeProto

from folding.affine import ChannelAffine
from folding.inference import Shape
from folding.plan import Kept


class Surroundings(Protocol):
    """What a rule may look at: shapes, types and constants, by the names of values."""

    @property
    def opset(self) -> int: ...

    def shape(self, name: str) -> Shape | None: ...

    def type(self, name: str) -> int: ...

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A constant of integers or booleans; None if it is none."""
        ...

    def is_read(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Passage:
    """An affine behind a node that it might pass.

    ``narrows_to`` is the element type that every reader of the affine's own output converts it to,
    0 if they do not.
    """

    node: NodeProto
    around: Surroundings
    narrows_to: int


@dataclass(frozen=True, slots=True)
class Carrier:
    """A family of operators.

    ``up(affine, passage)`` is the affine that may stand before the node instead of behind it, or
    why there is none. The data is the node's first input.
    """

    operators: tuple[str, ...]
    up: Callable[[ChannelAffine, Passage], ChannelAffine | Kept]
