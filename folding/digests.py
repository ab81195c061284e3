"""SHA-256 of files that are read or written. Loaded only when a digest is wanted."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

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


class Running:
    """The SHA-256 of what is being written, by another thread: hashlib lets both run at once."""

    def __init__(self) -> None:
        self._sha256, self._thread = hashlib.sha256(), ThreadPoolExecutor(1)
        self._sent: deque[Future[None]] = deque()
        self._unsent = bytearray()

    def update(self, data: Block) -> None:
        """Go on with these bytes, whose buffer may be used again."""
        self._unsent += data
        if len(self._unsent) >= _LARGE:
            self._send()

    def _send(self) -> None:
        self._sent.append(self._thread.submit(self._sha256.update, bytes(self._unsent)))
        self._unsent.clear()
        if len(self._sent) > _WAITING:
            self._sent.popleft().result()

    def close(self) -> str:
        """The digest of all of them, in hexadecimal."""
        self._send()
        self._thread.shutdown()
        return self._sha256.hexdigest()
