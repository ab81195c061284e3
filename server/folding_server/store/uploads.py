"""Files on their way in: written and hashed on a thread while the next chunk arrives.

An upload holds two chunks at most, and no descriptor between two chunks: a thousand clients that
send slowly, or nothing, cost next to nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock
from types import TracebackType
from typing import Self

from folding.errors import FoldError
from folding_server.errors import ServiceError
from folding_server.jobs.runner import FileSpec
from folding_server.store.blobs import Blobs
from folding_server.store.faults import full, storage
from folding_server.store.keeping import Keeper, discard, free_bytes

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Part:
    """One file that is arriving. All of this happens on threads, one step at a time."""

    def __init__(self, owner: str, file: FileSpec, blobs: Blobs, keeper: Keeper) -> None:
        self._owner, self._file, self._blobs, self._keeper = owner, file, blobs, keeper
        self._path = keeper.fresh_name()
        self._digest, self._size = hashlib.sha256(), 0
        self._lock, self._gone = Lock(), False

    def append(self, data: bytes) -> None:
        """Write and hash; with the last byte compare the digest, and make a blob of it.

        Raises:
            ServiceError: DIGEST_MISMATCH or STORAGE_FULL; nothing of the file is left.
            StorageFailed: the disk fails; nothing of the file is left.
        """
        with self._lock:
            if self._gone:
                return
            try:
                with storage("keep a file"):
                    self._write(data)
                    if self._size == self._file.size:
                        self._complete()
            except FoldError:
                self._remove()
                raise

    def _write(self, data: bytes) -> None:
        self._keeper.make_way(len(data), self._file.size - self._size)
        descriptor = os.open(self._path, _FLAGS, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        self._digest.update(data)
        self._size += len(data)

    def _complete(self) -> None:
        if (found := self._digest.hexdigest()) != self._file.sha256:
            text = f"the bytes sent for {self._file.path!r} have the SHA-256 {found}"
            raise ServiceError(
                "DIGEST_MISMATCH",
                f"{text}, and {self._file.sha256} was declared",
                hint="The file changed, or was damaged on its way: send it again.",
                field="sha256",
            )
        self._blobs.take(self._owner, self._file, self._path)

    def discard(self) -> None:
        """Leave nothing of it, unless it is complete; what comes later is ignored."""
        with self._lock, storage("remove a file"):
            self._remove()

    def _remove(self) -> None:
        self._gone = True
        discard(self._path)


class Upload:
    """The files of one call, in their order. An asynchronous context: after it, no part is left.

    Files that arrived whole stay, even if the call fails: they need not be sent again.
    """

    def __init__(
        self,
        keeper: Keeper,
        blobs: Blobs,
        owner: str,
        files: Sequence[FileSpec],
        wanted: Sequence[int],
    ) -> None:
        self._keeper, self._blobs, self._owner = keeper, blobs, owner
        self._files, self._wanted = files, tuple(wanted)
        self._left = deque(wanted)
        self._number, self._size = -1, 0
        self._part: Part | None = None
        self._step: Future[None] | None = None

    async def __aenter__(self) -> Self:
        """See whether there is room for all that was declared, or can be made when it comes.

        Raises:
            ServiceError: STORAGE_FULL.
        """
        await asyncio.wrap_future(self._keeper.pool.submit(self._check_room))
        return self

    def _check_room(self) -> None:
        need = sum(self._files[number].size for number in self._wanted)
        with storage("look for room"):
            lack = need - free_bytes(self._keeper.uploads)
            if lack > 0 and lack > self._keeper.removable():
                raise full()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._part:
            discarded = asyncio.wrap_future(self._keeper.pool.submit(self._part.discard))
            await asyncio.shield(discarded)  # Even if it is not waited for, it is done.

    async def write(self, number: int, data: bytes) -> None:
        """Take the next bytes of a file; returns when the chunk before is on disk.

        Raises:
            ServiceError: SIZE_MISMATCH, DIGEST_MISMATCH, STORAGE_FULL, or BAD_REQUEST for a file
                that is not wanted or a chunk without bytes.
            StorageFailed: the disk fails.
        """
        if not data:
            raise ServiceError("BAD_REQUEST", "a chunk has no bytes", field="chunk.data")
        if number != self._number:
            await self._turn_to(number)
        if self._size + len(data) > self._files[number].size:
            raise self._too_many(number)
        self._size += len(data)
        await self._submit(data)

    async def finish(self) -> None:
        """See to it that all files are there, whole.

        Raises:
            ServiceError: SIZE_MISMATCH, DIGEST_MISMATCH or STORAGE_FULL.
            StorageFailed: the disk fails.
        """
        while self._left:
            await self._next()
        await self._settled()
        self._part = None

    async def _turn_to(self, number: int) -> None:
        if number not in self._wanted:
            text = f"file {number} is none of those that are wanted"
            raise ServiceError("BAD_REQUEST", text, field="chunk.file")
        if number not in self._left:
            raise self._too_many(number)
        while self._number != number:
            await self._next()

    async def _next(self) -> None:
        await self._settled()
        self._number, self._size = self._left.popleft(), 0
        file = self._files[self._number]
        self._part = Part(self._owner, file, self._blobs, self._keeper)
        if not file.size:
            await self._submit(b"")

    async def _submit(self, data: bytes) -> None:
        assert self._part
        await self._written()
        self._step = self._keeper.pool.submit(self._part.append, data)

    async def _settled(self) -> None:
        """Wait until the file is complete."""
        await self._written()
        if self._part and self._size < (file := self._files[self._number]).size:
            text = f"{file.path!r} ended after {self._size} of the {file.size} bytes declared"
            raise ServiceError("SIZE_MISMATCH", text, hint=_AGAIN, field="size")

    async def _written(self) -> None:
        step, self._step = self._step, None
        if step:
            await asyncio.wrap_future(step)

    def _too_many(self, number: int) -> ServiceError:
        file = self._files[number]
        text = f"{file.path!r} has more than the {file.size} bytes declared"
        return ServiceError("SIZE_MISMATCH", text, hint=_AGAIN, field="size")


_AGAIN = "Send the file again, with the size it has."
