"""One call's messages: what a client has to send and when, and how it is answered.

The three streams differ only in the classes of their messages, whose fields have the same names.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from errno import EIO
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from folding.v1.folding_pb2 import Accepted, Chunk, Progress
from folding_server.calls import CALL
from folding_server.errors import ServiceError
from folding_server.gate import Gate
from folding_server.jobs.runner import JobProgress
from folding_server.limits import ServerLimits
from folding_server.reports import Answer
from folding_server.store.faults import damaged

_T = TypeVar("_T")

#: Smaller chunks would save little and cost much.
_LEAST_BYTES = 1 << 16
#: Whose link has so many bytes a second never seems idle: gRPC tells of no message until it is
#: there, so chunks have no more bytes than come in the time.
_SLOWEST = 20_000
_LEAST_SLOW_BYTES = 1 << 13
#: What is sent is held several times over until its client takes it.
_LEAST_REPLY_BYTES = 1 << 14

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
        self._call, self._most = CALL.get(), _timely(limits)
        self._spare = dict[int, int]()

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
        while message is not None and self._is_spare(message):
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

    def _is_spare(self, message: Any) -> bool:
        """Whether all that it has is of a file that is here: not all clients wait for Accepted."""
        number, size = message.chunk.file, len(message.chunk.data)
        if not 0 < size <= self._spare.get(number, 0):
            return False
        self._spare[number] -= size
        return True

    async def unless_more(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What ``work`` comes to, if the client has sent all that it sends.

        Raises:
            ServiceError: SIZE_MISMATCH, or QUEUE_FULL where memory is short.
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
        while True:
            async with self._gate.patience(inf):  # Half a message takes memory all the same.
                message = await self._read()
            if message is None:
                return
            if not self._is_spare(message):
                text = "more bytes were sent than are wanted"
                hint = "Send each file that Accepted.wanted names once, and nothing after them."
                raise ServiceError("SIZE_MISMATCH", text, hint=hint, field="chunk.data")

    async def accept(self, wanted: list[int], sizes: Sequence[int], room: int) -> None:
        """Say what is wanted of what the header names, in chunks for which there is room.

        ``sizes`` are those of all files; the others may be sent, too, and are not looked at.
        """
        self._spare = {number: size for number, size in enumerate(sizes) if number not in wanted}
        most = self._most
        while most > max(room, _LEAST_BYTES):
            most //= 2
        await self._send(accepted=Accepted(wanted=wanted, chunk_bytes=most))

    async def progress(self, found: JobProgress) -> None:
        """Say what the job is doing."""
        await self._send(progress=Progress(stage=found.stage, fraction=found.fraction))

    async def give(self, answer: Answer, room: Callable[[], int]) -> None:
        """Send the report and the files, in chunks for which there is room.

        Raises:
            ServiceError: FILE_DAMAGED, or UPLOAD_IDLE.
        """
        await self._send(report=answer.report)
        for number, file in enumerate(answer.files):
            start, digest, path = 0, hashlib.sha256(), answer.folder / file.path
            while start < file.size:
                size = min(max(room(), _LEAST_REPLY_BYTES), self._most)
                data = await asyncio.to_thread(_piece, path, start, size, digest)
                await self._send(chunk=Chunk(file=number, data=data))
                start += len(data)
                self._call.sent += len(data)
            if digest.hexdigest() != file.sha256:
                raise damaged()

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
        text = f"no whole message was {verb} by the client within {seconds:g} seconds"
        hint = "Call again; files that were sent whole are kept. Small chunks suit slow links."
        return ServiceError("UPLOAD_IDLE", text, hint=hint)


def _timely(limits: ServerLimits) -> int:
    """How many bytes a chunk may have, in either direction, so that it comes in time."""
    most = limits.chunk_bytes
    while most > max(limits.idle_seconds * _SLOWEST, _LEAST_SLOW_BYTES):
        most //= 2
    return most


def _piece(path: Path, start: int, size: int, digest: Any) -> bytes:
    """So much of a file, which is there: no descriptor is held while a client takes its time."""
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        if data := file.read(size):
            digest.update(data)
            return data
    raise OSError(EIO, "a result is shorter than it was", path.name)
