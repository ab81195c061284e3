"""One call's messages: what a client has to send and when, and how it is answered.

The three streams differ only in the classes of their messages, whose fields have the same names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, TypeVar

import grpc
from google.protobuf.message import Message

from folding.v1.folding_pb2 import Accepted, Chunk, Progress
from folding_server.calls import CALL
from folding_server.errors import ServiceError
from folding_server.gate import Gate
from folding_server.jobs.runner import FileSpec, JobProgress, JobResult
from folding_server.limits import ServerLimits
from folding_server.reports import report_of

_T = TypeVar("_T")

#: Smaller chunks would save little and cost much.
_LEAST_BYTES = 1 << 16

#: Takes the number of a file and its next bytes, or refuses them; never takes none.
Take = Callable[[int, bytes], Awaitable[None]]


class Talk:
    """Reads and writes, and gives up on clients that do neither."""

    def __init__(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        reply: type[Any],
        limits: ServerLimits,
        gate: Gate,
    ) -> None:
        self._context, self._reply, self._limits, self._gate = context, reply, limits, gate
        self._call = CALL.get()

    async def header(self) -> Any:
        """The first message's header.

        Raises:
            ServiceError: BAD_REQUEST, or UPLOAD_IDLE.
        """
        message = await self._next()
        if message is None or message.WhichOneof("message") != "header":
            raise ServiceError("BAD_REQUEST", "the first message has no header", field="header")
        return message.header

    async def pass_on(self, size: int, take: Take) -> None:
        """Give ``take`` the chunks that follow, until there are ``size`` bytes or no more come.

        Raises:
            ServiceError: BAD_REQUEST, or UPLOAD_IDLE.
        """
        while size > 0 and (taken := await self._pass_one_on(take)):
            size -= taken

    async def _pass_one_on(self, take: Take) -> int:
        """The size of the next chunk; 0 if there is none. Nothing is held while another comes."""
        message = await self._next()
        if message is None:
            return 0
        if message.WhichOneof("message") != "chunk":
            raise ServiceError("BAD_REQUEST", "there is a second header", field="header")
        number, data = message.chunk.file, message.chunk.data
        del message  # It has the bytes a second time.
        if len(data) > (most := self._limits.chunk_bytes):
            text = f"a chunk has {len(data)} bytes, but may have {most}"
            raise ServiceError("BAD_REQUEST", text, field="chunk.data")
        self._call.received += len(data)
        await take(number, data)
        return len(data)

    async def unless_more(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What ``work`` comes to, if the client has sent all that it sends.

        Raises:
            ServiceError: SIZE_MISMATCH.
        """
        tasks = [asyncio.ensure_future(self._nothing()), task := asyncio.ensure_future(work)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
            return await task
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _nothing(self) -> None:
        if await self._read() is not None:
            text = "more bytes were sent than are wanted"
            raise ServiceError("SIZE_MISMATCH", text, field="chunk.data")

    async def accept(self, wanted: list[int], room: int) -> None:
        """Say what is wanted of what the header names, in chunks for which there is room."""
        most = self._limits.chunk_bytes
        while most > max(room, _LEAST_BYTES):
            most //= 2
        await self._send(accepted=Accepted(wanted=wanted, chunk_bytes=most))

    async def progress(self, found: JobProgress) -> None:
        """Say what the job is doing."""
        await self._send(progress=Progress(stage=found.stage, fraction=found.fraction))

    async def give(self, result: JobResult, *, cached: bool) -> None:
        """Send the report and the files."""
        with _opened(result) as files:
            await self._send(report=report_of(result, cached=cached))
            for number, file in enumerate(files):
                while data := await asyncio.to_thread(file.read, self._limits.chunk_bytes):
                    await self._send(chunk=Chunk(file=number, data=data))
                    self._call.sent += len(data)

    async def _next(self) -> Any:
        """The next message, or None if there is none.

        Raises:
            ServiceError: UPLOAD_IDLE, or BAD_REQUEST.
        """
        try:
            async with self._gate.patience(self._limits.idle_seconds):
                return await self._read()
        except TimeoutError as error:
            raise self._idle("sent") from error

    async def _read(self) -> Any:
        message = await self._context.read()
        return message if isinstance(message, Message) else None

    async def _send(self, **message: Message) -> None:
        try:
            async with self._gate.patience(self._limits.idle_seconds):
                await self._context.write(self._reply(**message))
        except TimeoutError as error:
            raise self._idle("taken") from error

    def _idle(self, verb: str) -> ServiceError:
        seconds = self._limits.idle_seconds
        text = f"nothing was {verb} by the client for {seconds:g} seconds"
        hint = "Send it again; files that were sent whole are kept."
        return ServiceError("UPLOAD_IDLE", text, hint=hint)


@contextmanager
def _opened(result: JobResult) -> Iterator[list[BinaryIO]]:
    """All files of a result, so that none goes away while another one is sent."""
    with ExitStack() as stack:
        yield [stack.enter_context(_open(result, file)) for file in result.files]


def _open(result: JobResult, file: FileSpec) -> BinaryIO:
    return (result.folder / file.path).open("rb", buffering=0)
