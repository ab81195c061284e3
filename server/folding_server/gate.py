"""How many calls may be sending at once, of all clients and of each: the rest is told to wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from folding_server.errors import ServiceError

_RETRY_SECONDS = 1.0


class Gate:
    """Counts who is in; nobody ever waits here, so nothing piles up."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._inside = Counter[str]()

    def share(self, whole: int) -> int:
        """What each of those who are in may have of something."""
        return whole // max(self._inside.total(), 1)

    @contextmanager
    def entered(self, owner: str) -> Iterator[None]:
        """Be in.

        Raises:
            ServiceError: QUEUE_FULL.
        """
        if self._inside.total() >= self._most or self._inside[owner] >= self._most_of_one:
            text = "too many calls are sending at once"
            raise ServiceError("QUEUE_FULL", text, retry_after=_RETRY_SECONDS)
        self._inside[owner] += 1
        try:
            yield
        finally:
            self._inside[owner] -= 1
            self._inside += Counter()  # Drops the zero: owners come and go.
