"""Around every call but those of health: whose it is, what it comes to, and a note of it."""

from __future__ import annotations

import asyncio
import errno
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from folding.errors import FoldError
from folding_server.auth import Tokens, access_of
from folding_server.calls import CALL, Call
from folding_server.errors import ServiceError, meaning_of
from folding_server.logs import LOG
from folding_server.messages import bounded
from folding_server.metrics import Metrics
from folding_server.status import status_of

_HEALTH = "/grpc.health.v1."
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = grpc.aio.ServicerContext[Any, Any]


class Front(grpc.aio.ServerInterceptor):
    """Lets calls in while the server is not draining, and counts those that are in."""

    def __init__(self, tokens: Tokens | None, metrics: Metrics) -> None:
        self._tokens, self._metrics = tokens, metrics
        self._running = self._ended = 0
        self._is_draining = False
        self._idle = asyncio.Event()

    @property
    def trace(self) -> tuple[int, int]:
        """How many calls are in, and how many were: the same as before if nothing happened."""
        return self._running, self._ended

    async def drain(self) -> None:
        """Let no call in any more, and wait for those that are."""
        self._is_draining = True
        if self._running:
            self._idle.clear()
            await self._idle.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = str(handler_call_details.method)
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(_HEALTH):
            return handler  # None if there is no such method.
        return _around(handler, lambda run, context: self._answer(method, run, context))

    async def _answer(
        self, method: str, run: Callable[[], Awaitable[Any]], context: Context
    ) -> Any:
        call = Call(method, context.peer())
        CALL.set(call)
        self._running += 1
        try:
            self._let_in(call, context)
            return await run()
        except (asyncio.CancelledError, grpc.aio.InternalError) as error:
            call.code = "CANCELLED"
            raise asyncio.CancelledError from error
        except Exception as error:  # noqa: BLE001 - no client sees one as it is
            await _refuse(call, error, context)
        finally:
            call.note(self._metrics)
            self._running, self._ended = self._running - 1, self._ended + 1
            if not self._running:
                self._idle.set()

    def _let_in(self, call: Call, context: Context) -> None:
        if self._is_draining:
            hint = "Try again: another server takes its place."
            raise ServiceError("DRAINING", "the server is being stopped", hint=hint)
        metadata = context.invocation_metadata() or ()
        call.access = access_of(self._tokens, metadata, context.auth_context())


def _around(handler: Any, answer: Callable[..., Awaitable[Any]]) -> Handler:
    """The same method, its calls made by ``answer``. There are no others than these two kinds."""
    run = handler.unary_unary
    if run is not None:
        read = handler.request_deserializer or bytes

        async def one(request: bytes, context: Any) -> Any:
            return await answer(lambda: run(read(request), context), context)

        return grpc.unary_unary_rpc_method_handler(
            one, response_serializer=handler.response_serializer
        )
    stream = handler.stream_stream

    async def many(requests: Any, context: Any) -> None:
        await answer(lambda: _written(stream(requests, context), context), context)

    return grpc.stream_stream_rpc_method_handler(
        many, bounded(handler.request_deserializer), handler.response_serializer
    )


async def _written(answers: Any, context: Context) -> None:
    """Reflection yields its answers, the service writes them itself."""
    if not inspect.isasyncgen(answers):
        await answers
        return
    async for answer in answers:
        await context.write(answer)


async def _refuse(call: Call, error: Exception, context: Context) -> NoReturn:
    """End the call with a status, if there is anybody left to get it."""
    refusal = _refusal(call, error)
    error.__traceback__ = None  # It would keep the message that is refused.
    meaning = meaning_of(refusal)
    call.code, call.reason, call.message = meaning.code.name, meaning.reason, str(refusal)
    status = rpc_status.to_status(status_of(refusal))
    try:
        await context.abort(status.code, status.details, status.trailing_metadata)
    except grpc.aio.InternalError as gone:
        raise asyncio.CancelledError from gone


def _refusal(call: Call, error: Exception) -> FoldError:
    """What the client is told. Of what nobody expected, only where the log has more."""
    if isinstance(error, FoldError):
        return error
    if isinstance(error, DecodeError):
        text = "a message is none of this service"
        return ServiceError("BAD_REQUEST", text, field="message")
    if isinstance(error, OSError) and error.errno in _FULL:
        text = "the server's storage is full"
        return ServiceError("STORAGE_FULL", text, hint="Try again later.", retry_after=60.0)
    LOG.error("internal", exc_info=error, extra={"fields": {"request_id": call.request_id}})
    text = f"an internal error; in the server's log it is {call.request_id}"
    return ServiceError("INTERNAL", text, hint="Tell whoever runs the server.")
