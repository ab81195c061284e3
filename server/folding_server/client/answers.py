"""What an answer means: refusals as errors, and reports in the words of this client's paths."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Detail
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from folding.errors import FoldError
from folding.exits import printable
from folding_server.client.agreement import fits
from folding_server.errors import DOMAIN, ServiceError, error_of

_DETAILS = "grpc-status-details-bin"
_LONGEST = 300


class Report(Protocol):
    """What is read of JSON, and becomes JSON again."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON."""
        ...


Readable = TypeVar("Readable", bound=Report)
D = TypeVar("D", bound=Detail)


@dataclass(frozen=True, slots=True)
class Names:
    """What files are called here, by what the server was told.

    What it was told has a digest in it, so that nothing else looks like it.
    """

    given: dict[str, str] = field(default_factory=dict)

    def restored(self, found: Any) -> Any:
        """Anything of JSON, with the names that the caller knows."""
        if isinstance(found, str):
            return self._text(found)
        if isinstance(found, list):
            return [self.restored(part) for part in found]
        if isinstance(found, dict):
            return {key: self.restored(part) for key, part in found.items()}
        return found

    def _text(self, text: str) -> str:
        for told, given in self.given.items():
            text = text.replace(repr(told), repr(given)).replace(told, given)
        return text


def error_from(error: grpc.RpcError, server: str, names: Names, *, was_heard: bool) -> FoldError:
    """What a server that ended a call means by that; the error that the same call here raises."""
    status = _status(error)
    info = _detail(status, ErrorInfo) if status is not None else None
    if status is None or info is None or info.domain != DOMAIN:
        return _without_words(error, server, was_heard=was_heard)
    request, retry = _detail(status, BadRequest), _detail(status, RetryInfo)
    fields = [violation.field for violation in request.field_violations] if request else []
    hint = names.restored(info.metadata.get("hint", ""))
    found = error_of(info.reason, names.restored(status.message), hint, ", ".join(fields))
    if isinstance(found, ServiceError) and retry is not None:
        found.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return found


def bad_answer(server: str, what: str) -> ServiceError:
    """The server did not keep to the protocol."""
    text = f"the server {server!r} {what}, so its answer is not taken"
    return ServiceError("BAD_ANSWER", text, hint="Check that it is a fold-model of this version.")


def read_report(
    data: bytes | bytearray, server: str, names: Names, read: Callable[[Any], Readable]
) -> tuple[Readable, dict[str, Any]]:
    """A report, from the JSON that a server sent; and that, as far as this version knows it.

    Raises:
        ServiceError: it is none, or one of another version, or contradicts itself.
    """
    try:
        told = json.loads(data, parse_constant=_no_number)
        known = read(told).to_dict()
        found = read(names.restored(told))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise bad_answer(server, "sent a report that this version cannot read") from error
    if not fits(known, told):
        raise bad_answer(server, "sent a report that contradicts itself")
    return found, known


def _no_number(name: str) -> float:
    raise ValueError(name)


def _without_words(error: grpc.RpcError, server: str, *, was_heard: bool) -> ServiceError:
    """What gRPC itself says, or something that stands between."""
    code = error.code()
    lines = (error.details() or "").splitlines() or ["no reason given"]
    why = printable(lines[0])[:_LONGEST]
    if code is grpc.StatusCode.UNAVAILABLE:
        what = "was lost on the way" if was_heard else "cannot be reached"
        hint = "Check its address, that it runs there, and that both sides use TLS or neither."
        return ServiceError(code.name, f"the server {server!r} {what}: {why}", hint=hint)
    text = f"the server {server!r} ended the call with {code.name}: {why}"
    return ServiceError(code.name, text, hint="Check that it is a fold-model of this version.")


def _status(error: grpc.RpcError) -> Status | None:
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key == _DETAILS and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail(status: Status, kind: type[D]) -> D | None:
    for packed in status.details:
        found = kind()
        try:
            if packed.Unpack(found):
                return found
        except DecodeError:
            return None
    return None
