"""What the service does around a job: what a call uses is kept, and nothing else is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from spools import OWNER, finished, keep, spool_at

from folding.errors import StorageFailed
from folding.v1 import folding_pb2 as pb
from folding_server.auth import Access
from folding_server.calls import CALL, Call
from folding_server.gate import Gates
from folding_server.jobs.runner import JobProgress, JobResult, JobSpec
from folding_server.limits import ServerLimits
from folding_server.metrics import Metrics
from folding_server.service import FoldingService
from folding_server.store import Spool

LIMITS = ServerLimits()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with spool_at(tmp_path / "spool") as opened:
        yield opened


def service(spool: Any, runner: Any = None) -> FoldingService:
    gates = Gates.of(LIMITS, has_owners=False)
    readiness: Any = None
    return FoldingService(LIMITS, spool, runner, readiness, Metrics(), gates)


class Job:
    """A job that looks whether its file is there although all that may go has gone."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def submit(self, spec: JobSpec) -> Job:
        self._spool.blobs.make_room(1 << 40)
        assert self._spool.blobs.has(spec.owner, spec.files[0])
        return self

    async def progress(self) -> AsyncIterator[JobProgress]:
        yield JobProgress("read", 0.5)

    async def result(self) -> JobResult:
        return finished(self._spool)

    async def cancel(self) -> None:
        pass


class Client:
    """One that sends a header; before each answer all that may go goes."""

    def __init__(self, spool: Spool, header: pb.FoldHeader) -> None:
        self._spool, self._requests = spool, [pb.FoldRequest(header=header)]
        self.heard = list[pb.FoldResponse]()

    async def read(self) -> Any:
        return self._requests.pop() if self._requests else grpc.aio.EOF

    async def write(self, message: pb.FoldResponse) -> None:
        self._spool.blobs.make_room(1 << 40)
        self.heard.append(message)

    def time_remaining(self) -> None:
        return None


def test_what_a_call_uses_is_kept_as_long(spool: Spool) -> None:
    """Its files until the job has them, and its result until the client has it."""
    file = keep(spool, b"model")
    told = pb.File(path=file.path, size=file.size, sha256=file.sha256)
    client: Any = Client(spool, pb.FoldHeader(model=pb.Model(file=told)))
    requests: Any = None

    async def call() -> None:
        CALL.set(Call("m", "p", Access(OWNER)))
        await service(spool, Job(spool)).Fold(requests, client)

    asyncio.run(call())

    assert [each.WhichOneof("message") for each in client.heard] == [
        "accepted",
        "progress",
        "report",
        "chunk",
        "chunk",
    ]


def test_what_cannot_be_kept_is_answered_all_the_same(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only later calls have less of it."""

    def failing(key: str, result: JobResult) -> JobResult:
        raise StorageFailed(f"the server cannot keep {key} of {result}")

    monkeypatch.setattr(spool.results, "put", failing)
    result = finished(spool)

    assert asyncio.run(service(spool)._kept("key", result)) is result
