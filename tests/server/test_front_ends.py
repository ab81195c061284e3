"""However a call ends, its job ends with it, over a real socket, and the next one is answered."""

from __future__ import annotations

import queue
import signal
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from files import conv_net, save
from jobbing import endless
from serving import Server, serving, stop, wait_until
from wire import Refusal, ask, chunks, model_of, refusal

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub

#: The fork server, and what watches over what processes share.
IDLE = 2


def processes(server: Server) -> int:
    return len(server.process.children(recursive=True))


def started(
    stub: FoldingServiceStub, folder: Path, seconds: float = 0, **more: Any
) -> tuple[Any, queue.SimpleQueue[Any]]:
    """A call whose job is running, and does so for ever; what to send for it."""
    model, contents = model_of(save(endless(), folder / "endless.onnx"))
    told = pb.JobOptions(time_limit_seconds=seconds)
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    requests.put(pb.FoldRequest(header=pb.FoldHeader(model=model, job=told)))
    call = stub.Fold(iter(requests.get, None), **more)
    if next(call).accepted.wanted:
        for chunk in chunks(0, contents[0]):
            requests.put(pb.FoldRequest(chunk=chunk))
    return call, requests


def stopped(server: Server) -> None:
    """Wait for a job, and stop it: it ends neither by itself nor for want of time to run."""
    wait_until(lambda: processes(server) > IDLE)
    found = sorted(server.process.children(recursive=True), key=psutil.Process.create_time)
    for process in found[IDLE:]:
        process.suspend()


def end_of(call: Any, requests: queue.SimpleQueue[Any]) -> Refusal:
    """How it ends."""
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    requests.put(None)
    return refusal(caught.value)


def all_is_well(server: Server, stub: FoldingServiceStub, folder: Path) -> None:
    """No process and no file of the job is left, and another one is done."""
    wait_until(lambda: processes(server) == IDLE and server.left() == [], 5)
    model, contents = model_of(save(conv_net(seed=41), folder / "net.onnx"))
    answer = ask(stub.Explain, pb.ExplainRequest, pb.ExplainHeader(model=model), contents)
    assert len(answer.report.decisions) == 1


@pytest.mark.parametrize("stage", ["queued", "read", "verify"])
def test_a_client_that_goes_takes_its_job_with_it(
    server: Server, tmp_path: Path, stage: str
) -> None:
    """Whatever stage the job is in."""
    with server.stub() as stub:
        call, requests = started(stub, tmp_path)
        while next(call).progress.stage != stage:
            pass
        call.cancel()
        requests.put(None)
        all_is_well(server, stub, tmp_path)


def test_the_deadline_of_a_call_is_that_of_its_job(server: Server, tmp_path: Path) -> None:
    """Nobody would take the result any more."""
    with server.stub() as stub:
        call = started(stub, tmp_path, timeout=3)
        stopped(server)
        found = end_of(*call)
        assert found.code is grpc.StatusCode.DEADLINE_EXCEEDED
        all_is_well(server, stub, tmp_path)


def test_a_job_has_the_seconds_that_its_client_gives_it(server: Server, tmp_path: Path) -> None:
    """Then the call fails with a reason."""
    with server.stub() as stub:
        call = started(stub, tmp_path, seconds=2, timeout=30)
        stopped(server)
        found = end_of(*call)
        assert (found.code, found.reason) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "JOB_TIME_LIMIT",
        )
        all_is_well(server, stub, tmp_path)


def test_what_is_sent_while_a_job_runs_ends_it(server: Server, tmp_path: Path) -> None:
    """More bytes than there are, in a file that the server may have already."""
    with server.stub() as stub:
        call, requests = started(stub, tmp_path)
        while next(call).progress.stage != "verify":
            pass
        requests.put(pb.FoldRequest(chunk=pb.Chunk(data=bytes(1 << 16))))
        assert end_of(call, requests).reason == "SIZE_MISMATCH"
        all_is_well(server, stub, tmp_path)


def test_a_job_that_outlasts_the_grace_is_told_of(tmp_path: Path) -> None:
    """Its client learns that the server is being stopped, and may try another one."""
    with serving(tmp_path, "--grace", "0.3") as server, server.stub() as stub:
        call, requests = started(stub, tmp_path)
        while next(call).progress.stage != "read":
            pass
        server.process.send_signal(signal.SIGTERM)
        found = end_of(call, requests)
        stop(server.process)

    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
