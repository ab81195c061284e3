"""SHA-256 of files that are read or written. Loaded only when a digest is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue
from threading import Thread

from folding.source import Block, SourceFile, Span

#: From this many bytes on a message to another thread is worth it.
_LARGE = 1 << 17
#: Messages that may wait.
_WAITING = 8


def sha256(file: SourceFile) -> str:
    """The digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    for block in Span(file, 0, file.size, apart=False).blocks():
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def sha256_beside(file: SourceFile) -> Iterator[Future[str]]:
    """The digest of a file to be, by another thread that ends with the block.

    Where there is no room for a thread, it is computed first.
    """
    with ThreadPoolExecutor(1) as thread:
        try:
            found = thread.submit(sha256, file)
        except RuntimeError:
            found = Future()
            found.set_result(sha256(file))
        yield found


class Running:
    """The SHA-256 of what is being written, by another thread: hashlib lets both run at once.

    Where there is no room for a thread, it is computed on the way.
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._sent: Queue[bytes] = Queue(_WAITING)
        self._thread: Thread | None = None
        self._unsent = bytearray()

    def update(self, data: Block) -> None:
        """Go on with these bytes, whose buffer may be used again."""
        if len(self._unsent) + len(data) < _LARGE:
            self._unsent += data
            return
        sent = b"".join((self._unsent, data))
        self._unsent.clear()
        if self._thread is None and not self._begin():
            self._sha256.update(sent)
        else:
            self._sent.put(sent)

    def _begin(self) -> bool:
        thread = Thread(target=self._work, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _work(self) -> None:
        while data := self._sent.get():
            self._sha256.update(data)

    def close(self) -> str:
        """The digest of all of them, in hexadecimal."""
        if self._thread is not None:
            self._sent.put(b"")
            self._thread.join()
        self._sha256.update(self._unsent)
        return self._sha256.hexdigest()
