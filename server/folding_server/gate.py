"""How many calls may be sending at once, of all clients and of each: the rest is told to wait.

A message that a client does not end is kept by gRPC as far as it came, where nobody can see or drop
it: where those take too much, the calls that have waited longest for their clients are ended.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from folding_server.errors import ServiceError

_RETRY_SECONDS = 1.0
#: Whoever sends as fast as a slow line does is never ended.
_SHORT_SECONDS = 2.0


class Gate:
    """Counts who is in; nobody ever waits here, so nothing piles up."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._inside = Counter[str]()
        self._waiting = dict[asyncio.Timeout, float]()

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
            raise self._full()
        self._inside[owner] += 1
        try:
            yield
        finally:
            self._inside[owner] -= 1
            self._inside += Counter()  # Drops the zero: owners come and go.

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """Wait so long for a client in the block, or less if memory is short.

        Raises:
            TimeoutError: it took so long.
            ServiceError: QUEUE_FULL: it took a while, and memory is short.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                self._waiting[timeout] = start
                yield
        except TimeoutError as error:
            if loop.time() < start + seconds:
                raise self._full() from error
            raise
        finally:
            self._waiting.pop(timeout, None)

    def thin(self) -> None:
        """End half of the calls that wait for their clients, those that have waited longest."""
        now = asyncio.get_running_loop().time()
        long = [each for each, since in self._waiting.items() if now - since > _SHORT_SECONDS]
        for timeout in long[: (len(long) + 1) // 2]:
            timeout.reschedule(now)

    @staticmethod
    def _full() -> ServiceError:
        text = "too many calls are sending at once"
        return ServiceError("QUEUE_FULL", text, retry_after=_RETRY_SECONDS)
