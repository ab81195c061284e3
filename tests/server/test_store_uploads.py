"""Uploads: what was declared arrives whole, anything else is refused and leaves nothing."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from spools import OWNER, file_of, keep, left_in, send, spool_at

from folding.errors import StorageFailed
from folding_server.errors import ServiceError
from folding_server.jobs.runner import FileSpec
from folding_server.store import Spool, keeping, uploads

Chunks = list[tuple[int, bytes]]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with spool_at(tmp_path / "spool") as opened:
        yield opened
        assert not left_in(opened.folder / "uploads")


def refused(spool: Spool, files: list[FileSpec], *chunks: tuple[int, bytes]) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        asyncio.run(send(spool, files, *chunks))
    return raised.value


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_a_file_arrives_as_it_was_sent(spool: Spool, size: int) -> None:
    """Files of any size, none at all included, become blobs that only their owner may read."""
    data = os.urandom(size)
    file = keep(spool, data)
    path = spool.blobs.path(OWNER, file.sha256)
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_more_bytes_than_declared(spool: Spool) -> None:
    """One byte too many is refused at once, with the file's name."""
    error = refused(spool, [file_of(b"abc", "w.bin")], (0, b"abcd"))
    assert (error.reason, error.field) == ("SIZE_MISMATCH", "size")
    assert str(error) == "'w.bin' has more than the 3 bytes declared"
    assert not left_in(spool.folder / "blobs")


def test_more_bytes_after_the_next_file_began(spool: Spool) -> None:
    """A file that is done takes nothing more."""
    files = [file_of(b"abc"), file_of(b"def", "w.bin")]
    error = refused(spool, files, (0, b"abc"), (1, b"d"), (0, b"c"))
    assert error.reason == "SIZE_MISMATCH"


def test_fewer_bytes_than_declared(spool: Spool) -> None:
    """A file that ends too early is refused, at the end or when the next begins."""
    files = [file_of(b"abc", "w.bin"), file_of(b"def")]
    sentence = "'w.bin' ended after 2 of the 3 bytes declared"
    assert str(refused(spool, files, (0, b"ab"))) == sentence
    assert str(refused(spool, files, (0, b"ab"), (1, b"def"))) == sentence
    assert not left_in(spool.folder / "blobs")


def test_another_digest(spool: Spool) -> None:
    """Other bytes than those declared are refused, and both digests are named."""
    file = file_of(b"abc", "w.bin")
    error = refused(spool, [file], (0, b"abd"))
    assert error.reason == "DIGEST_MISMATCH"
    assert file.sha256 in str(error)
    assert hashlib.sha256(b"abd").hexdigest() in str(error)
    assert not left_in(spool.folder / "blobs")


def test_the_empty_file_has_one_digest(spool: Spool) -> None:
    """A file without bytes is refused if its digest is not that of no bytes."""
    error = refused(spool, [replace(file_of(b"x"), size=0)])
    assert error.reason == "DIGEST_MISMATCH"


def test_empty_files_among_others(spool: Spool) -> None:
    """Files without bytes need no chunk, wherever they stand."""
    files = [file_of(b"", "a"), file_of(b"abc", "b"), file_of(b"", "c"), file_of(b"def", "d")]
    asyncio.run(send(spool, files, (1, b"abc"), (3, b"def")))
    assert not spool.blobs.missing(OWNER, files)


@pytest.mark.parametrize("chunk", [(0, b""), (2, b"a"), (1 << 31, b"a")])
def test_chunks_of_nothing(spool: Spool, chunk: tuple[int, bytes]) -> None:
    """Chunks without bytes and chunks of files that nobody wants are bad requests."""
    assert refused(spool, [file_of(b"abc"), file_of(b"d")], chunk).reason == "BAD_REQUEST"


