"""The client for event loops: steps carried out by threads, since most of them are about files.

gRPC's own asyncio calls would lose the reason why a server ends a call while it is sent something.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from folding_server.client import operations
from folding_server.client.connection import Connection
from folding_server.client.transfer import Steps

#: Calls at once; the others wait.
_MOST_CALLS = 256

P = ParamSpec("P")
T = TypeVar("T")


def _carried_out(
    steps: Callable[Concatenate[str, P], Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The method that does what steps say."""

    async def method(self: AsyncClient, /, *arguments: P.args, **more: P.kwargs) -> T:
        return await self._carry_out(steps(self._access.target, *arguments, **more))

    functools.update_wrapper(method, steps)
    return method


class AsyncClient(Connection):
    """As ``Client``, for asyncio; made as ``Connection`` says.

    A task that is cancelled ends its call, and so the job on the server; it is over when nothing of
    it goes on here. ``progress`` is called in another thread than the loop's.
    """

    fold = _carried_out(operations.fold)
    verify = _carried_out(operations.verify)
    explain = _carried_out(operations.explain)
    info = _carried_out(operations.info)

    @functools.cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_MOST_CALLS, "fold-model-client")

    async def close(self) -> None:
        """End all calls, and let go of the connection."""
        self._channel.close()
        await asyncio.to_thread(self._threads.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _carry_out(self, steps: Steps[T]) -> T:
        calls = self._calls()
        work = self._threads.submit(calls.carry_out, steps)
        done = asyncio.wrap_future(work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            calls.stop()
            if not work.cancel():  # It has a thread.
                await asyncio.wait([done])
                done.exception()  # Nobody else asks for it.
            raise
