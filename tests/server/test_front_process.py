"""The server as a process: what it is made of, what it says of its health, and how it ends."""

from __future__ import annotations

import queue
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import psutil
import pytest
from files import conv_net, run, save
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import (
    reflection_pb2,
    reflection_pb2_grpc,
)
from serving import Server, needs_root, refused, serving, started, stop, wait_until
from wire import ask, chunks, model_of, refusal

from folding.interrupts import SIGNALS
from folding.v1 import folding_pb2 as pb

SERVICE = "folding.v1.FoldingService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health(server: Server, service: str) -> int:
    with grpc.insecure_channel(server.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service=service)
        return int(stub.Check(asked, timeout=5).status)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("option", ["--idle", "--time-limit", "--grace"])
def test_a_limit_that_is_no_number_is_refused(tmp_path: Path, option: str) -> None:
    """It would end nothing, or everything."""
    code, said = refused(tmp_path, option, "nan")

    assert code == 2
    assert f"Invalid value for '{option}': 'nan' is not a number." in said


class Held:
    """A call that has sent its header, and goes on when it is told to."""

    def __init__(self, stub: Any, path: Path) -> None:
        model, self.contents = model_of(path)
        self.requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.requests.put(pb.FoldRequest(header=pb.FoldHeader(model=model)))
        self.replies = stub.Fold(iter(self.requests.get, None), timeout=60)
        self.accepted = next(self.replies).accepted

    def go_on(self) -> list[pb.FoldResponse]:
        """Send what is left; all that is answered."""
        for chunk in chunks(0, self.contents[0]):
            self.requests.put(pb.FoldRequest(chunk=chunk))
        self.requests.put(None)
        return list(self.replies)


@contextmanager
def held(server: Server, folder: Path) -> Iterator[Held]:
    """A call that keeps the server waiting."""
    source = save(conv_net(seed=21), folder / "net.onnx")
    with server.stub() as stub:
        call = Held(stub, source)
        yield call
        call.requests.put(None)


@needs_root
def test_a_server_is_small_healthy_and_without_onnx(tmp_path: Path) -> None:
    """After a fold the front has loaded nothing of onnx, and has less than 100 MB."""
    model, contents = model_of(save(conv_net(seed=22), tmp_path / "net.onnx"))
    with serving(tmp_path) as server:
        with server.stub() as stub:
            ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model), contents)
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()

        assert "grpc" in maps
        assert not any(name in maps for name in ("onnx", "numpy"))
        assert server.process.memory_info().rss < 100_000_000
        assert health(server, "") == health(server, SERVICE) == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            health(server, "another.Service")
    assert refusal(caught.value).code is grpc.StatusCode.NOT_FOUND


def names_of_services(server: Server) -> set[str]:
    """What a client finds that knows nothing of the service."""
    with grpc.insecure_channel(server.target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        (reply,) = stub.ServerReflectionInfo(iter([asked]), timeout=5)
        return {service.name for service in reply.list_services_response.service}


def test_reflection_is_off_unless_asked_for(tmp_path: Path) -> None:
    """A server tells its API only if it shall."""
    with serving(tmp_path, ready=False) as server, pytest.raises(grpc.RpcError) as caught:
        names_of_services(server)
    assert refusal(caught.value).code is grpc.StatusCode.UNIMPLEMENTED

    with serving(tmp_path, "--reflection", ready=False) as server:
        assert SERVICE in names_of_services(server)


def test_metrics_count_what_was_done(tmp_path: Path) -> None:
    """Calls by their codes, bytes, jobs: in the text format of Prometheus."""
    port = free_port()
    model, contents = model_of(save(conv_net(seed=23), tmp_path / "net.onnx"))
    with serving(tmp_path, "--metrics", f"127.0.0.1:{port}") as server, server.stub() as stub:
        ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model), contents)
        with pytest.raises(grpc.RpcError):
            ask(stub.Fold, pb.FoldRequest, pb.FoldHeader())
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            text = reply.read().decode()

    method = f'method="/{SERVICE}/Fold"'
    assert f'folding_calls_total{{code="OK",{method}}} 1.0' in text
    assert f'folding_calls_total{{code="INVALID_ARGUMENT",{method}}} 1.0' in text
    assert f"folding_received_bytes_total {len(contents[0])}.0" in text
    assert 'folding_job_seconds_count{kind="fold"} 1.0' in text
    assert "folding_running_jobs 0.0" in text
    assert "folding_queued_jobs 0.0" in text
    assert "folding_spool_bytes" in text


