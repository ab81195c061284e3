"""Jobs that wait, run or are done, and are no longer wanted."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from files import conv_net, save
from jobbing import (
    SOON,
    Bench,
    bench,
    endless,
    failure,
    removed,
    spec,
    until,
)

from folding_server.errors import ServiceError
from folding_server.jobs import job as jobs_job
from folding_server.jobs.runner import JobHandle, JobSpec, Kind

Act = Callable[[Bench, JobHandle, list[psutil.Process]], Awaitable[None]]


@pytest.mark.parametrize("how", ["running", "stopped"])
def test_a_job_is_cancelled_whole_and_at_once(tmp_path: Path, how: str) -> None:
    """Within a second of its cancellation no process and no file of a job is left."""
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> None:
        async with bench(tmp_path) as made:
            job = made.runner.submit(spec(Kind.FOLD, made.shelf.model(source)))
            processes = await made.runs(2)
            for process in processes if how == "stopped" else ():
                process.suspend()
            start = time.monotonic()
            await job.cancel()
            assert time.monotonic() - start < SOON
            assert made.processes() == []
            assert list(made.jobs.iterdir()) == []
            with pytest.raises(asyncio.CancelledError):
                await job.result()

    asyncio.run(run())


def test_what_lasts_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits hears from time to time that the job still does."""
    monkeypatch.setattr(jobs_job, "_AGAIN", 0.05)
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> None:
        async with bench(tmp_path, jobs=1) as made:
            job = spec(Kind.FOLD, made.shelf.model(source))
            made.runner.submit(job)
            waiting, told = made.runner.submit(job), 0
            async for step in waiting.progress():
                assert (step.stage, step.fraction) == ("queued", 0.0)
                told += 1
                if told == 5:
                    break

    asyncio.run(run())


def test_a_job_is_cancelled_before_its_turn(tmp_path: Path) -> None:
    """A job that waits goes from the queue, and makes room in it."""
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> None:
        async with bench(tmp_path, jobs=1, queue=1) as made:
            job = spec(Kind.FOLD, made.shelf.model(source))
            first, second = made.runner.submit(job), made.runner.submit(job)
            with pytest.raises(ServiceError) as caught:
                made.runner.submit(job)
            assert caught.value.reason == "QUEUE_FULL"
            assert caught.value.retry_after
            await second.cancel()
            assert [step.stage async for step in second.progress()] == ["queued"]
            third = made.runner.submit(JobSpec(Kind.INFO))
            await first.cancel()
            assert (await third.result()).facts["version"]

    asyncio.run(run())


def test_cancelling_what_is_done_removes_only_what_nobody_took(tmp_path: Path) -> None:
    """A result belongs to whoever asked for it; without that it goes with its job."""
    source = save(conv_net(), tmp_path / "net.onnx")

    async def run() -> None:
        async with bench(tmp_path) as made:
            job = spec(Kind.EXPLAIN, made.shelf.model(source))
            taken, left = made.runner.submit(job), made.runner.submit(job)
            result = await taken.result()
            await until(lambda: made.runner.running == 0)
            assert len(list(made.jobs.iterdir())) == 2
            await taken.cancel()
            await left.cancel()
            assert list(made.jobs.iterdir()) == [result.folder]
            shutil.rmtree(result.folder)

    asyncio.run(run())


def test_closing_ends_what_waits_what_runs_and_what_nobody_took(tmp_path: Path) -> None:
    """A runner that is closed leaves no process and no file, and says why."""
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> None:
        async with bench(tmp_path, jobs=1) as made:
            model = made.shelf.model(source)
            done = made.runner.submit(spec(Kind.EXPLAIN, model))
            await until(lambda: made.runner.running == 0)
            jobs = [made.runner.submit(spec(Kind.FOLD, model)) for _ in range(3)]
            await made.runs(2)
            start = time.monotonic()
            await made.runner.close()
            assert time.monotonic() - start < SOON
            assert {(await failure(job)).reason for job in jobs} == {"DRAINING"}
            with pytest.raises(ServiceError) as caught:
                made.runner.submit(spec(Kind.EXPLAIN, model))
            assert caught.value.reason == "DRAINING"
            assert not (await done.result()).folder.exists()

    asyncio.run(run())


def test_fifty_jobs_at_once_are_all_done_in_their_order(tmp_path: Path) -> None:
    """None is lost, no more run than may, and the loop is never kept waiting."""
    source = save(conv_net(), tmp_path / "net.onnx")
    order: list[int] = []

    async def done(number: int, job: JobHandle) -> None:
        await removed(job)
        order.append(number)

    async def run() -> float:
        async with bench(tmp_path, jobs=1) as made:
            job = spec(Kind.EXPLAIN, made.shelf.model(source))
            jobs = [made.runner.submit(job) for _ in range(50)]
            assert (made.runner.running, made.runner.waiting) == (1, 49)
            all_done = asyncio.gather(*(done(number, job) for number, job in enumerate(jobs)))
            slowest = 0.0
            while not all_done.done():
                start = time.monotonic()
                await asyncio.sleep(0.01)
                slowest = max(slowest, time.monotonic() - start)
                assert made.runner.running <= 1
            await all_done
            return slowest

    assert asyncio.run(run()) < 0.5
    assert order == list(range(50))
