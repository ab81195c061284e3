"""What a search has still to decide."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush


class Agenda:
    """What is still to be decided, round by round and in order within each."""

    def __init__(self, count: int) -> None:
        self._open = [(0, place) for place in range(count)]
        self._listed = set(range(count))
        self._now = (0, -1)

    def __iter__(self) -> Iterator[int]:
        while self._open:
            self._now = heappop(self._open)
            self._listed.discard(self._now[1])
            yield self._now[1]

    def add(self, place: int) -> None:
        """Decide again: in this round, or in the next if its turn is over."""
        if place not in self._listed:
            current, passed = self._now
            self._listed.add(place)
            heappush(self._open, (current + (place <= passed), place))
