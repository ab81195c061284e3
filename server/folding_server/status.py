"""Refusals as the status of a call: ``google.rpc.Status`` with all that a client can act on.

A status travels in headers, of which gRPC takes 8 KiB, and its sentence in them twice.
"""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from folding.errors import FoldError
from folding_server.errors import DOMAIN, ServiceError, meaning_of
from folding_server.texts import line

_LONGEST = 1024
_LONGEST_HINT = 512
_LONGEST_FIELD = 256


def status_of(error: FoldError) -> Status:
    """What a client is told of ``error``: code, sentence, reason, hint, field, when to retry."""
    meaning = meaning_of(error)
    hint = line(error.hint, _LONGEST_HINT)
    info = ErrorInfo(reason=meaning.reason, domain=DOMAIN, metadata={"hint": hint} if hint else {})
    message = line(str(error), _LONGEST)
    details = [info, *_details(error, message)]
    return Status(code=meaning.code.value[0], message=message, details=map(_packed, details))


def _details(error: FoldError, message: str) -> list[Message]:
    if not isinstance(error, ServiceError):
        return []
    found = list[Message]()
    if error.field:
        field, why = line(error.field, _LONGEST_FIELD), line(message, _LONGEST_FIELD)
        violation = BadRequest.FieldViolation(field=field, description=why)
        found.append(BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        found.append(RetryInfo(retry_delay=delay))
    return found


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
