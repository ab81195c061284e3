"""What a carrier is asked, and what it answers.

a ─ op ─ affine ─ y        an affine behind a node,
a ─ affine' ─ op' ─ y      which went up

x ─ affine ─ op ─ y        an affine before a node,
x ─ op' ─ affine' ─ y      which went down
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from onnx import NodeProto

from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.floats import FLOATS
from folding.inference import Shape, Symbols
from folding.plan import Kept, Reason
from folding.protos import title


class Surroundings(Protocol):
    """What a rule may look at: shapes, types and constants, by the names of values."""

    @property
    def opset(self) -> int: ...

    def shape(self, name: str) -> Shape | None: ...

    def symbols(self, name: str) -> Symbols:
        """The names of sizes; empty where there are none."""
        ...

    def type(self, name: str) -> int: ...

    def is_constant(self, name: str) -> bool: ...

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A constant of integers or booleans; None if it is none."""
        ...

    def numbers(self, name: str) -> Doubled | None:
        """A constant of floats; None if it is none, or too large."""
        ...

    def is_read(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Passage:
    """A node that an affine might pass.

    ``place`` is the output that the affine stands behind, or the input slot that it stands before.
    ``narrows_to`` is the element type that every reader of the affine's own output converts it to,
    0 if they do not.
    """

    node: NodeProto
    around: Surroundings
    narrows_to: int = 0
    place: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """Where an affine stands that went over a node.

    ``affines`` has one for each input slot (of one that went up) or each output (of one that went
    down) where there is one now; elsewhere nothing changes. ``constants`` are new values of the
    node's constant inputs. ``is_even`` is whether it is of use only to operands that go back to one
    value, of which all ask the same then, and ``is_of_more`` whether it is one of too many to offer
    all of them.
    """

    affines: Mapping[int, ChannelAffine]
    constants: Mapping[int, Doubled] = field(default_factory=dict)
    is_even: bool = False
    is_of_more: bool = False


#: A single affine is one at the first input (or output); of several ways the first that leads
#: somewhere is taken.
Answer = ChannelAffine | Moved | tuple[Moved, ...] | Kept
Rule = Callable[[ChannelAffine, Passage], Answer]
#: The same for affines before several input slots at once, by slot; there are no alternatives.
Join = Callable[[Mapping[int, ChannelAffine], Passage], Answer]
_Given = TypeVar("_Given")


@dataclass(frozen=True, slots=True)
class Carrier:
    """A family of operators, and how an affine gets over one: upward, and downward.

    ``join`` is how several affines get over it downward that stand before different slots, which
    carry on as one.

    ``keeps_numbers`` says that what goes over it up has the same numbers, on another axis or each
    for other channels at most, and that nothing is asked of an affine but its axis, which channels
    have the same numbers, ``keeps_order`` and ``is_scale``.
    """

    operators: tuple[str, ...]
    up: Rule
    down: Rule | None = None
    join: Join | None = None
    keeps_numbers: bool = False


def asked(rule: Callable[[_Given, Passage], Answer], given: _Given, passage: Passage) -> Answer:
    """What a rule answers; nothing passes a node whose inputs do not fit, which no runtime runs."""
    kind = passage.around.type(passage.node.output[0])
    if kind and kind not in FLOATS:
        return stay(Reason.UNUSUAL_FORM, passage)
    try:
        return rule(given, passage)
    except (ValueError, IndexError, ZeroDivisionError):
        return stay(Reason.UNUSUAL_FORM, passage)


def ways(answer: ChannelAffine | Moved | tuple[Moved, ...]) -> tuple[Moved, ...]:
    """An answer as all ways that it offers; an affine of one channel has no axis in any."""
    if isinstance(answer, ChannelAffine):
        return (Moved({0: answer.settled()}),)
    offered = answer if isinstance(answer, tuple) else (answer,)
    return tuple(
        replace(way, affines={place: part.settled() for place, part in way.affines.items()})
        for way in offered
    )


def stay(reason: Reason, passage: Passage) -> Kept:
    """The answer that an affine does not get over the node."""
    return Kept(reason, title(passage.node), passage.node.op_type)
