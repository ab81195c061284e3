"""What a Slice takes of an axis, by the clamping of the specification.

Python's own slices differ: backward from before the first element they take nothing, a Slice that.
"""

from __future__ import annotations


def selected(start: int, end: int, step: int, size: int) -> range:
    """The elements from start to end of an axis of that size; ``step`` is not 0."""
    start, end = (value + size if value < 0 else value for value in (start, end))
    if step < 0:
        return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)
    return range(min(max(start, 0), size), min(max(end, 0), size), step)


def as_slice(chosen: range) -> slice:
    """The same elements as a slice of Python's, which gives a view."""
    if not chosen:
        return slice(0, 0)
    return slice(chosen.start, chosen.stop if chosen.stop >= 0 else None, chosen.step)
