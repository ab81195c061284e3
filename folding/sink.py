"""New files, written once from their beginning to their end."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO

from folding.errors import StorageFailed
from folding.source import Block, Content, Span

#: From this many bytes on a system call, or a message to another thread, is worth it.
_LARGE = 1 << 17
#: Blocks that may wait for their digest.
_WAITING = 8
#: What a file system answers that cannot copy between two files by itself.
_CANNOT_COPY = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
)


class _Digest:
    """SHA-256 by another thread; hashlib lets both run at once."""

    def __init__(self) -> None:
        self._sha256, self._thread = hashlib.sha256(), ThreadPoolExecutor(1)
        self._sent: deque[Future[None]] = deque()
        self._unsent = bytearray()

    def update(self, data: Block) -> None:
        self._unsent += data
        if len(self._unsent) >= _LARGE:
            self._send()

    def _send(self) -> None:
        self._sent.append(self._thread.submit(self._sha256.update, bytes(self._unsent)))
        self._unsent.clear()
        if len(self._sent) > _WAITING:
            self._sent.popleft().result()

    def close(self) -> str:
        self._send()
        self._thread.shutdown()
        return self._sha256.hexdigest()


class Sink:
    """A file that is being written. Its SHA-256, if wanted, is there when it is complete.

    What did not change is copied by the kernel where it can, unless its digest is wanted too.
    """

    def __init__(self, out: BinaryIO, *, digest: bool) -> None:
        self._out, self._digest = out, _Digest() if digest else None
        self.position = 0
        self.sha256: str | None = None

    def write(self, data: Block) -> None:
        if self._digest is not None:
            self._digest.update(data)
        self._out.write(data)
        self.position += len(data)

    def put(self, content: Content) -> None:
        """Write the bytes of a tensor."""
        if isinstance(content, Span) and content.size >= _LARGE and self._digest is None:
            self._out.flush()
            if _copy(content, self._out.fileno()):
                self.position += content.size
                return
        for block in content.blocks():
            self.write(block)

    def align(self, step: int) -> None:
        """Zeros up to the next multiple."""
        self.write(bytes(-self.position % step))

    def close(self) -> None:
        if self._digest is not None:
            self.sha256, self._digest = self._digest.close(), None


@contextmanager
def writing_to(descriptor: int, *, digest: bool = False) -> Iterator[Sink]:
    """Write to a file that is open, and see to it that all is on the disk after the block."""
    with os.fdopen(os.dup(descriptor), "wb", buffering=1 << 16) as out:
        sink = Sink(out, digest=digest)
        try:
            yield sink
        finally:
            sink.close()
        out.flush()
        os.fsync(out.fileno())


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
