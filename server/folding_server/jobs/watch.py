"""One job's process, watched from its start to its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from math import inf
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

import psutil

from folding_server.jobs import forkserver, tree
from folding_server.jobs.child import run
from folding_server.jobs.confinement import Bounds
from folding_server.jobs.ending import lost, memory_limit, time_limit
from folding_server.jobs.places import Places

#: Seconds between two looks at the memory.
_LOOKS = 0.1
#: More bytes than all stages of a job are called.
_MOST_SAID = 4096

T = TypeVar("T")
Progress = Callable[[str], None]


class Watch:
    """A job's process: started by ``run``, killed by ``stop`` or for passing its bounds.

    Made by a running loop; ``threads`` do what would make it wait.
    """

    def __init__(self, bounds: Bounds, threads: Executor, progress: Progress) -> None:
        self._bounds, self._threads, self._progress = bounds, threads, progress
        self._loop = asyncio.get_running_loop()
        self._exited, self._news = asyncio.Event(), asyncio.Event()
        self._error: BaseException | None = None
        self._said, self._left = b"", _MOST_SAID
        self._end = inf

    def begin(self) -> None:
        """Let its time begin."""
        self._end = self._loop.time() + self._bounds.seconds

    def stop(self, error: BaseException) -> None:
        """Kill it, now or as soon as it is there; ``run`` raises this error then."""
        self._error = self._error or error
        self._news.set()

    def check(self) -> None:
        """Raise what it was stopped with, if it was."""
        if self._error is not None:
            raise self._error

    async def run(self, places: Places) -> int:
        """Start it, and wait until it has ended with all its processes; its exit code.

        Raises:
            FoldError: it passed its bounds.
            OSError: it could not be started.
        """
        self._exited.clear()
        self._news.clear()
        self.check()
        reader, writer = Pipe(duplex=False)
        with reader:
            with writer:
                process = await self._started(run, places.spec, places.folder, writer, self._bounds)
            code = await self._watched(process, reader)
        self.check()
        return code

    async def _started(self, *what: object) -> BaseProcess:
        try:
            return await self._on_thread(forkserver.start, *what)
        except forkserver.Lost as error:
            raise lost() from error

    async def _watched(self, process: BaseProcess, reader: Connection) -> int:
        assert process.pid is not None
        leader, stages = tree.root(process.pid), reader.fileno()
        os.set_blocking(stages, False)
        self._loop.add_reader(process.sentinel, self._on_exit, process.sentinel)
        self._loop.add_reader(stages, self._on_stage, stages)
        try:
            await self._until_over(leader)
        finally:
            await self._on_thread(tree.kill, leader)
            with suppress(TimeoutError):  # Then ``end`` sees to it that it is told.
                async with asyncio.timeout(_LOOKS):
                    await self._exited.wait()
            self._loop.remove_reader(process.sentinel)
            self._on_stage(stages)
            self._loop.remove_reader(stages)
            code = await self._on_thread(forkserver.end, process)
        return code

    async def _until_over(self, leader: psutil.Process | None) -> None:
        """Return when it has ended, or has to."""
        while not self._exited.is_set() and self._error is None:
            left = self._end - self._loop.time()
            if left <= 0:
                self._error = time_limit(self._bounds.seconds)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_LOOKS, left)):
                    await self._news.wait()
                continue
            if await self._on_thread(tree.has_ended, leader):
                return  # If nobody says so, what all jobs are forked from is stopped.
            if await self._on_thread(tree.memory, leader) > self._bounds.memory:
                self._error = self._error or memory_limit()

    async def _on_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._loop.run_in_executor(self._threads, function, *arguments)

    def _on_exit(self, sentinel: int) -> None:
        self._loop.remove_reader(sentinel)
        self._exited.set()
        self._news.set()

    def _on_stage(self, stages: int) -> None:
        """Take note of the lines that it wrote; too many are no stages."""
        with suppress(BlockingIOError):
            heard = os.read(stages, self._left)
            self._left -= len(heard)
            if not heard:
                self._loop.remove_reader(stages)
            *lines, self._said = (self._said + heard).split(b"\n")
            for line in lines:
                self._progress(line.decode(errors="replace"))