def test_a_second_upload_of_the_same(spool: Spool) -> None:
    """Two may send the same file at once: both are served, and one blob is there."""
    data = os.urandom(1 << 20)
    file = file_of(data)

    async def both() -> None:
        halves = (0, data[: 1 << 19]), (0, data[1 << 19 :])
        await asyncio.gather(send(spool, [file], *halves), send(spool, [file], *halves))

    asyncio.run(both())
    assert spool.blobs.path(OWNER, file.sha256).read_bytes() == data
    assert len(left_in(spool.folder / "blobs")) == 1


def test_whole_files_of_a_failed_call_stay(spool: Spool) -> None:
    """What arrived whole before a call failed need not be sent again."""
    files = [file_of(b"abc"), file_of(b"def")]
    refused(spool, files, (0, b"abc"), (1, b"xyz"))
    assert spool.blobs.missing(OWNER, files) == [1]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_the_disk_becomes_full(spool: Spool, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A disk that is full in the middle is said to be; nothing is left, the next upload works."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fails_at_the_third(code))
        chunks: Chunks = [(0, bytes(10))] * 5
        error = refused(spool, [file_of(bytes(50))], *chunks)
    assert (error.reason, error.retry_after) == ("STORAGE_FULL", 60.0)
    assert not left_in(spool.folder / "blobs")
    keep(spool, bytes(50))


def test_the_disk_fails(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other faults of the disk are one sentence that names no path."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fails_at_the_third(errno.EIO))
        with pytest.raises(StorageFailed) as raised:
            asyncio.run(send(spool, [file_of(bytes(50))], *[(0, bytes(10))] * 5))
    assert str(raised.value) == "the server cannot keep a file: Input/output error"


def fails_at_the_third(code: int) -> object:
    calls, write = iter(range(100)), os.write

    def failing(descriptor: int, data: bytes) -> int:
        if next(calls) == 2:
            raise OSError(code, os.strerror(code))
        return write(descriptor, data)

    return failing


def test_more_than_the_disk_has(spool: Spool) -> None:
    """What does not fit is refused before the first byte, and costs nobody anything."""
    old = keep(spool, b"abc")
    error = refused(spool, [FileSpec("m.onnx", 1 << 60, "0" * 64)])
    assert error.reason == "STORAGE_FULL"
    assert spool.blobs.has(OWNER, old)


def test_what_is_kept_makes_room(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is too small for both, files nobody uses give way to those that arrive."""
    old = keep(spool, bytes(5000))

    def free(_: Path) -> int:
        return 1000 if left_in(spool.folder / "blobs") else 10_000

    monkeypatch.setattr(uploads, "free_bytes", free)
    monkeypatch.setattr(keeping, "free_bytes", free)
    new = keep(spool, bytes(6000))
    assert spool.blobs.missing(OWNER, [old, new]) == [0]


def test_what_is_only_declared_costs_nobody_anything(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room is made for bytes that come, a step at a time."""
    old = [keep(spool, bytes(size)) for size in (5000, 5001, 5002)]
    monkeypatch.setattr(uploads, "free_bytes", lambda _: 4096)
    monkeypatch.setattr(keeping, "free_bytes", lambda _: 4096)
    monkeypatch.setattr(keeping, "_STEP", 4096)
    left = list[list[int]]()

    async def send_slowly() -> None:
        async with spool.upload(OWNER, [file_of(bytes(10_000))], [0]) as upload:
            for size in (4096, 4097):
                await upload.write(0, bytes(size))
                await upload._written()
                left.append(spool.blobs.missing(OWNER, old))

    asyncio.run(send_slowly())
    assert list(map(len, left)) == [0, 1]


def test_waiting_uploads_cost_no_descriptor(spool: Spool) -> None:
    """Uploads that have begun hold nothing open between two chunks, however many they are."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    data = b"ab"

    async def begin(count: int) -> list[str]:
        waiting = [spool.upload(OWNER, [file_of(data)], [0]) for _ in range(count)]
        for upload in waiting:
            await upload.__aenter__()
            await upload.write(0, b"a")
        found = os.listdir("/proc/self/fd")  # noqa: PTH208
        for upload in waiting:
            await upload.__aexit__(None, None, None)
        return found

    found = asyncio.run(begin(500))
    assert len(found) < len(before) + 20
