"""A fork server that is stopped: jobs, and the end of the server, do not wait for it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from files import conv_net, save
from jobbing import Bench, bench, endless, failure, removed, spec

from folding_server.jobs import forkserver, local
from folding_server.jobs.runner import JobHandle, Kind

#: Seconds in which another fork server has surely started.
AGAIN = 30.0


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "_ANSWER", 3.0)


@asynccontextmanager
async def running(folder: Path, seconds: float) -> AsyncIterator[tuple[Bench, JobHandle]]:
    """A job that runs for ever, whose fork server is stopped."""
    source = save(endless(), folder / "endless.onnx")
    async with bench(folder) as made:
        job = made.runner.submit(spec(Kind.FOLD, made.shelf.model(source), seconds=seconds))
        leader, *_ = await made.runs()
        server = leader.parent()
        assert server is not None
        server.suspend()
        yield made, job
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_another_one_is_started(tmp_path: Path) -> None:
    """The job that meets it is done all the same, and those before it are told."""
    source = save(conv_net(), tmp_path / "net.onnx")

    async def run() -> None:
        async with running(tmp_path, 600) as (made, before):
            start = time.monotonic()
            await removed(made.runner.submit(spec(Kind.EXPLAIN, made.shelf.model(source))))
            assert time.monotonic() - start < AGAIN
            assert (await failure(before)).reason == "WORKER_CRASHED"

    asyncio.run(run())


def test_a_job_that_has_ended_is_noticed(tmp_path: Path) -> None:
    """Though nobody asks what became of its process: it holds its place no longer than that."""

    async def run() -> None:
        async with running(tmp_path, 600) as (made, job):
            start = time.monotonic()
            leader, *_ = await made.runs()
            leader.kill()
            assert (await failure(job)).reason == "WORKER_CRASHED"
            assert time.monotonic() - start < AGAIN

    asyncio.run(run())


def test_a_check_notices_it(tmp_path: Path) -> None:
    """And ends it, with its jobs; the next check finds another one."""

    async def run() -> None:
        async with running(tmp_path, 600) as (_, job):
            with pytest.raises(TimeoutError, match="did not answer, and was ended"):
                await asyncio.to_thread(forkserver.check)
            assert (await failure(job)).reason == "WORKER_CRASHED"
            await asyncio.to_thread(forkserver.check)

    asyncio.run(run())


def test_one_that_always_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is seen to it that it is gone before another one is asked, and of that one, too."""
    asked = list[str]()

    def started(*_: object) -> None:
        asked.append("started")
        raise EOFError

    monkeypatch.setattr(forkserver, "_started", started)
    monkeypatch.setattr(forkserver, "kill", lambda: asked.append("killed"))
    source = save(conv_net(), tmp_path / "net.onnx")

    async def run() -> None:
        async with bench(tmp_path) as made:
            job = made.runner.submit(spec(Kind.EXPLAIN, made.shelf.model(source)))
            assert (await failure(job)).reason == "WORKER_CRASHED"

    asyncio.run(run())
    assert asked == ["started", "killed"] * 2


def test_one_that_has_just_been_started_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It imports all that jobs need before it answers."""
    forkserver.kill()
    monkeypatch.setattr(forkserver, "_ANSWER", 0.05)
    process = forkserver.start(os.getpid)
    monkeypatch.setattr(forkserver, "_ANSWER", 30.0)

    assert forkserver.end(process) == 0


def test_a_job_ends_in_time(tmp_path: Path) -> None:
    """Its limit holds though nobody says that its process has ended."""

    async def run() -> None:
        async with running(tmp_path, 2) as (made, job):
            for process in made.processes():
                process.suspend()
            start = time.monotonic()
            assert (await failure(job)).reason == "JOB_TIME_LIMIT"
            assert time.monotonic() - start < AGAIN

    asyncio.run(run())


def test_the_wait_for_a_process_counts(tmp_path: Path) -> None:
    """A job has the time that was asked for from its turn on, whatever it waits for."""
    source = save(conv_net(), tmp_path / "net.onnx")

    async def run() -> None:
        async with running(tmp_path, 600) as (made, before):
            job = spec(Kind.EXPLAIN, made.shelf.model(source), seconds=0.2)
            late = made.runner.submit(job)
            assert (await failure(late)).reason == "JOB_TIME_LIMIT"
            await before.cancel()

    asyncio.run(run())


def test_closing_does_not_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it has been asked for."""
    monkeypatch.setattr(forkserver, "_ANSWER", 600.0)
    monkeypatch.setattr(local, "_CLOSING", 0.5)

    async def run() -> None:
        async with running(tmp_path, 600) as (made, _):
            start = time.monotonic()
            await made.runner.close()
            assert time.monotonic() - start < AGAIN

    asyncio.run(run())


def test_a_process_that_is_ended_as_it_is_waited_for_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is when what it was forked from ends, which then says that of it."""
    asked = forkserver._asked
    monkeypatch.setattr(forkserver, "_asked", lambda *_: asked(os._exit, (255,)))

    async def run() -> None:
        async with bench(tmp_path):
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(forkserver.check)

    asyncio.run(run())
