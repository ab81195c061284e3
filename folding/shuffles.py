"""Nodes that an affine gets over together, though not over the first of them alone.

    x ─ Reshape ─ Transpose ─ Reshape ─ y        channels shuffled (see ``carriers.spread``)

1. They are Reshapes and Transposes, in a row that begins with a Reshape, and only a few.
2. Nothing else can see a value between them: what is in it then is no affine of what was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from folding.affine import ChannelAffine
from folding.carriers import Passage
from folding.carriers.spread import Spread, moved_down, moved_up, spread
from folding.draft import Draft
from folding.protos import is_default_domain
from folding.roads import guard
from folding.way import Passed, Stop, Stretch

_OPERATORS = frozenset({"Reshape", "Transpose"})
#: A shuffle is of three; what exporters put around it are a few more.
_MOST_NODES = 8


@dataclass(frozen=True, slots=True)
class Shuffle:
    """The nodes that an affine got over, in the order in which it did, and what it is then."""

    nodes: tuple[int, ...]
    affine: ChannelAffine


def over_shuffle(draft: Draft, index: int, affine: ChannelAffine, narrows_to: int) -> Passed | None:
    """An affine before some nodes instead of behind the last of them."""
    found = _followed(draft, index, affine, moved_up, _above)
    if found is None:
        return None
    stops = tuple(Stop(node, 0, is_affine=False) for node in found.nodes)
    piece = Stretch(affine, found.affine, narrows_to, stops, stops[-1])
    return Passed(found.affine, piece, stops[-1])


def below_shuffle(draft: Draft, index: int, affine: ChannelAffine) -> Shuffle | None:
    """An affine behind some nodes instead of before the first of them."""
    return _followed(draft, index, affine, moved_down, _below)


def _followed(
    draft: Draft,
    index: int,
    affine: ChannelAffine,
    move: Callable[[Spread, Passage], Spread | None],
    further: Callable[[Draft, int], int | None],
) -> Shuffle | None:
    """Go from node to node until the channels stand on one axis again."""
    nodes: list[int] = []
    channels = spread(affine)
    at: int | None = index
    while channels is not None and at is not None and len(nodes) < _MOST_NODES:
        node = draft.node(at)
        if node.op_type not in _OPERATORS or not is_default_domain(node):
            return None
        try:
            channels = move(channels, Passage(node, draft))
        except (ValueError, IndexError, ZeroDivisionError):
            return None  # Its inputs do not fit: no runtime runs it.
        nodes.append(at)
        moved = channels.of(affine) if channels is not None else None
        if moved is not None:
            return Shuffle(tuple(nodes), moved)
        at = further(draft, at)
    return None


def _above(draft: Draft, index: int) -> int | None:
    """The node that makes what a node reads, if no other one reads it."""
    value = draft.node(index).input[0]
    return None if guard(draft, value, 1) else draft.producer(value)


def _below(draft: Draft, index: int) -> int | None:
    """The only node that reads what a node makes, if there is no other one."""
    value = draft.node(index).output[0]
    return None if guard(draft, value, 1) else next(iter(draft.readers(value)), None)
