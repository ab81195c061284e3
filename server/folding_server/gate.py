"""How many calls may do something at once, of all clients and of each: the rest is sent away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from folding_server.limits import ServerLimits
from folding_server.waits import Waits, full


class Gate(Waits):
    """Counts who is in; nobody waits to get in, so nothing piles up."""

    def __init__(self, most: int, most_of_one: int) -> None:
        super().__init__()
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
            raise full()
        self._inside[owner] += 1
        try:
            yield
        finally:
            self._inside[owner] -= 1
            self._inside += Counter()  # Drops the zero: owners come and go.


@dataclass(frozen=True, slots=True)
class Gates:
    """Those of a server.

    Attributes:
        sending: for calls whose clients send.
        waiting: for calls whose jobs wait or run.
        taking: for calls whose clients take their answers.
    """

    sending: Gate
    waiting: Gate
    taking: Gate

    @classmethod
    def of(cls, limits: ServerLimits, *, has_owners: bool) -> Self:
        """Of several owners none ever keeps all others out."""
        jobs = limits.jobs + limits.queue
        gates = (
            Gate(most, most - most // 4 if has_owners else most)
            for most in (limits.uploads, jobs, limits.uploads)
        )
        return cls(*gates)
