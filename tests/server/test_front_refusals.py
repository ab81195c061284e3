"""Calls that the service refuses, over a real socket: each with its reason, and no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from serving import Server
from wire import Refusal, declared, refusal

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub

DATA = b"no model at all"
FOLD = "/folding.v1.FoldingService/Fold"
INFO = "/folding.v1.FoldingService/GetServerInfo"


def refused(method: Any, *requests: Any, **more: Any) -> Refusal:
    """What a call is refused with that sends these messages, whatever it is answered."""
    with pytest.raises(grpc.RpcError) as caught:
        list(method(iter(requests), timeout=30, **more))
    return refusal(caught.value)


def header(data: bytes = DATA, **more: Any) -> pb.FoldRequest:
    file = declared("m.onnx", data)
    return pb.FoldRequest(header=pb.FoldHeader(model=pb.Model(file=file), **more))


def chunk(data: bytes, number: int = 0) -> pb.FoldRequest:
    return pb.FoldRequest(chunk=pb.Chunk(file=number, data=data))


def test_a_model_that_is_none_is_refused_as_the_command_does(stub: FoldingServiceStub) -> None:
    """The sentence names the model as its client does; no path of the server is in it."""
    found = refused(stub.Fold, header(), chunk(DATA))

    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MODEL")
    assert "'m.onnx'" in found.message
    assert "/" not in found.message
    assert found.hint


Requests = list[pb.FoldRequest]

LARGE = b"\0" * ((1 << 20) + 2)
#: What is sent of a file that was never sent before, the reason, and the field at fault.
CASES: dict[str, tuple[Callable[[bytes], Requests], str, str]] = {
    "nothing": (lambda _: [], "BAD_REQUEST", "header"),
    "an empty message": (lambda _: [pb.FoldRequest()], "BAD_REQUEST", "header"),
    "a chunk first": (lambda data: [chunk(data)], "BAD_REQUEST", "header"),
    "a second header": (lambda data: [header(data), header(data)], "BAD_REQUEST", "header"),
    "a chunk of another file": (
        lambda data: [header(data), chunk(data, 1)],
        "BAD_REQUEST",
        "chunk.file",
    ),
    "an empty chunk": (lambda data: [header(data), chunk(b"")], "BAD_REQUEST", "chunk.data"),
    "a chunk too large": (
        lambda _: [header(LARGE), chunk(LARGE[:-1])],
        "BAD_REQUEST",
        "chunk.data",
    ),
    "too many bytes": (
        lambda data: [header(data), chunk(data + b"x")],
        "SIZE_MISMATCH",
        "size",
    ),
    "too many chunks": (
        lambda data: [header(data), chunk(data), chunk(b"x")],
        "SIZE_MISMATCH",
        "chunk.data",
    ),
    "too few bytes": (lambda data: [header(data), chunk(data[:-1])], "SIZE_MISMATCH", "size"),
    "no bytes": (lambda data: [header(data)], "SIZE_MISMATCH", "size"),
    "other bytes": (
        lambda data: [header(data), chunk(data[::-1])],
        "DIGEST_MISMATCH",
        "sha256",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_call_that_breaks_the_rules_is_refused(stub: FoldingServiceStub, case: str) -> None:
    """Each with its reason, and with the field that is at fault."""
    requests, reason, field = CASES[case]

    found = refused(stub.Fold, *requests(case.encode()))

    assert (found.reason, found.fields) == (reason, (field,))


def test_ten_terabytes_are_refused_before_the_first(stub: FoldingServiceStub) -> None:
    """The declared size is enough to say no."""
    file = pb.File(path="m.onnx", size=10 * 10**12, sha256="0" * 64)
    asked = pb.FoldRequest(header=pb.FoldHeader(model=pb.Model(file=file)))

    found = refused(stub.Fold, asked)

    assert (found.code, found.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "UPLOAD_TOO_LARGE",
    )


def test_bytes_that_are_no_message_are_refused(server: Server) -> None:
    """What protobuf cannot read is a bad request, and no internal error."""
    junk = b"\xff\xff\xff"
    with grpc.insecure_channel(server.target) as channel:
        info: Any = channel.unary_unary(INFO)
        stream = refused(channel.stream_stream(FOLD), junk)
        with pytest.raises(grpc.RpcError) as caught:
            info(junk, timeout=5)

    for found in (stream, refusal(caught.value)):
        assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")


def test_a_message_of_five_megabytes_is_refused(server: Server) -> None:
    """Nothing above 4 MiB is taken in, not even if gzip has made it small."""
    with grpc.insecure_channel(server.target) as channel:
        method: Any = channel.stream_stream(FOLD)
        plain = refused(method, b"\0" * 5_000_000)
        packed = refused(method, b"\0" * 200_000_000, compression=grpc.Compression.Gzip)

    assert plain.code is packed.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_deadline_ends_a_call_that_waits(stub: FoldingServiceStub, server: Server) -> None:
    """A client that is gone keeps nothing here."""
    never = threading.Event()

    def requests() -> Iterator[pb.FoldRequest]:
        yield header(b"never sent")
        never.wait(10)

    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Fold(requests(), timeout=0.5))
    never.set()

    assert refusal(caught.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.left() == []


def test_names_cannot_forge_a_line_of_the_log(stub: FoldingServiceStub, server: Server) -> None:
    """What a client sends is escaped, cut, and in one line of JSON."""
    name = 'a\n{"level":"error"}\x1b[31m' + "x" * 200
    file = declared(name, DATA)
    asked = pb.FoldRequest(header=pb.FoldHeader(model=pb.Model(file=file)))

    found = refused(stub.Fold, asked, chunk(DATA))

    assert found.message.isprintable()
    lines = [json.loads(line) for line in server.lines()[1:]]
    assert {line["level"] for line in lines} == {"info"}
    assert max(len(str(value)) for line in lines for value in line.values()) <= 200
    assert "\x1b" not in server.log.read_text()


def test_a_provider_that_is_not_there_is_refused(stub: FoldingServiceStub) -> None:
    """The client is told which there are."""
    found = refused(stub.Fold, header(run=pb.RunOptions(provider="Abacus")))

    assert found.fields == ("header.run.provider",)
    assert "CPUExecutionProvider" in found.message
