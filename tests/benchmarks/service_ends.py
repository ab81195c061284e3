"""The ends of ``service.py``, each a process of its own: what sends, what takes, what asks.

    python service_ends.py NAME ARGUMENT...

Whatever takes prints where it can be reached, and ends with its standard input. Whatever sends or
asks prints what it measured as JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from folding_server import malloc

malloc.tune()

import grpc  # noqa: E402 - the allocator comes first
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402

from folding.v1 import folding_pb2 as pb  # noqa: E402
from folding.v1.folding_pb2_grpc import FoldingServiceStub  # noqa: E402
from folding_server.binding import settings  # noqa: E402

_HOST = "127.0.0.1"
_SERVICE = "folding.v1.FoldingService"
_PAUSE = 0.01  # Seconds between two questions.
_PATIENCE = 600
_MOST = 4 << 20


async def _sink(request_iterator: object, context: Any) -> None:
    """Take a call's chunks and throw them away; answer as the service does, as far as needed."""
    size = (await context.read()).header.model.file.size
    await context.write(pb.ExplainResponse(accepted=pb.Accepted(wanted=[0], chunk_bytes=_MOST)))
    while size:
        size -= len((await context.read()).chunk.data)
    await context.write(pb.ExplainResponse(progress=pb.Progress(stage="queued")))


async def _grpc_sink() -> None:
    server = grpc.aio.server(options=settings())
    handler = grpc.stream_stream_rpc_method_handler(
        _sink, pb.ExplainRequest.FromString, pb.ExplainResponse.SerializeToString
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(_SERVICE, {"Explain": handler})]
    )
    _say(server.add_insecure_port(f"{_HOST}:0"))
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


def grpc_sink() -> None:
    """A server with the settings of the real one, which keeps nothing."""
    asyncio.run(_grpc_sink())


def tcp_sink() -> None:
    """Read what comes, one connection after another, and say so with one byte."""
    room = bytearray(1 << 20)
    with socket.create_server((_HOST, 0)) as server:
        _say(server.getsockname()[1])
        while True:
            connection, _ = server.accept()
            with connection:
                while connection.recv_into(room):
                    pass
                connection.send(b"!")


def tcp_store(folder: str) -> None:
    """Read what comes, write it to a file and hash it, with nothing else around that."""
    room = bytearray(1 << 20)
    path = Path(folder, "taken")
    with socket.create_server((_HOST, 0)) as server:
        _say(server.getsockname()[1])
        while True:
            connection, _ = server.accept()
            digest = hashlib.sha256()
            with connection, path.open("wb", buffering=0) as file:
                while size := connection.recv_into(room):
                    piece = memoryview(room)[:size]
                    file.write(piece)
                    digest.update(piece)
                connection.send(b"!")
            path.unlink()


def tcp_send(port: str, path: str, chunk: str) -> None:
    """Send a file as it is, and wait until it has been read."""
    with socket.create_connection((_HOST, int(port))) as connection:
        start = time.perf_counter()
        for piece in _pieces(path, int(chunk)):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        _tell(time.perf_counter() - start)


def _pieces(path: str, chunk: int) -> Iterator[bytes]:
    with Path(path).open("rb", buffering=0) as file:
        while piece := file.read(chunk):
            yield piece


def grpc_send(port: str, path: str, most: str) -> None:
    """Send a file as a model, until the server has it whole."""
    digest, size = hashlib.sha256(), Path(path).stat().st_size
    for piece in _pieces(path, int(most)):
        digest.update(piece)
    file = pb.File(path="net.onnx", size=size, sha256=digest.hexdigest())
    header = pb.ExplainHeader(model=pb.Model(file=file))
    told: SimpleQueue[int] = SimpleQueue()

    def requests() -> Iterator[pb.ExplainRequest]:
        yield pb.ExplainRequest(header=header)
        for piece in _pieces(path, min(told.get(), int(most))):
            yield pb.ExplainRequest(chunk=pb.Chunk(data=piece))

    with grpc.insecure_channel(f"{_HOST}:{port}") as channel:
        grpc.channel_ready_future(channel).result(_PATIENCE)
        start = time.perf_counter()
        call: Any = FoldingServiceStub(channel).Explain(requests(), timeout=_PATIENCE)
        told.put(next(call).accepted.chunk_bytes)
        next(reply for reply in call if reply.HasField("progress"))
        _tell(time.perf_counter() - start)
        call.cancel()


def health(port: str) -> None:
    """Ask for the health until standard input ends; the seconds of each answer."""
    found = []
    with grpc.insecure_channel(f"{_HOST}:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), timeout=_PATIENCE)
        _say(port)
        while _goes_on():
            start = time.perf_counter()
            stub.Check(health_pb2.HealthCheckRequest(), timeout=_PATIENCE)
            found.append(time.perf_counter() - start)
    _tell(found)


def _goes_on() -> bool:
    """Wait a moment, or until standard input ends."""
    return not select.select([sys.stdin], [], [], _PAUSE)[0]


def _say(where: object) -> None:
    print(where, flush=True)


def _tell(measured: object) -> None:
    print(json.dumps(measured), flush=True)


_ENDS: tuple[Callable[..., None], ...] = (
    grpc_sink,
    tcp_sink,
    tcp_store,
    tcp_send,
    grpc_send,
    health,
)

if __name__ == "__main__":
    {end.__name__: end for end in _ENDS}[sys.argv[1]](*sys.argv[2:])
