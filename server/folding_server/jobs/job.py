"""A job that was taken: what its client sees of it, whether it waits, runs or is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress

from folding_server.jobs.confinement import Bounds
from folding_server.jobs.runner import JobProgress, JobResult, JobSpec
from folding_server.jobs.watch import Watch
from folding_server.store.keeping import discard

#: How much is done when a stage begins. What does not hold is planned again.
_DONE = {"read": 0.05, "prepare": 0.15, "plan": 0.2, "write": 0.4, "verify": 0.6}
_MOST_STEPS = 100
#: Seconds until a stage that still lasts is told again.
_AGAIN = 60.0

Work = Callable[["LocalJob"], Awaitable[JobResult]]


class LocalJob:
    """A handle on a job. Whoever gets its result has the result's folder.

    Args:
        spec: what to do.
        bounds: what it may take.
        threads: do what would make a loop wait.
        work: does it when it is its turn.
    """

    def __init__(self, spec: JobSpec, bounds: Bounds, threads: Executor, work: Work) -> None:
        self.spec, self.watch = spec, Watch(bounds, threads, self._reach)
        self._turn = asyncio.Event()
        self._steps, self._news = [JobProgress("queued", 0.0)], asyncio.Event()
        self._is_taken = False
        self._task = asyncio.create_task(self._run(work))
        self.when_over(self._tell)

    async def _run(self, work: Work) -> JobResult:
        await self._turn.wait()
        self.watch.check()
        self.watch.begin()
        return await work(self)

    def begin(self) -> None:
        """It is its turn."""
        self._turn.set()

    def when_over(self, call: Callable[[], None]) -> None:
        """Have something called when it is done, or has failed, or was ended."""
        self._task.add_done_callback(lambda _: call())

    async def progress(self) -> AsyncIterator[JobProgress]:
        """The stages as they begin, from the first; ends when the job does.

        The last one is told again from time to time, so that whoever listens knows of it.
        """
        seen = 0
        while True:
            while seen < len(self._steps):
                seen += 1
                yield self._steps[seen - 1]
            if self._task.done():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN):
                    await self._news.wait()
                continue
            yield self._steps[-1]

    async def result(self) -> JobResult:
        """What it found. Its folder is the caller's from now on.

        Raises:
            FoldError: there is no result, and why.
            CancelledError: it was cancelled.
        """
        found = await asyncio.shield(self._task)
        self._is_taken = True
        return found

    async def cancel(self) -> None:
        """End it, with all its processes, and leave nothing of it. Does nothing if it is done."""
        await self.end(asyncio.CancelledError())

    async def end(self, error: BaseException) -> None:
        """End it with an error if it is not done; remove its result if nobody has taken it."""
        self.watch.stop(error)
        self._turn.set()
        await asyncio.wait([self._task])
        if not self._is_taken and not self._has_failed:
            self._is_taken = True
            await asyncio.to_thread(discard, self._task.result().folder)

    def _reach(self, stage: str) -> None:
        """A stage has begun, or so its process says."""
        if stage in _DONE and len(self._steps) < _MOST_STEPS:
            self._steps.append(JobProgress(stage, max(_DONE[stage], self._steps[-1].fraction)))
            self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def _has_failed(self) -> bool:
        return self._task.cancelled() or self._task.exception() is not None
