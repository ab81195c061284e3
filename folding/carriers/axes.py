"""Axes counted from the right, and the sizes on them: what several carriers ask of a node."""

from __future__ import annotations

from folding.carriers.base import Passage, Surroundings


def axis_from_right(axis: int, passage: Passage) -> int | None:
    """An axis of the node's first input; None if its rank is needed and not known."""
    if axis < 0:
        return axis
    shape = passage.around.shape(passage.node.input[0])
    return None if shape is None else axis - len(shape)


def axes_from_right(axes: tuple[int, ...], passage: Passage) -> tuple[int, ...] | None:
    """Several axes of the node's first input; None if one of them is not known."""
    found = tuple(axis_from_right(axis, passage) for axis in axes)
    known = tuple(axis for axis in found if axis is not None)
    return known if len(known) == len(found) else None


def size(name: str, axis: int, around: Surroundings) -> int | None:
    """The size of a value on an axis from the right, None if it is not known."""
    shape = around.shape(name)
    return shape[axis] if shape is not None and len(shape) >= -axis else None
