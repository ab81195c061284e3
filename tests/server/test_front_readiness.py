"""Whether a server can do its work: jobs run now and then, and something can be written."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from folding_server import readiness as module
from folding_server.errors import ServiceError
from folding_server.jobs.runner import JobProgress, JobResult, JobSpec, Kind
from folding_server.readiness import SERVICE, Readiness


class Jobs:
    """A runner whose jobs all fail, or all find the same."""

    def __init__(self, found: dict[str, Any] | ServiceError) -> None:
        self.found = found
        self.kinds = list[Kind]()

    def submit(self, spec: JobSpec) -> Jobs:
        self.kinds.append(spec.kind)
        return self

    async def progress(self) -> AsyncIterator[JobProgress]:
        yield JobProgress("queued", 0)

    async def result(self) -> JobResult:
        if isinstance(self.found, ServiceError):
            raise self.found
        return JobResult(self.found, Path())

    async def cancel(self) -> None: ...

    async def close(self) -> None: ...


async def _state(runner: Jobs, folder: Path) -> tuple[int, Any]:
    """What is told of the health, and the facts or the error, after the first look."""
    readiness = Readiness(runner, folder)
    watch = asyncio.ensure_future(readiness.watch())
    try:
        facts: Any = await readiness.facts()
    except ServiceError as error:
        facts = error
    await asyncio.sleep(0.1)
    watch.cancel()
    reply = await readiness.servicer.Check(health_pb2.HealthCheckRequest(service=SERVICE), None)
    return reply.status, facts


def test_a_server_is_ready_when_a_job_has_run_and_it_can_write(tmp_path: Path) -> None:
    """Either alone does not do, and what the job found is told."""
    serving, not_serving = 1, 2
    crash = ServiceError("WORKER_CRASHED", "it crashed")

    assert asyncio.run(_state(Jobs({"a": 1}), tmp_path)) == (serving, {"a": 1})
    assert asyncio.run(_state(Jobs({"a": 1}), tmp_path / "gone")) == (not_serving, {"a": 1})
    assert asyncio.run(_state(Jobs(crash), tmp_path)) == (not_serving, crash)


@pytest.mark.parametrize(
    ("number", "freed", "status"),
    [
        (errno.ENOSPC, 9, 1),
        (errno.EDQUOT, 9, 1),
        (errno.ENOSPC, 0, 2),
        (errno.EIO, 9, 2),
    ],
)
def test_a_full_disk_on_which_room_can_be_made_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, freed: int, status: int
) -> None:
    """As it is for a call, which nobody would send to a server that is not ready."""
    faults = [OSError(number, "no")]
    monkeypatch.setattr(module, "_write_to", lambda _: _raise(faults))

    def make_room(_: int) -> bool:
        faults.clear()
        return freed > 0

    async def state() -> int:
        readiness = Readiness(Jobs({"a": 1}), tmp_path, make_room=make_room)
        watch = asyncio.ensure_future(readiness.watch())
        await asyncio.sleep(0.2)
        watch.cancel()
        reply = await readiness.servicer.Check(health_pb2.HealthCheckRequest(service=SERVICE), None)
        return int(reply.status)

    assert asyncio.run(state()) == status


def _raise(faults: list[OSError]) -> None:
    for fault in faults:
        raise fault


class Stuck(Jobs):
    """A runner whose jobs neither begin nor can be cancelled."""

    async def result(self) -> JobResult:
        return await asyncio.Future()

    async def cancel(self) -> None:
        await asyncio.Future()


class Full(Jobs):
    """A runner that takes no job."""

    def submit(self, spec: JobSpec) -> Jobs:
        raise ServiceError("QUEUE_FULL", f"no more of kind {spec.kind}")


def test_jobs_that_do_not_begin_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the server nor by who asks what it is."""
    monkeypatch.setattr(module, "_JOB_SECONDS", 0.05)
    monkeypatch.setattr(module, "_CANCEL_SECONDS", 0.05)

    for runner, reason in ((Stuck({}), "JOB_TIME_LIMIT"), (Full({}), "QUEUE_FULL")):
        status, error = asyncio.run(_state(runner, tmp_path))
        assert (status, error.reason) == (2, reason)


async def _checked(folder: Path, fault: OSError | None) -> int:
    """What is told of the health of a server that is busy, by the second look."""

    def check() -> None:
        if fault:
            raise fault

    readiness = Readiness(Jobs({"a": 1}), folder, lambda: True, check)
    watch = asyncio.ensure_future(readiness.watch())
    await asyncio.sleep(0.3)
    watch.cancel()
    reply = await readiness.servicer.Check(health_pb2.HealthCheckRequest(service=SERVICE), None)
    return int(reply.status)


def test_while_there_are_other_jobs_it_is_seen_whether_they_can_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose jobs cannot be forked is not ready, however many wait."""
    monkeypatch.setattr(module, "_EVERY", 0.02)
    assert asyncio.run(_checked(tmp_path, None)) == 1
    assert asyncio.run(_checked(tmp_path, TimeoutError("no answer"))) == 2


async def _counted(runner: Jobs, folder: Path, *, is_busy: bool) -> int:
    """How many jobs show that jobs run, in some looks."""
    watch = asyncio.ensure_future(Readiness(runner, folder, lambda: is_busy).watch())
    await asyncio.sleep(0.3)
    watch.cancel()
    return len(runner.kinds)


def test_jobs_are_tried_again_while_there_are_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of clients are not held up; where one has failed another one follows soon."""
    monkeypatch.setattr(module, "_EVERY", 0.02)
    crash = ServiceError("WORKER_CRASHED", "it crashed")
    assert asyncio.run(_counted(Jobs({"a": 1}), tmp_path, is_busy=False)) == 1
    assert asyncio.run(_counted(Jobs(crash), tmp_path, is_busy=False)) > 2
    monkeypatch.setattr(module, "_EVERY_JOB", 0.05)
    assert asyncio.run(_counted(Jobs({"a": 1}), tmp_path, is_busy=True)) == 1
    assert asyncio.run(_counted(Jobs({"a": 1}), tmp_path, is_busy=False)) > 2
