"""How jobs are ended, and by what: nothing of them is left, and the next one works."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from files import conv_net, save
from jobbing import SOON, Bench, bench, bomb, endless, lost_child, spec, until

from folding_server.errors import ServiceError
from folding_server.jobs import forkserver, tree
from folding_server.jobs.runner import JobHandle, JobResult, JobSpec, Kind

Act = Callable[[Bench, JobHandle, list[psutil.Process]], Awaitable[None]]


async def failure(job: JobHandle) -> ServiceError:
    """What a job fails with."""
    with pytest.raises(ServiceError) as caught:
        await job.result()
    return caught.value


async def removed(job: JobHandle) -> JobResult:
    """What it found, without its files."""
    result = await job.result()
    shutil.rmtree(result.folder)
    return result


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


async def nothing(made: Bench, job: JobHandle, processes: list[psutil.Process]) -> None:
    """Let it go on."""


def test_a_job_without_an_end_is_ended(tmp_path: Path) -> None:
    """A Loop that never ends costs its client the time asked for, and no more than 2 s besides."""
    start = time.monotonic()
    error = ended(tmp_path, nothing, seconds=3)
    assert error.reason == "JOB_TIME_LIMIT"
    assert "3 s" in str(error)
    assert time.monotonic() - start < 3 + 2 + 3  # The last is for what else is done here.


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
    """Processes that are stopped are killed like any others."""

    async def act(_: Bench, __: JobHandle, processes: list[psutil.Process]) -> None:
        for process in processes:
            process.suspend()

    assert ended(tmp_path, act, seconds=3).reason == "JOB_TIME_LIMIT"


def test_the_fork_server_may_die(tmp_path: Path) -> None:
    """Its jobs die with it; the next one has a new fork server."""

    async def act(_: Bench, __: JobHandle, processes: list[psutil.Process]) -> None:
        server = processes[0].parent()
        assert server is not None
        server.kill()

    assert ended(tmp_path, act).reason == "WORKER_CRASHED"


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


def test_what_a_job_leaves_behind_is_killed(tmp_path: Path) -> None:
    """A process that hid in a session of its own ends with the one that started it."""
    note = tmp_path / "pid"
    process = forkserver.start(lost_child, note)
    process.join()
    left = psutil.Process(int(note.read_text(encoding="ascii")))
    assert forkserver.end(process) == 0
    left.wait(SOON)


def test_the_fork_server_is_fit_to_fork(tmp_path: Path) -> None:
    """It has one thread, and what jobs need, but nothing of gRPC."""
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> None:
        async with bench(tmp_path) as made:
            job = made.runner.submit(spec(Kind.FOLD, made.shelf.model(source)))
            leader, *_ = await made.runs(1)
            server = leader.parent()
            assert server is not None
            assert server.num_threads() == 1
            for process in (server, leader):
                libraries = {Path(found.path).name for found in process.memory_maps()}
                assert any("onnxruntime" in name for name in libraries)
                assert not any("cygrpc" in name for name in libraries)
            await job.cancel()

    asyncio.run(run())


_FRONT = """\
import asyncio, sys
from pathlib import Path
from folding_server.jobs.forkserver import start_forkserver
start_forkserver()
from jobbing import bench, endless, spec
from folding_server.jobs.runner import Kind

async def main(folder):
    async with bench(folder) as made:
        source = folder / "endless.onnx"
        source.write_bytes(endless().SerializeToString())
        made.runner.submit(spec(Kind.FOLD, made.shelf.model(source)))
        await made.runs(2)
        print("runs", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


def wait_until_settled(process: psutil.Process) -> None:
    """Wait until a process has told the system when to kill it, and has closed its own pipes."""
    source = Path(f"/proc/{process.pid}/fd/0")
    while source.readlink() != Path("/dev/null"):
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["running", "stopped"])
def test_jobs_do_not_outlive_their_server(tmp_path: Path, how: str) -> None:
    """A server that is killed takes its fork server and all jobs with it, wherever they are."""
    words = [sys.executable, "-c", _FRONT, str(tmp_path)]
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(words, stdout=subprocess.PIPE, env={"PYTHONPATH": tests}) as front:
        assert front.stdout is not None
        assert front.stdout.readline() == b"runs\n"
        family = psutil.Process(front.pid).children(recursive=True)
        for process in family if how == "stopped" else ():
            if Path(process.cwd()).is_relative_to(tmp_path):
                wait_until_settled(process)
                process.suspend()
        front.kill()
    assert len(family) >= 3
    _, left = psutil.wait_procs(family, timeout=5)
    assert not left
