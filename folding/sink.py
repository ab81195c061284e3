"""New files, written once from their beginning to their end."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from folding.errors import StorageFailed
from folding.source import Block, Content, Span

if TYPE_CHECKING:
    from folding.digests import Running

#: From this many bytes on a system call, or a message to another thread, is worth it.
_LARGE = 1 << 17
#: So many bytes more, and the disk may begin with them.
_FLUSHED = 1 << 25
#: What a file system answers that cannot copy between two files by itself.
_CANNOT_COPY = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
)


class _Flusher:
    """Lets the disk write while the rest is still computed, so that little is left at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._asked = descriptor, 0
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def written(self, position: int) -> None:
        """Tell how far the file goes."""
        busy = self._thread is not None and self._thread.is_alive()
        if position - self._asked >= _FLUSHED and not busy:
            self._asked, thread = position, threading.Thread(target=self._flush)
            with suppress(RuntimeError):  # No room for a thread: everything is flushed at the end.
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


class Sink:
    """A file that is being written. Its SHA-256, if wanted, is there when it is complete.

    What did not change is copied by the kernel where it can, unless its digest is wanted too.
    """

    def __init__(self, out: BinaryIO, *, digest: bool) -> None:
        self._out, self._digest = out, _digest() if digest else None
        self._flusher = _Flusher(out.fileno())
        self.position = 0
        self.sha256: str | None = None

    def write(self, data: Block) -> None:
        if self._digest is not None:
            self._digest.update(data)
        self._out.write(data)
        self._advance(len(data))

    def _advance(self, count: int) -> None:
        self.position += count
        self._flusher.written(self.position)

    def put(self, content: Content) -> None:
        """Write the bytes of a tensor."""
        if isinstance(content, Span) and content.size >= _LARGE and self._digest is None:
            self._out.flush()
            if _copy(content, self._out.fileno()):
                self._advance(content.size)
                return
        for block in content.blocks():
            self.write(block)

    def align(self, step: int) -> None:
        """Zeros up to the next multiple."""
        self.write(bytes(-self.position % step))

    def stop(self) -> None:
        """End what runs beside the writing."""
        if self._digest is not None:
            self.sha256, self._digest = self._digest.close(), None
        self._flusher.join()

    def sync(self) -> None:
        """See to it that all is on the disk.

        Raises:
            OSError: some of it is not.
        """
        self._out.flush()
        self._flusher.sync()


def _digest() -> Running:
    from folding.digests import Running

    return Running()


@contextmanager
def writing_to(descriptor: int, *, digest: bool = False) -> Iterator[Sink]:
    """Write to a file that is open, and see to it that all is on the disk after the block."""
    with os.fdopen(os.dup(descriptor), "wb", buffering=1 << 16) as out:
        sink = Sink(out, digest=digest)
        try:
            yield sink
        finally:
            sink.stop()
        sink.sync()


def _copy(span: Span, out: int) -> bool:
    """Let the kernel copy a range of a file to where another one stands, if it can.

    Raises:
        StorageFailed: the source became shorter.
    """
    done = 0
    while hasattr(os, "copy_file_range") and done < span.size:
        start = span.start + done
        try:
            count = os.copy_file_range(span.file.descriptor, out, span.size - done, start)
        except OSError as error:
            if not done and error.errno in _CANNOT_COPY:
                return False
            raise
        if not count:
            raise StorageFailed(f"{str(span.file.path)!r} became shorter while it was read")
        done += count
    return done == span.size
