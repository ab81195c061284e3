"""Waiting for clients: as long as is said, or less where too many are waited for.

A message that a client does not end is kept by gRPC as far as it came, where nobody can see or drop
it: where those take too much, the calls that have waited longest for their clients are ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from folding_server.errors import ServiceError, draining

_RETRY_SECONDS = 1.0
#: Whoever sends as fast as a slow line does is never ended.
_SHORT_SECONDS = 2.0


class Waits:
    """All that wait for their clients, in the order in which they began.

    Where ``most`` do, another one ends the first of them.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most_waiting = most
        self._waiting = dict[asyncio.Timeout, float]()
        self._is_closed = False

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """Wait so long for a client in the block, or less if memory is short.

        Raises:
            TimeoutError: it took so long.
            ServiceError: QUEUE_FULL: it took a while, and memory is short; or DRAINING.
        """
        if self._is_closed:
            raise draining()
        loop = asyncio.get_running_loop()
        start = loop.time()
        timeout = asyncio.timeout(seconds)
        if len(self._waiting) == self._most_waiting:
            self._end(next(iter(self._waiting)))
        try:
            async with timeout:
                self._waiting[timeout] = start
                yield
        except TimeoutError as error:
            if self._is_closed:
                raise draining() from error
            if loop.time() < start + seconds:
                raise full() from error
            raise
        finally:
            self._waiting.pop(timeout, None)

    def close(self) -> None:
        """End all calls that wait for their clients, and those that would: the server stops."""
        self._is_closed = True
        for timeout in list(self._waiting):
            self._end(timeout)

    def thin(self) -> None:
        """End half of the calls that wait for their clients, those that have waited longest."""
        now = asyncio.get_running_loop().time()
        long = [each for each, since in self._waiting.items() if now - since > _SHORT_SECONDS]
        for timeout in long[: (len(long) + 1) // 2]:
            self._end(timeout)

    def _end(self, timeout: asyncio.Timeout) -> None:
        del self._waiting[timeout]
        if not timeout.expired():  # Else it ends anyway, in a moment.
            timeout.reschedule(asyncio.get_running_loop().time())


def full() -> ServiceError:
    """What those are told who are too many."""
    text = "there are too many calls at once"
    return ServiceError("QUEUE_FULL", text, retry_after=_RETRY_SECONDS)