@pytest.mark.parametrize("with_header", [False, True])
def test_a_client_that_sends_nothing_is_given_up(tmp_path: Path, *, with_header: bool) -> None:
    """Neither before nor after its header does a call wait for ever."""
    source = save(conv_net(), tmp_path / "net.onnx")
    with serving(tmp_path, "--idle", "0.3", ready=False) as server, server.stub() as stub:
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        if with_header:
            model, _ = model_of(source)
            requests.put(pb.FoldRequest(header=pb.FoldHeader(model=model)))
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Fold(iter(requests.get, None), timeout=30))
        requests.put(None)

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.ABORTED, "UPLOAD_IDLE")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_calls_end_and_none_begin(tmp_path: Path, number: signal.Signals) -> None:
    """It is not ready any more, but lives; who is in gets an answer, who comes is sent away."""
    with serving(tmp_path) as server, held(server, tmp_path) as call:
        server.process.send_signal(number)
        wait_until(lambda: health(server, SERVICE) == NOT_SERVING)

        assert health(server, "") == SERVING
        with server.stub() as stub, pytest.raises(grpc.RpcError) as caught:
            stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=5)
        replies = call.go_on()
        server.process.wait(10)

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert found.retry_after == 1
    assert replies[-1].chunk.file == 1


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Nobody has to wait for a client that sends nothing."""
    with serving(tmp_path) as server, held(server, tmp_path) as call:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: health(server, SERVICE) == NOT_SERVING)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)

        assert time.monotonic() - start < 5
        with pytest.raises(grpc.RpcError) as caught:
            list(call.replies)
    assert refusal(caught.value).reason == "DRAINING"


def test_calls_have_only_so_long_to_end(tmp_path: Path) -> None:
    """The grace is over some time; who still sends then is told to go elsewhere."""
    with serving(tmp_path, "--grace", "0.3") as server, held(server, tmp_path) as call:
        stop(server.process)
        with pytest.raises(grpc.RpcError) as caught:
            list(call.replies)

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert found.retry_after == 1


def test_a_signal_that_the_caller_ignores_is_ignored(tmp_path: Path) -> None:
    """As nohup wants it."""
    with serving(tmp_path, within=["nohup"]) as server:
        server.process.send_signal(signal.SIGHUP)
        with pytest.raises(psutil.TimeoutExpired):
            server.process.wait(1)

        assert health(server, SERVICE) == SERVING


def test_the_help_names_all_signals_that_end_it() -> None:
    """An operator may send any of them."""
    said = run("serve", "--help").stdout

    assert [number.name for number in SIGNALS if number.name not in said] == []


def test_a_server_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """The forkserver goes with it; the next server on the same spool starts clean."""
    with started(tmp_path) as process:
        wait_until(lambda: "ready" in (tmp_path / "log").read_text())
        family = process.children(recursive=True)
        assert family
        process.kill()
        process.wait(10)
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
    with serving(tmp_path) as after:
        assert after.left() == []


def test_a_socket_of_a_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else on the machine may call; it is gone with the server."""
    path = tmp_path / "socket"
    with serving(tmp_path, listen=f"unix:{path}") as server:
        assert server.target == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with server.stub() as stub:
            assert stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=20).jobs == 2
        (tmp_path / "other").mkdir()
        code, text = refused(tmp_path / "other", listen=f"unix:{path}")
        assert code == 2
        assert "is it in use?" in text
    assert not path.exists()


def test_two_servers_share_neither_port_nor_spool(tmp_path: Path) -> None:
    """The second one says so in one sentence."""
    (tmp_path / "other").mkdir()
    with serving(tmp_path, ready=False) as server:
        code, text = refused(tmp_path / "other", listen=server.target)
        assert (code, text.count("\n")) == (2, 1)
        assert "is it in use?" in text

        code, text = refused(tmp_path / "other", "--spool", str(server.spool))
        assert (code, text.count("\n")) == (2, 1)
        assert "another server" in text


@pytest.mark.parametrize(
    ("words", "listen", "why"),
    [
        ([], "0.0.0.0:0", "without encryption"),
        ([], "nowhere", "is no address"),
        (["--tokens", "missing"], "127.0.0.1:0", "cannot be read"),
        (["--tls-cert", "missing", "--tls-key", "missing"], "127.0.0.1:0", "cannot be used"),
        (["--client-ca", "missing"], "127.0.0.1:0", "both a certificate and a key"),
        ([], "unix:/nowhere/socket", "there is no such folder"),
        (["--metrics", "x"], "127.0.0.1:0", "is no address"),
        (["--metrics", "unix:x"], "127.0.0.1:0", "cannot be served"),
    ],
)
def test_a_bad_option_is_one_sentence(
    tmp_path: Path, words: list[str], listen: str, why: str
) -> None:
    """And an exit code of 2, before anything is served."""
    code, text = refused(tmp_path, *words, listen=listen)

    assert (code, text.count("\n")) == (2, 1)
    assert text.startswith("fold-model: ")
    assert why in text
