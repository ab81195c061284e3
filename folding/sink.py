"""New files: all their pieces written, and on the disk."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from folding.source import Block, Content, Span

#: What a file is made of, in order.
Piece = bytes | Content

#: From this many bytes on a system call of its own is worth it.
_LARGE = 1 << 17
#: So many bytes more, and the disk may begin with them.
_FLUSHED = 1 << 23
#: From this many bytes on the place of a file is reserved.
_RESERVED = 1 << 23
#: What a file system answers that reserves nothing.
_CANNOT_RESERVE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV})
#: What a file system answers that cannot copy between two files by itself.
_CANNOT_COPY = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
)


def write(descriptor: int, pieces: Sequence[Piece]) -> int:
    """Write a new file, two pieces at a time; its size.

    Each piece has its place, so it does not matter which is done first. What did not change is
    copied by the kernel where it can.

    Raises:
        OSError: the disk is full, or fails.
        StorageFailed: a source became shorter.
    """
    return _Places(descriptor, pieces).fill()


def write_in_order(descriptor: int, pieces: Sequence[Piece]) -> tuple[int, str]:
    """Like ``write``, from the beginning to the end; also the file's SHA-256."""
    from folding.digests import Running

    running, size, flusher = Running(), 0, _Flusher(descriptor)
    try:
        with os.fdopen(os.dup(descriptor), "wb", buffering=1 << 16) as out:
            for piece in pieces:
                for block in (piece,) if isinstance(piece, bytes) else piece.blocks():
                    running.update(block)
                    out.write(block)
                    size += len(block)
                    flusher.written(len(block))
    finally:
        sha256 = running.close()
        flusher.join()
    flusher.sync()
    return size, sha256


def write_tensors(descriptor: int, pieces: Sequence[Piece]) -> tuple[int, str]:
    """Like ``write``; also a fingerprint: the SHA-256 of each block's place and CRC-32.

    It names the file. A SHA-256 of every byte would take longer than all the rest, and who looks
    for another file of that name compares the bytes.
    """
    import hashlib

    checksums: dict[int, int] = {}
    size = _Places(descriptor, pieces, checksums).fill()
    lines = (f"{place} {checksums[place]}\n" for place in sorted(checksums))
    return size, hashlib.sha256("".join(lines).encode()).hexdigest()


class _Places:
    """The pieces of a file that are still to be written, each with its place."""

    def __init__(
        self, descriptor: int, pieces: Sequence[Piece], checksums: dict[int, int] | None = None
    ) -> None:
        self._descriptor, self._flusher = descriptor, _Flusher(descriptor)
        self._checksums, self._lock = checksums, threading.Lock()
        self._jobs: deque[tuple[int, Piece]] = deque()
        self._size = 0
        for piece in pieces:
            self._jobs.append((self._size, piece))
            self._size += len(piece) if isinstance(piece, bytes) else piece.size

    def fill(self) -> int:
        _reserve(self._descriptor, self._size)
        try:
            with ThreadPoolExecutor(1) as pool:
                helper = None
                with suppress(RuntimeError):  # There may be no room for a thread.
                    helper = pool.submit(self._work)
                self._work()
                if helper is not None:
                    helper.result()
        finally:
            self._flusher.join()
        self._flusher.sync()
        return self._size

    def _work(self) -> None:
        try:
            while True:
                try:
                    start, piece = self._jobs.popleft()
                except IndexError:
                    return
                self._put(start, piece)
        except BaseException:
            self._jobs.clear()  # Nobody needs the rest.
            raise

    def _put(self, start: int, piece: Piece) -> None:
        if isinstance(piece, bytes):
            self._write(start, piece)
        elif self._checksums is not None:
            self._put_checked(start, piece, self._checksums)
        elif isinstance(piece, Span) and _copy(piece, self._descriptor, start):
            self._flusher.written(piece.size)
        else:
            for block in piece.blocks():
                self._write(start, block)
                start += len(block)

    def _put_checked(self, start: int, piece: Content, checksums: dict[int, int]) -> None:
        from zlib import crc32

        for block in piece.blocks():
            checksums[start] = crc32(block)
            self._write(start, block)
            start += len(block)

    def _write(self, start: int, block: Block) -> None:
        rest = memoryview(block)
        while rest:
            count = self._write_some(start, rest)
            start, rest = start + count, rest[count:]
        self._flusher.written(len(block))

    def _write_some(self, start: int, rest: memoryview) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._descriptor, rest, start)
        with self._lock:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.write(self._descriptor, rest)


def _reserve(descriptor: int, size: int) -> None:
    """Have a big file's place on the disk found at once: less work, and a full disk is known now.

    Raises:
        OSError: there is no room.
    """
    if size >= _RESERVED and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise


class _Flusher:
    """Lets the disk write while the rest is still computed, so that little is left at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._waiting = descriptor, 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def written(self, count: int) -> None:
        """Tell that there are so many bytes more."""
        with self._lock:
            self._waiting += count
            if self._waiting >= _FLUSHED and not (self._thread and self._thread.is_alive()):
                self._waiting, thread = 0, threading.Thread(target=self._flush)
                with suppress(RuntimeError):  # No room for a thread: all is flushed at the end.
                    thread.start()
                    self._thread = thread

    def _flush(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:  # The system tells it once only.
            self._error = error

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def sync(self) -> None:
        if self._error is not None:
            raise self._error
        os.fsync(self._descriptor)


def _copy(span: Span, out: int, place: int) -> bool:
    """Let the kernel copy a range of a file into another one, if it can.

    Where it cannot, or finds no more bytes, whoever reads them will see why.
    """
    done = 0
    if span.size < _LARGE or not hasattr(os, "copy_file_range"):
        return False
    with span.file.opened() as file:
        while done < span.size:
            start, rest = span.start + done, span.size - done
            try:
                count = os.copy_file_range(file.fileno(), out, rest, start, place + done)
            except OSError as error:
                if error.errno in _CANNOT_COPY:
                    return False
                raise
            if not count:
                return False
            done += count
    return True
