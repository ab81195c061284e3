"""Calls that break the rules, and what each is answered.

Each sends its messages whatever it is answered, as no client of ours does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from damage import delimited
from wire import declared

from attacks.table import Refused
from folding.v1 import folding_pb2 as pb

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Attack:
    """What a client sends to ``Fold``, as bytes of messages.

    Attributes:
        name: what it is.
        messages: made anew for each call.
        right: what the server has to answer.
        packed: whether the messages go through gzip.
    """

    name: str
    messages: Callable[[], Iterator[bytes]]
    right: Refused
    packed: bool = False


def _header(*files: pb.File, **options: Any) -> bytes:
    model = pb.Model(file=files[0], external_data=files[1:])
    header = pb.FoldHeader(model=model, **options)
    return pb.FoldRequest(header=header).SerializeToString()


def _chunk(data: bytes, number: int = 0) -> bytes:
    return pb.FoldRequest(chunk=pb.Chunk(file=number, data=data)).SerializeToString()


def _file(data: bytes, **changed: Any) -> pb.File:
    file = declared("net.onnx", data)
    for name, value in changed.items():
        setattr(file, name, value)
    return file


def _sends(*messages: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(messages)


def _named(path: str) -> Callable[[], Iterator[bytes]]:
    """Data that is to lie at a path."""
    return _sends(_header(_file(b"net"), declared(path, b"data")))


def _zeros(count: int) -> Callable[[], Iterator[bytes]]:
    """One message of so many bytes, made when it is sent."""
    return lambda: iter([bytes(count)])


def _many(count: int) -> Iterator[bytes]:
    """More bytes than were declared, for as long as anybody takes them."""
    yield _header(_file(b"short"))
    for _ in range(count):
        yield _chunk(bytes(_MIB))


_DATA = b"bytes that nobody sent before"
_MORE = b"bytes that only one attack sends"
_BAD = Refused("BAD_REQUEST")
_SIZE = Refused("SIZE_MISMATCH")
_LARGE = Refused("UPLOAD_TOO_LARGE", _EXHAUSTED)
#: What gRPC itself refuses has no reason of ours.
_MESSAGE = Refused("", _EXHAUSTED)
_WIDE = bytes(_MIB + 1)
_OTHER = hashlib.sha256(b"other bytes").hexdigest()


def _bomb() -> bytes:
    """A header with half a million shapes, each of two bytes: a hundredfold in memory."""
    shapes = delimited(2, b"") * 500_000
    return delimited(1, delimited(1, b"") + delimited(5, shapes))


def _places() -> Sequence[Attack]:
    paths = {
        "above": "../x",
        "far above": "a/../../x",
        "absolute": "/etc/passwd",
        "with NUL": "x\0",
        "of dots": ".",
        "empty": "",
        "of 5,000 bytes": "x" * 5000,
        "of the model itself": "net.onnx",
        "below the model": "net.onnx/x",
    }
    return [Attack(f"data at a path {what}", _named(path), _BAD) for what, path in paths.items()]


ATTACKS: tuple[Attack, ...] = (
    Attack("nothing", _sends(), _BAD),
    Attack("an empty message", _sends(b""), _BAD),
    Attack("no message of ours", _sends(b"\xff" * 20), _BAD),
    Attack("a chunk without a header", _sends(_chunk(_DATA)), _BAD),
    Attack("a header twice", _sends(*[_header(_file(_DATA))] * 2), _BAD),
    Attack("no digest", _sends(_header(_file(_DATA, sha256=""))), _BAD),
    Attack("a digest in capitals", _sends(_header(_file(_DATA, sha256="A" * 64))), _BAD),
    Attack(
        "a wrong digest",
        _sends(_header(_file(_DATA, sha256=_OTHER)), _chunk(_DATA)),
        Refused("DIGEST_MISMATCH"),
    ),
    Attack("more bytes than declared", _sends(_header(_file(_DATA)), _chunk(_DATA * 2)), _SIZE),
    Attack("bytes after the last", _sends(_header(_file(_MORE)), *[_chunk(_MORE)] * 2), _SIZE),
    Attack("a thousand times the bytes", lambda: _many(1000), _SIZE),
    Attack("fewer bytes than declared", _sends(_header(_file(_DATA)), _chunk(_DATA[1:])), _SIZE),
    Attack("no bytes", _sends(_header(_file(_DATA))), _SIZE),
    Attack("an empty chunk", _sends(_header(_file(_DATA)), _chunk(b"")), _BAD),
    Attack("a chunk of another file", _sends(_header(_file(_DATA)), _chunk(_DATA, 7)), _BAD),
    Attack("10 TB, as declared", _sends(_header(_file(_DATA, size=10**13))), _LARGE),
    Attack("2**64 - 1 bytes, as declared", _sends(_header(_file(_DATA, size=2**64 - 1))), _LARGE),
    Attack("5,000 files", _sends(_header(*[_file(_DATA)] * 5000)), _LARGE),
    Attack("a chunk too large", _sends(_header(_file(_WIDE)), _chunk(_WIDE)), _BAD),
    Attack("a header of 1 MB", lambda: iter([_bomb()]), _BAD),
    Attack("a header of 1 MB after a chunk", lambda: iter([_chunk(b"") + _bomb()]), _BAD),
    Attack("a message of 5 MB", _zeros(5_000_000), _MESSAGE),
    Attack("200 MB of zeros through gzip", _zeros(200_000_000), _MESSAGE, packed=True),
    *_places(),
    Attack(
        "a time that is no number",
        _sends(_header(_file(_DATA), job=pb.JobOptions(time_limit_seconds=float("nan")))),
        _BAD,
    ),
    Attack(
        "more nesting than allowed",
        _sends(_header(_file(_DATA), job=pb.JobOptions(max_nesting=1 << 30))),
        _BAD,
    ),
    Attack(
        "a runtime that is not there",
        _sends(_header(_file(_DATA), run=pb.RunOptions(provider="Abacus"))),
        _BAD,
    ),
    Attack("a target above", _sends(_header(_file(_DATA), target="../x.onnx")), _BAD),
    Attack("the report as the target", _sends(_header(_file(_DATA), target="report.json")), _BAD),
)
