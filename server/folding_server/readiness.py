"""Whether the server can do its work: a job has run, and there is room to write.

Live is another matter: the process answers, whatever its disk is like.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health

from folding.errors import FoldError
from folding_server.errors import ServiceError
from folding_server.jobs.outcome import NO_ROOM
from folding_server.jobs.runner import JobRunner, JobSpec, Kind
from folding_server.logs import LOG

#: What clients ask the health of; "" is the process.
SERVICE = "folding.v1.FoldingService"

_EVERY = 10.0
#: Another job shows that jobs still run, where no client's does.
_EVERY_JOB = 60.0
_JOB_SECONDS = 60.0
_CANCEL_SECONDS = 5.0
#: Bytes for which room is made on a full disk.
_ROOM = 16 << 20


class Readiness:
    """Looks now and then, and tells the health service.

    Args:
        runner: runs jobs.
        folder: has to be written to.
        is_busy: whether clients' jobs run or wait, so that another one would only wait, too.
        check: tells then whether they could, or raises an ``OSError``.
        make_room: removes what is only kept for later calls, so many bytes; whether any was.
    """

    def __init__(
        self,
        runner: JobRunner,
        folder: Path,
        is_busy: Callable[[], bool] = lambda: False,
        check: Callable[[], None] = lambda: None,
        make_room: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.servicer = health.HealthServicer()
        self._make_room = make_room
        self._runner, self._folder, self._is_busy, self._check = runner, folder, is_busy, check
        self._next_try = 0.0
        self._facts: Mapping[str, Any] = {}
        self._failure: FoldError | None = None
        self._tried = asyncio.Event()
        self._is_ready = False

    async def facts(self) -> Mapping[str, Any]:
        """What a job found out about what jobs run with.

        Raises:
            FoldError: no job has run so far.
        """
        await self._tried.wait()
        if self._failure is not None and not self._facts:
            raise self._failure
        return self._facts

    async def watch(self) -> None:
        """Look again and again, until this is cancelled."""
        await self.tell(is_ready=False)
        while True:
            await self.tell(is_ready=await self._works())
            await asyncio.sleep(_EVERY)

    async def tell(self, *, is_ready: bool) -> None:
        """Say it to all who ask, and all who watch."""
        if is_ready and not self._is_ready:
            LOG.info("ready")
        self._is_ready = is_ready
        states = health_pb2.HealthCheckResponse
        await self.servicer.set(SERVICE, states.SERVING if is_ready else states.NOT_SERVING)

    async def _works(self) -> bool:
        try:
            if self._facts and self._is_busy():
                await asyncio.to_thread(self._check)
            elif time.monotonic() >= self._next_try:
                await self._try()
            await asyncio.to_thread(self._write)
        except (FoldError, OSError) as error:
            LOG.error("not ready: %s", error)
            return False
        return True

    def _write(self) -> None:
        """See whether anything can be written. What may go for a call goes for this, too."""
        try:
            _write_to(self._folder)
        except OSError as error:
            if error.errno not in NO_ROOM or not self._make_room(_ROOM):
                raise
            _write_to(self._folder)

    async def _try(self) -> None:
        """Have a job run. Where none does, another look is taken soon."""
        try:
            self._facts, self._failure = await self._found(), None
            self._next_try = time.monotonic() + _EVERY_JOB
        except FoldError as error:
            self._failure = error
            raise
        finally:
            self._tried.set()

    async def _found(self) -> Mapping[str, Any]:
        handle = self._runner.submit(JobSpec(Kind.INFO, seconds=_JOB_SECONDS))
        try:
            async with asyncio.timeout(_JOB_SECONDS):
                return (await handle.result()).facts
        except TimeoutError as error:
            text = f"a job did not end within {_JOB_SECONDS:g} seconds"
            raise ServiceError("JOB_TIME_LIMIT", text) from error
        finally:
            await asyncio.wait([asyncio.ensure_future(handle.cancel())], timeout=_CANCEL_SECONDS)


def _write_to(folder: Path) -> None:
    """See whether anything can be written."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0")
