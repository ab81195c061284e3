"""A client of the service that is as simple as can be: raw messages, one call after another."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    RetryInfo,
)
from grpc_status import rpc_status

from folding.v1 import folding_pb2 as pb

_CHUNK = 1 << 19
_SECONDS = 60.0


@dataclass(slots=True)
class Answer:
    """What a call was answered. ``files`` are in the order of the report."""

    accepted: pb.Accepted = field(default_factory=pb.Accepted)
    stages: list[str] = field(default_factory=list)
    report: pb.Report = field(default_factory=pb.Report)
    files: list[bytes] = field(default_factory=list)


def declared(path: str, data: bytes) -> pb.File:
    """A file as a header names it."""
    return pb.File(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def model_of(path: Path, *data: Path) -> tuple[pb.Model, list[bytes]]:
    """A model's part of a header, and the bytes of its files."""
    contents = [each.read_bytes() for each in (path, *data)]
    names = [path.name, *(each.relative_to(path.parent).as_posix() for each in data)]
    files = list(map(declared, names, contents))
    return pb.Model(file=files[0], external_data=files[1:]), contents


def chunks(number: int, data: bytes) -> Iterator[pb.Chunk]:
    """One file in pieces."""
    for start in range(0, len(data), _CHUNK):
        yield pb.Chunk(file=number, data=data[start : start + _CHUNK])


def ask(
    method: Any,
    request: type[Any],
    header: Any,
    contents: Sequence[bytes] = (),
    *,
    timeout: float = _SECONDS,
    metadata: Sequence[tuple[str, str | bytes]] = (),
) -> Answer:
    """Call a stream, send what it wants, and take what it answers."""
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    requests.put(request(header=header))
    answer = Answer()
    for reply in method(iter(requests.get, None), timeout=timeout, metadata=metadata):
        match reply.WhichOneof("message"):
            case "accepted":
                answer.accepted = reply.accepted
                for number in reply.accepted.wanted:
                    for chunk in chunks(number, contents[number]):
                        requests.put(request(chunk=chunk))
                requests.put(None)
            case "progress":
                answer.stages.append(reply.progress.stage)
            case "report":
                answer.report = reply.report
                answer.files = [b""] * len(reply.report.files)
            case "chunk":
                answer.files[reply.chunk.file] += reply.chunk.data
    return answer


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a failed call says, in all its parts."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    hint: str = ""
    fields: tuple[str, ...] = ()
    retry_after: float | None = None


def refusal(error: grpc.RpcError) -> Refusal:
    """The parts of a failed call's status."""
    assert isinstance(error, grpc.Call)
    info, request, retry, found = (
        ErrorInfo(),
        BadRequest(),
        RetryInfo(),
        rpc_status.from_call(error),
    )
    has_retry = False
    for detail in found.details if found else ():
        detail.Unpack(info)
        detail.Unpack(request)
        has_retry |= detail.Unpack(retry)
    return Refusal(
        error.code(),
        error.details() or "",
        info.reason,
        info.metadata["hint"],
        tuple(violation.field for violation in request.field_violations),
        retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None,
    )
