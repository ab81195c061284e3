"""A passing lack of threads: who calls then is told so, and nothing else comes of it."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread, Timer

import grpc
import pytest
from files import conv_net, save
from jobbing import bench, removed, spec
from serving import serving
from wire import ask, model_of, refusal

from folding.errors import StorageFailed
from folding.v1 import folding_pb2 as pb
from folding_server import threads, watchdog
from folding_server.jobs import forkserver
from folding_server.jobs.runner import Kind

#: What a process does first: it has no thread left while there is such a file, and never one for
#: asyncio, which starts its own only when they are needed.
_POOR = """
import pathlib, threading
start = threading.Thread.start
def poor(self):
    if self.name.startswith("asyncio") or pathlib.Path({flag!r}).exists():
        raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = poor
"""


@contextmanager
def no_thread_left() -> Iterator[None]:
    """None can be started, as Python says it."""

    def start(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Thread, "start", start)
        yield


def test_a_call_meanwhile_is_refused_and_the_next_one_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server itself has had all its threads since it began."""
    flag = tmp_path / "flag"
    (tmp_path / "sitecustomize.py").write_text(_POOR.format(flag=str(flag)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    model, contents = model_of(save(conv_net(), tmp_path / "net.onnx"))
    asked = pb.ExplainRequest, pb.ExplainHeader(model=model), contents
    with serving(tmp_path) as server, server.stub() as stub:
        flag.touch()
        with pytest.raises(grpc.RpcError) as caught:
            ask(stub.Explain, *asked)
        flag.unlink()
        answer = ask(stub.Explain, *asked)

    assert refusal(caught.value).reason == "STORAGE_FAILED"
    assert refusal(caught.value).message.endswith("run the job: no thread can be started")
    assert len(answer.report.decisions) == 1


def test_a_job_begins_when_there_is_one_again(tmp_path: Path) -> None:
    """Its end, and a look at what it was forked from, are awaited all the same."""
    source = save(conv_net(), tmp_path / "net.onnx")

    async def run() -> None:
        async with bench(tmp_path) as made:
            job = spec(Kind.EXPLAIN, made.shelf.model(source))
            refused = pytest.raises(StorageFailed, match="run the job: no thread")
            with no_thread_left(), refused:
                await made.done(job)
            await removed(made.runner.submit(job))

    asyncio.run(run())


def test_the_end_of_a_process_needs_none() -> None:
    """It is waited for by the thread that asks; only what begins one needs another."""
    process = forkserver.start(os.getpid)
    with no_thread_left():
        assert forkserver.end(process) == 0
        with pytest.raises(OSError, match="no thread") as caught:
            forkserver.check()
    assert caught.value.errno == errno.EAGAIN
    forkserver.check()


def test_the_server_ends_without_one(caplog: pytest.LogCaptureFixture) -> None:
    """Though nothing kills it if it hangs; that is logged."""
    with no_thread_left():
        watchdog.end_within(60)

    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no thread can be started" in caplog.text


def test_a_pool_has_all_its_threads_from_the_start() -> None:
    """So that many do wait for each other though no other one can be started."""
    pool, all_wait = threads.pool(3, "test"), Barrier(3)
    with no_thread_left(), pool:
        waits = [pool.submit(all_wait.wait, 10) for _ in range(3)]
        assert sorted(wait.result() for wait in waits) == [0, 1, 2]


def test_a_server_that_lacks_them_at_its_start_says_so() -> None:
    """Rather than later, to a client."""
    with no_thread_left():
        with pytest.raises(StorageFailed, match="cannot start its threads"):
            threads.pool(3, "test")
        with pytest.raises(OSError, match="no thread"):
            threads.start(Timer(1, print))
