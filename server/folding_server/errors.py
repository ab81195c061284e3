"""Every refusal as a status: one table from the classes of errors to codes and reasons, both ways.

The server packs an error as a ``google.rpc.Status`` (AIP-193): the code, the sentence, an ErrorInfo
with the stable reason, a BadRequest with the field at fault, a RetryInfo where a later try can
help. The client makes the same class of error of it again.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from folding import errors
from folding.errors import FoldError

DOMAIN = "folding.v1"


class ServiceError(FoldError):
    """What a server refuses for reasons of its own, by its reason.

    ``field`` is the field of the request at fault, ``retry_after`` the seconds until another try.
    """

    hint = ""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        hint: str | None = None,
        field: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.field = field
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Meaning:
    """What clients are told of an error: a gRPC status code and a stable reason."""

    code: grpc.StatusCode
    reason: str


_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED

#: The errors of folding. Each class has a reason of its own, so that a client can raise it again.
OF_CLASSES: dict[type[FoldError], Meaning] = {
    errors.BadModel: Meaning(_INVALID, "BAD_MODEL"),
    errors.Malformed: Meaning(_INVALID, "MALFORMED_MODEL"),
    errors.ExternalDataPath: Meaning(_INVALID, "EXTERNAL_DATA_PATH"),
    errors.TensorSizeMismatch: Meaning(_INVALID, "TENSOR_SIZE_MISMATCH"),
    errors.ModelTooLarge: Meaning(_EXHAUSTED, "MODEL_TOO_LARGE"),
    errors.NestingTooDeep: Meaning(_INVALID, "NESTING_TOO_DEEP"),
    errors.RecursiveFunction: Meaning(_INVALID, "FUNCTION_CYCLE"),
    errors.ExpansionTooLarge: Meaning(_EXHAUSTED, "EXPANSION_TOO_LARGE"),
    errors.Unconvertible: Meaning(_INVALID, "UNCONVERTIBLE"),
    errors.BadCall: Meaning(_INVALID, "BAD_CALL"),
    errors.StorageFailed: Meaning(grpc.StatusCode.INTERNAL, "STORAGE_FAILED"),
}

#: The server's own refusals, by their reasons.
OF_REASONS: dict[str, grpc.StatusCode] = {
    "BAD_REQUEST": _INVALID,
    "DIGEST_MISMATCH": _INVALID,
    "SIZE_MISMATCH": _INVALID,
    "UPLOAD_TOO_LARGE": _EXHAUSTED,
    "QUEUE_FULL": _EXHAUSTED,
    "STORAGE_FULL": _EXHAUSTED,
    "JOB_MEMORY_LIMIT": _EXHAUSTED,
    "JOB_TIME_LIMIT": grpc.StatusCode.DEADLINE_EXCEEDED,
    "UPLOAD_IDLE": grpc.StatusCode.ABORTED,
    "WORKER_CRASHED": grpc.StatusCode.ABORTED,
    "FILE_DAMAGED": grpc.StatusCode.ABORTED,
    "DRAINING": grpc.StatusCode.UNAVAILABLE,
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "SCOPE_MISSING": grpc.StatusCode.PERMISSION_DENIED,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}

_CLASSES = {meaning.reason: kind for kind, meaning in OF_CLASSES.items()}


def draining() -> ServiceError:
    """What those are told who call a server that is being stopped."""
    hint = "Try again in a moment: another server may take its place."
    return ServiceError("DRAINING", "the server is being stopped", hint=hint, retry_after=1.0)


def meaning_of(error: FoldError) -> Meaning:
    """What clients are told of ``error``."""
    if isinstance(error, ServiceError):
        return Meaning(OF_REASONS[error.reason], error.reason)
    return next(OF_CLASSES[kind] for kind in type(error).__mro__ if kind in OF_CLASSES)


def error_of(reason: str, message: str, hint: str, field: str = "") -> FoldError:
    """The error that a server meant; one of folding's own classes where there is one."""
    kind = _CLASSES.get(reason)
    if kind is None:
        return ServiceError(reason, message, hint=hint, field=field)
    return kind(message, hint=hint)
