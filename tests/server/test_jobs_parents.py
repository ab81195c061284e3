"""What jobs are forked from, and that they do not outlive it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from files import save
from jobbing import (
    SOON,
    Bench,
    bench,
    endless,
    lost_child,
    spec,
    wait_until_settled,
)

from folding_server.jobs import forkserver
from folding_server.jobs.runner import JobHandle, Kind

Act = Callable[[Bench, JobHandle, list[psutil.Process]], Awaitable[None]]


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
