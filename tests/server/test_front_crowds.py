"""Clients that are too many, or that hold on to what they have begun: others are still answered."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from files import conv_net, save
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import Server, needs_root, serving, wait_until
from wire import ask, model_of, refusal

from folding.v1 import folding_pb2 as pb
from folding_server import descriptors, handlers
from folding_server.errors import ServiceError
from folding_server.interceptors import _ask
from folding_server.waits import Waits

INFO = "/folding.v1.FoldingService/GetServerInfo"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
CHECK = "/grpc.health.v1.Health/Check"
#: A connection that no other channel shares.
OWN = [("grpc.use_local_subchannel_pool", 1)]
#: A client's first words in HTTP/2, with empty settings.
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all of them, which wants tokens."""
    folder = tmp_path_factory.mktemp("server")
    tokens = folder / "tokens"
    tokens.write_text(f"{hashlib.sha256(b'a').hexdigest()} alice fold\n")
    tokens.chmod(0o600)
    few = ["sh", "-c", 'ulimit -n 400; exec "$@"', "sh"]
    with serving(folder, "--tokens", str(tokens), within=few) as server:
        yield server


async def silence() -> AsyncIterator[bytes]:
    """A request of which no byte comes."""
    await asyncio.sleep(30)
    yield b""


async def codes(target: str, method: str, count: int) -> list[grpc.StatusCode]:
    """How so many calls end whose only message does not come."""
    async with grpc.aio.insecure_channel(target) as channel:
        silent: Any = channel.stream_unary(method)
        calls = [silent(silence(), timeout=20) for _ in range(count)]
        return list(await asyncio.gather(*(call.code() for call in calls)))


def health(server: Server) -> int:
    with grpc.insecure_channel(server.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status)


def test_who_has_no_token_is_not_waited_for(server: Server) -> None:
    """The call is refused before any of its message is read."""
    assert asyncio.run(codes(server.target, INFO, 3)) == [grpc.StatusCode.UNAUTHENTICATED] * 3


def test_a_single_message_is_not_waited_for_long(server: Server) -> None:
    """Not even where no token is needed; and of too many that wait the first ones are ended."""
    found = Counter(asyncio.run(codes(server.target, CHECK, 150)))

    assert found == {grpc.StatusCode.RESOURCE_EXHAUSTED: 22, grpc.StatusCode.ABORTED: 128}
    assert health(server) == 1


def test_reflection_is_not_waited_for_long(tmp_path: Path) -> None:
    """Its calls take as much of a message as comes: of too many the first are ended, all soon."""
    with serving(tmp_path, "--reflection") as reflecting:
        found = Counter(asyncio.run(codes(reflecting.target, REFLECTION, 40)))

    assert found == {grpc.StatusCode.RESOURCE_EXHAUSTED: 24, grpc.StatusCode.ABORTED: 16}


def test_who_does_not_take_what_reflection_says_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be in memory for as long."""
    monkeypatch.setattr(handlers, "_SECONDS", 0.05)

    class Stuck:
        async def read(self) -> bytes:
            return b""

        async def write(self, _: bytes) -> None:
            await asyncio.sleep(30)

    async def echo(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def answer(run: Callable[[], Awaitable[None]], _: Any) -> None:
        await run()

    echoes: Any = grpc.stream_stream_rpc_method_handler(echo)
    handler: Any = handlers.streamed(echoes, answer, Waits())
    with pytest.raises(ServiceError, match="no message came, or was taken, within"):
        asyncio.run(handler.stream_stream(None, Stuck()))


@pytest.mark.parametrize("messages", [[], [b"\xff"]])
def test_what_asks_for_nothing_is_refused(server: Server, messages: list[bytes]) -> None:
    """Neither no message nor junk is a question."""
    with grpc.insecure_channel(server.target) as channel:
        method: Any = channel.stream_unary(CHECK)
        with pytest.raises(grpc.RpcError) as caught:
            method(iter(messages), timeout=10)

    assert refusal(caught.value).reason == "BAD_REQUEST"


def test_who_is_gone_is_told_nothing() -> None:
    """That the answer cannot be sent is no error of the server."""

    async def gone() -> None:
        raise grpc.aio.InternalError

    context: Any = None
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_ask(gone, context))


def test_so_many_watch_the_health_and_no_more(server: Server) -> None:
    """Whoever asks once is still told."""
    with ExitStack() as stack:
        watches = list[Any]()
        for _ in range(2):
            channel = stack.enter_context(grpc.insecure_channel(server.target, OWN))
            stub = health_pb2_grpc.HealthStub(channel)
            watches += (stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(128))
            assert {next(watch).status for watch in watches[-128:]} == {1}
        other = stack.enter_context(grpc.insecure_channel(server.target, OWN))
        with pytest.raises(grpc.RpcError) as caught:
            next(health_pb2_grpc.HealthStub(other).Watch(health_pb2.HealthCheckRequest()))
        assert health(server) == 1

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@needs_root
def test_connections_do_not_take_all_descriptors(server: Server) -> None:
    """However many come; and when they go others get in."""
    host, port = server.target.rsplit(":", 1)
    with ExitStack() as stack:
        for _ in range(500):
            caller = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
            try:
                caller.sendall(HELLO)
            except OSError:  # It is not wanted.
                continue
        assert server.process.num_fds() < 300
    wait_until(lambda: server.process.num_fds() < 100)
    assert health(server) == 1


@needs_root
def test_who_takes_no_answer_holds_neither_files_nor_much_memory(tmp_path: Path) -> None:
    """Of a kept answer that many ask for and none reads, a piece is held for each of them."""
    net = conv_net()
    net.doc_string = "x" * (8 << 20)
    model, contents = model_of(save(net, tmp_path / "net.onnx"))
    header = pb.FoldHeader(model=model, skip_verification=True)
    with serving(tmp_path) as server, server.stub() as stub:
        ask(stub.Fold, pb.FoldRequest, header, contents)
        calls = [stub.Fold(iter([pb.FoldRequest(header=header)])) for _ in range(100)]
        assert [bool(next(call).accepted.chunk_bytes) for call in calls] == [True] * 100
        time.sleep(2)

        kept = [file for file in server.process.open_files() if "results" in file.path]
        assert len(kept) < 10
        assert server.process.memory_info().rss < 200 << 20
        for call in calls:
            call.cancel()


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "connections"),
    [
        (1024, 4096, 4096, 3840),
        (100, 100, 100, 50),
        (1024, resource.RLIM_INFINITY, 65536, 8192),
        (*[resource.RLIM_INFINITY] * 3, 8192),
    ],
)
def test_a_server_takes_all_descriptors_that_it_may(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, allowed: int, connections: int
) -> None:
    """Whatever it is given at first; some are left to files, and of many not all are needed."""
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))

    descriptors.allow_all()

    assert limits[-1] == (allowed, hard)
    assert descriptors.most_connections() == connections
