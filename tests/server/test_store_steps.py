"""The steps of an upload on their threads: two chunks at most, and nothing left of any end."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from spools import OWNER, file_of, left_in, send, spool_at

from folding_server.errors import ServiceError
from folding_server.store import Spool
from folding_server.store.uploads import Part


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with spool_at(tmp_path / "spool") as opened:
        yield opened
        assert left_in(opened.folder) == ["lock"]


def test_two_chunks_at_most(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk is not taken before the one that came first is written."""
    goes_on = threading.Event()
    append = Part.append

    def slow(part: Part, data: bytes) -> None:
        goes_on.wait()
        append(part, data)

    monkeypatch.setattr(Part, "append", slow)

    async def run() -> None:
        async with spool.upload(OWNER, [file_of(b"abcx")], [0]) as upload:
            await upload.write(0, b"ab")
            second = asyncio.create_task(upload.write(0, b"cd"))
            done, _ = await asyncio.wait([second], timeout=0.1)
            goes_on.set()
            assert not done
            await second
            with pytest.raises(ServiceError):
                await upload.finish()

    asyncio.run(run())


def test_an_upload_that_is_cancelled(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that ends while all threads are busy leaves nothing, even if cancelled again."""
    began, goes_on = threading.Event(), threading.Event()
    write = Part._write

    def slow(part: Part, data: bytes) -> None:
        write(part, data)
        began.set()
        goes_on.wait()

    monkeypatch.setattr(Part, "_write", slow)

    async def run() -> None:
        call = asyncio.create_task(send(spool, [file_of(b"abcd")], (0, b"ab"), (0, b"cd")))
        await asyncio.to_thread(began.wait)
        for _ in range(10):
            spool._pool.submit(goes_on.wait)
        assert left_in(spool.folder / "uploads")
        for _ in range(3):
            call.cancel()
            await asyncio.sleep(0.001)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(run())
    patience = time.monotonic() + 10
    while left_in(spool.folder / "uploads"):
        assert time.monotonic() < patience


def test_room_is_given_back_at_once(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, what is there of the file goes, though the client says nothing."""
    file = file_of(bytes(20))

    def failing(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    part = Part(OWNER, file, spool.blobs, spool._keeper)
    part.append(bytes(10))
    assert len(left_in(spool.folder / "uploads")) == 1
    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(ServiceError):
        part.append(bytes(10))
    assert not left_in(spool.folder / "uploads")


def test_a_chunk_that_comes_too_late(spool: Spool) -> None:
    """A chunk that was waiting for a thread when its call ended is not written any more."""
    part = Part(OWNER, file_of(b"ab"), spool.blobs, spool._keeper)
    part.append(b"a")
    part.discard()
    part.append(b"b")
