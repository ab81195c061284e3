"""Around every call: whose it is, what it comes to, and a note of it.

Calls for the health need no token and leave no note.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from folding.errors import FoldError
from folding_server.auth import ANONYMOUS, Tokens, access_of
from folding_server.calls import CALL, Call
from folding_server.errors import ServiceError, draining, meaning_of
from folding_server.gate import Gate
from folding_server.handlers import Context, Handler, streamed
from folding_server.jobs.outcome import NO_ROOM
from folding_server.logs import LOG
from folding_server.metrics import Metrics
from folding_server.status import status_of
from folding_server.store.faults import full
from folding_server.waits import Waits

_HEALTH = "/grpc.health.v1."
#: Single messages that are waited for at once: each may take a megabyte until it is there.
_MOST_WAITS = 128
#: Calls of reflection, of which each may take as much for as long as it goes on.
_MOST_STREAMS = 16
#: Calls that watch the health at once.
_MOST_WATCHES = 256

Run = Callable[[], Awaitable[None]]


class Front(grpc.aio.ServerInterceptor):
    """Lets calls in while the server is not draining, and counts those that are in."""

    def __init__(self, tokens: Tokens | None, metrics: Metrics) -> None:
        self._tokens, self._metrics = tokens, metrics
        self._running = self._ended = 0
        self._is_draining = False
        self._idle = asyncio.Event()
        self._waits, self._streams = Waits(_MOST_WAITS), Waits(_MOST_STREAMS)
        self._watches = Gate(_MOST_WATCHES, _MOST_WATCHES)

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
        if handler is None:  # There is no such method.
            return None
        if method.startswith(_HEALTH):
            ask = self._watch if handler.response_streaming else _ask
            return streamed(handler, ask, self._waits)
        waits = self._streams if handler.request_streaming else self._waits
        return streamed(handler, lambda run, context: self._answer(method, run, context), waits)

    async def _watch(self, run: Run, context: Context) -> None:
        async def watched() -> None:
            with self._watches.entered(ANONYMOUS):
                await run()

        await _ask(watched, context)

    async def _answer(self, method: str, run: Run, context: Context) -> None:
        call = Call(method, context.peer())
        CALL.set(call)
        self._running += 1
        try:
            self._let_in(call, context)
            await run()
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
            raise draining()
        metadata = context.invocation_metadata() or ()
        call.access = access_of(self._tokens, metadata, context.auth_context())


async def _ask(run: Run, context: Context) -> None:
    """Tell of the health."""
    try:
        await run()
    except grpc.aio.InternalError as gone:
        raise asyncio.CancelledError from gone
    except (FoldError, DecodeError) as error:
        await _refuse(Call("", ""), error, context)


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
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return full()
    LOG.error("internal", exc_info=error, extra={"fields": {"request_id": call.request_id}})
    text = f"an internal error; in the server's log it is {call.request_id}"
    return ServiceError("INTERNAL", text, hint="Tell whoever runs the server.")
