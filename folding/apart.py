"""Who takes other channels of a value than all the others that read it.

    layer ─ v ─┬─ Slice ─ affine ─ y           before
               └─ Slice ─ z
    layer' ─ v' ─┬─ Slice ─ y                  after
                 └─ Slice ─ z

What goes up through a Slice or a Gather leaves the channels as they are that are not taken there.
So those who take others see nothing of it, and may read the changed value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from folding.carriers import Passage
from folding.carriers import slice as slicing
from folding.carriers.gather import gathered
from folding.draft import Draft
from folding.protos import is_default_domain
from folding.way import Fork, Reached, Turn

#: A value with more readers than that is not asked for those that are apart.
MOST_READERS = 32


def _channels(draft: Draft, index: int, axis: int) -> frozenset[int] | None:
    """Which channels of its data a node sees; None if it is all, or not known."""
    node = draft.node(index)
    if not is_default_domain(node):
        return None
    passage = Passage(node, draft)
    if node.op_type == "Slice":
        found: Iterable[int] | None = slicing.channels(axis, passage)
    else:
        found = gathered(axis, passage) if node.op_type == "Gather" else None
    return None if found is None else frozenset(found)


def is_apart(draft: Draft, value: str, index: int, axis: int | None) -> bool:
    """Whether one that reads a value takes channels that none of the others takes."""
    readers = draft.readers(value)
    own = None if axis is None else _channels(draft, index, axis)
    if axis is None or own is None or readers.count > MOST_READERS:
        return False
    others = (_channels(draft, other, axis) for other in readers if other != index)
    return all(other is not None and own.isdisjoint(other) for other in others)


def own_part(draft: Draft, fork: Fork) -> Fork | None:
    """What a line asks of a value, as something that none of the others sees; None if they do.

    What is the same for all channels is asked of those alone that are taken.
    """
    value, affine, index = fork.value, fork.affine, fork.edge.node
    if affine.axis is not None:
        return fork if is_apart(draft, value, index, affine.axis) else None
    shape = draft.shape(value) or ()
    for axis in range(-len(shape), 0):
        size, taken = shape[axis], _channels(draft, index, axis)
        if size and taken and is_apart(draft, value, index, axis):
            source = np.full(size, -1)
            source[[*taken]] = 0
            return replace(fork, affine=affine.of_channels(source, axis))
    return None


def aside(draft: Draft, reached: Reached) -> dict[str, int | None]:
    """What is made of other channels than those on the way of a fold, by who reads a value on it.

    That may be a Split on the way. Where the channels are in it does not matter: none of them
    changes. What those on the way make is not as it was then, and no end.
    """
    values = {line.end.value for line in reached.lines if isinstance(line.end, Fork)}
    nodes = (index for value in sorted(values) for index in draft.readers(value))
    found: dict[str, int | None] = {draft.node(index).output[0]: None for index in nodes}
    for turn in (line.end for line in reached.lines if isinstance(line.end, Turn)):
        node = draft.node(turn.node)
        found |= dict.fromkeys(filter(None, node.output if node.op_type == "Split" else ()))
    return found
