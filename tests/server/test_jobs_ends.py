"""How jobs end before they are done: nothing of them is left, and the next one works."""

from __future__ import annotations

import asyncio
import signal
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
    bomb,
    endless,
    failure,
    removed,
    spec,
    until,
    wait_until_settled,
)
from serving import wait_until

from folding_server.errors import ServiceError
from folding_server.jobs import tree, work
from folding_server.jobs.places import Places
from folding_server.jobs.runner import JobHandle, JobResult, JobSpec, Kind

Act = Callable[[Bench, JobHandle, list[psutil.Process]], Awaitable[None]]


def ended(folder: Path, act: Act, seconds: float = 60.0) -> ServiceError:
    """What a job fails with that would never end; ``act`` is done to it. Nothing is left of it."""
    source = save(endless(), folder / "endless.onnx")

    async def run() -> ServiceError:
        async with bench(folder) as made:
            model = made.shelf.model(source)
            job = made.runner.submit(spec(Kind.FOLD, model, seconds=seconds))
            processes = await made.runs(2)
            await act(made, job, processes)
            error = await failure(job)
            await until(lambda: not made.processes(), SOON)
            assert list(made.jobs.iterdir()) == []
            await removed(made.runner.submit(spec(Kind.EXPLAIN, model)))  # The next one works.
            return error

    return asyncio.run(run())


def test_runs_without_an_end_are_given_up(tmp_path: Path) -> None:
    """A Loop that never ends is not proved, and costs its client less than the time asked for."""
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> JobResult:
        async with bench(tmp_path) as made:
            job = spec(Kind.FOLD, made.shelf.model(source), seconds=12)
            return await removed(made.runner.submit(job))

    found = asyncio.run(run()).facts
    assert found["verdict"] == "unproven"


@pytest.mark.parametrize(
    ("asked", "seconds", "given"),
    [(None, 8.0, 6.0), (8, 8.0, 6.0), (5, 8.0, 5), (None, 3600.0, 600.0), (3600, 3600.0, 3480.0)],
)
def test_runs_have_less_time_than_their_job(
    tmp_path: Path, asked: float | None, seconds: float, given: float
) -> None:
    """So that what runs too long is not proved, here as in the command."""
    job = JobSpec(Kind.VERIFY, options={"run_seconds": asked}, seconds=seconds)

    assert work._runs(job, Places(job, tmp_path), 1 << 30)["run_limits"].seconds == given


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_job_that_dies_is_told_with_its_signal(tmp_path: Path, number: int) -> None:
    """A crash is that of one job, whose client learns the signal; its other process dies too."""

    async def act(_: Bench, __: JobHandle, processes: list[psutil.Process]) -> None:
        processes[0].send_signal(number)

    error = ended(tmp_path, act)
    assert error.reason == "WORKER_CRASHED"
    assert signal.Signals(number).name in str(error)


def test_a_job_that_used_up_the_processor_took_too_long(tmp_path: Path) -> None:
    """The system's own limit of time is one of time."""

    async def act(_: Bench, __: JobHandle, processes: list[psutil.Process]) -> None:
        processes[0].send_signal(signal.SIGXCPU)

    assert ended(tmp_path, act).reason == "JOB_TIME_LIMIT"


def test_a_stopped_job_runs_out_of_time(tmp_path: Path) -> None:
    """Processes that are stopped are killed like any others, within 2 s."""

    async def act(_: Bench, __: JobHandle, processes: list[psutil.Process]) -> None:
        for process in processes:
            process.suspend()

    start = time.monotonic()
    error = ended(tmp_path, act, seconds=3)
    assert error.reason == "JOB_TIME_LIMIT"
    assert "3 s" in str(error)
    assert time.monotonic() - start < 3 + 2 + 3  # The last is for what else is done here.


def test_the_fork_server_may_die(tmp_path: Path) -> None:
    """Its jobs die with it; the next one has a new fork server."""

    async def act(_: Bench, __: JobHandle, processes: list[psutil.Process]) -> None:
        server = processes[0].parent()
        assert server is not None
        server.kill()

    assert ended(tmp_path, act).reason == "WORKER_CRASHED"


def test_a_job_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    """All processes of a job together have a limit."""
    source = save(conv_net(), tmp_path / "net.onnx")

    async def run() -> str:
        async with bench(tmp_path, job_memory=30 << 20) as made:
            job = made.runner.submit(spec(Kind.FOLD, made.shelf.model(source)))
            return (await failure(job)).reason

    assert asyncio.run(run()) == "JOB_MEMORY_LIMIT"


def test_the_memory_of_a_job_is_that_of_all_its_processes(tmp_path: Path) -> None:
    """What the process takes that runs the models counts as much as what its parent takes."""
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> None:
        async with bench(tmp_path) as made:
            job = made.runner.submit(spec(Kind.FOLD, made.shelf.model(source)))
            processes = await made.runs(2)
            wait_until_settled(processes[1])
            for process in processes:
                process.suspend()
            wait_until(lambda: all(process.status() == "stopped" for process in processes))
            sizes = [process.memory_info().rss for process in processes]
            assert tree.memory(processes[0]) == sum(sizes)
            assert tree.memory(processes[1]) == sizes[1]
            await job.cancel()
            assert tree.memory(processes[0]) == 0

    asyncio.run(run())


def test_a_model_that_asks_for_all_memory_is_not_proved(tmp_path: Path) -> None:
    """What its runs may not have is refused them; the rest of the answer is there."""
    source = save(bomb(), tmp_path / "bomb.onnx")

    async def run() -> JobResult:
        async with bench(tmp_path) as made:
            return await removed(made.runner.submit(spec(Kind.FOLD, made.shelf.model(source))))

    assert asyncio.run(run()).facts["verdict"] == "unproven"
