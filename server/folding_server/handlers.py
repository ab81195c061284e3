"""The methods of all services, made so that nothing of a call is read before it is let in.

Of a method that takes one message, gRPC reads it before anybody is asked, and waits for it as long
as its client likes. The same methods as streams read it when they want it; no client can tell.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc

from folding_server.errors import ServiceError
from folding_server.messages import bounded
from folding_server.waits import Waits

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = grpc.aio.ServicerContext[Any, Any]
Run = Callable[[Any, Context], Awaitable[None]]

#: For a message of some bytes.
_SECONDS = 5.0


def streamed(handler: Any, answer: Callable[..., Awaitable[None]], waits: Waits) -> Handler:
    """The same method as a stream, its calls made by ``answer``."""
    run = _run(handler, waits)

    async def many(requests: Any, context: Any) -> None:
        await answer(lambda: run(requests, context), context)

    read = bounded(handler.request_deserializer or bytes)
    return grpc.stream_stream_rpc_method_handler(many, read, handler.response_serializer)


def _run(handler: Any, waits: Waits) -> Run:
    async def one(requests: object, context: Any) -> None:
        request = await _only(context, waits)
        await context.write(await handler.unary_unary(request, context))

    async def watch(requests: object, context: Any) -> None:
        request = await _only(context, waits)
        await _written(handler.unary_stream(request, context), context, waits)

    async def many(requests: object, context: Any) -> None:
        # Those of this service read by themselves.
        await _written(handler.stream_stream(_heard(context, waits), context), context, waits)

    if handler.request_streaming:
        return many
    return watch if handler.response_streaming else one


async def _only(context: Context, waits: Waits) -> Any:
    """The one message of a call.

    Raises:
        ServiceError: UPLOAD_IDLE, QUEUE_FULL, or BAD_REQUEST.
    """
    async with _soon(waits):
        message = await context.read()
    if message is grpc.aio.EOF:
        raise ServiceError("BAD_REQUEST", "there is no message", field="message")
    return message


async def _heard(context: Context, waits: Waits) -> AsyncIterator[Any]:
    """The messages of a call, each of which has to come soon; raises as ``_only``."""
    while True:
        async with _soon(waits):
            message = await context.read()
        if message is grpc.aio.EOF:
            return
        yield message


async def _written(answers: Any, context: Context, waits: Waits) -> None:
    """Reflection yields its answers, the others write them themselves."""
    if not inspect.isasyncgen(answers):
        await answers
        return
    async for answer in answers:
        async with _soon(waits):
            await context.write(answer)


@asynccontextmanager
async def _soon(waits: Waits) -> AsyncIterator[None]:
    """Wait for a client in the block, not for long.

    Raises:
        ServiceError: UPLOAD_IDLE, or QUEUE_FULL.
    """
    try:
        async with waits.patience(_SECONDS):
            yield
    except TimeoutError as error:
        text = f"no message came, or was taken, within {_SECONDS:g} seconds"
        raise ServiceError("UPLOAD_IDLE", text) from error
