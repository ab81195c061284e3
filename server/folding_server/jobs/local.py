"""Jobs run here, each in a process of its own: so many at once, the others owner by owner in turn.

A job's folder is ``<folder>/<random>``; that of its result is ``<folder>/<random>-out``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from folding_server import threads
from folding_server.errors import ServiceError, draining
from folding_server.jobs import forkserver
from folding_server.jobs.confinement import Bounds
from folding_server.jobs.ending import result_of
from folding_server.jobs.job import LocalJob
from folding_server.jobs.materials import Blobs, make_folder
from folding_server.jobs.runner import JobResult, JobSpec
from folding_server.jobs.turns import Turns
from folding_server.limits import ServerLimits
from folding_server.store.faults import DAMAGED, FULL, storage
from folding_server.store.keeping import discard

T = TypeVar("T")

#: How much the last job counts for what the next one is guessed to take.
_WEIGHT = 0.2
_SHORTEST, _LONGEST = 1.0, 60.0
#: Room that is made for a job: its report, and what its files become.
_ROOM, _COPIES = 16 << 20, 2
#: Seconds that jobs have to end when they are told to.
_CLOSING = 5.0


class LocalRunner:
    """Runs jobs on this machine. Made by a running loop; the fork server should run already.

    Args:
        store: where the files of clients are.
        folder: where jobs have their folders.
        limits: how many jobs, and how much each may take.
    """

    def __init__(self, store: Blobs, folder: Path, limits: ServerLimits) -> None:
        self._store, self._folder, self._limits = store, folder.resolve(), limits
        self._memory = limits.memory_of_job
        self._threads = threads.pool(2 * limits.jobs + 2, "jobs")
        self._waiting = Turns()
        self._running: set[LocalJob] = set()
        self._jobs: WeakSet[LocalJob] = WeakSet()
        self._usual, self._is_closed = 1.0, False

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._running)

    def submit(self, spec: JobSpec) -> LocalJob:
        """Take a job.

        Raises:
            ServiceError: QUEUE_FULL, or DRAINING.
        """
        if self._is_closed:
            raise draining()
        if len(self._waiting) >= self._limits.queue and len(self._running) >= self._limits.jobs:
            self._displace(spec.owner)
        bounds = Bounds(spec.seconds, self._memory, sum(file.size for file in spec.files))
        job = LocalJob(spec, bounds, self._threads, self._work)
        job.when_over(partial(self._forget, job))
        self._jobs.add(job)
        self._waiting.add(job)
        self._advance()
        return job

    def _displace(self, owner: str) -> None:
        """Make room in the queue for an owner who has less in it than another one."""
        last = self._waiting.displaced_by(owner)
        if last is None:
            raise self._queue_full()
        last.watch.stop(self._queue_full())
        last.begin()

    async def close(self) -> None:
        """End all jobs, and take no more. Results that nobody took are removed.

        What all jobs are forked from is killed if they do not end by themselves.
        """
        self._is_closed = True
        ends = [asyncio.ensure_future(job.end(draining())) for job in self._jobs]
        if ends and (await asyncio.wait(ends, timeout=_CLOSING))[1]:
            await asyncio.to_thread(forkserver.kill)
        await asyncio.gather(*ends)
        self._threads.shutdown()

    def _advance(self) -> None:
        """Let begin what may."""
        while self._waiting and len(self._running) < self._limits.jobs:
            job = self._waiting.take()
            self._running.add(job)
            job.begin()

    def _forget(self, job: LocalJob) -> None:
        """It is over, wherever it was."""
        self._waiting.discard(job)
        self._running.discard(job)
        self._advance()

    async def _work(self, job: LocalJob) -> JobResult:
        """Once more if there was no room, and what is only kept for later calls could go."""
        start = time.monotonic()
        try:
            found = await self._found(job)
        except ServiceError as error:
            if error.reason == DAMAGED:
                await self._on_thread(self._store.forget, job.spec.owner, job.spec.files)
            room = _ROOM + _COPIES * sum(file.size for file in job.spec.files)
            if error.reason != FULL or not await self._on_thread(self._store.make_room, room):
                raise
            found = await self._found(job)
        self._usual += _WEIGHT * (time.monotonic() - start - self._usual)
        return found

    async def _found(self, job: LocalJob) -> JobResult:
        with storage("run the job"):
            places = await self._on_thread(make_folder, job.spec, self._store, self._folder)
            try:
                code = await job.watch.run(places)
                return await self._on_thread(result_of, places, code)
            finally:
                await self._on_thread(discard, places.folder)

    async def _on_thread(self, function: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    def _queue_full(self) -> ServiceError:
        wait = self._usual * len(self._waiting) / self._limits.jobs
        return ServiceError(
            "QUEUE_FULL",
            f"{len(self._waiting)} jobs are waiting already",
            hint="Try again later.",
            retry_after=min(max(wait, _SHORTEST), _LONGEST),
        )
