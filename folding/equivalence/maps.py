"""A model's files as memory that can only be read, of which little is kept at a time."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import numpy.typing as npt

from folding.source import SourceFile, Span

#: Seconds until pages that were read are let go; enough to read some dozens of megabytes.
_INTERVAL = 0.02
_LET_GO = getattr(mmap, "MADV_DONTNEED", None)


class Maps:
    """Each file is mapped once, when the first span of it is asked for."""

    def __init__(self) -> None:
        self._maps: dict[SourceFile, mmap.mmap] = {}

    def view(self, span: Span) -> npt.NDArray[np.uint8]:
        """The bytes of a span; they stay where they are as long as somebody has the array.

        Raises:
            OSError: the file cannot be mapped.
        """
        if span.file not in self._maps:
            with span.file.opened() as file:
                self._maps[span.file] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(self._maps[span.file], np.uint8, span.size, span.start)

    @contextmanager
    def trimmed(self) -> Iterator[None]:
        """Let go of pages while somebody reads them one after the other, as a run does.

        They are the system's own copies of the files, so what is read again costs little. Without,
        a process would seem to need as much memory as its models have weights.
        """
        done = threading.Event()
        thread = threading.Thread(target=self._trim, args=(done,), daemon=True)
        # Without memory for a thread, it goes without.
        with suppress(RuntimeError):
            thread.start()
        try:
            yield
        finally:
            done.set()
            if thread.ident is not None:
                thread.join()

    def _trim(self, done: threading.Event) -> None:
        while _LET_GO is not None and not done.wait(_INTERVAL):
            for whole in self._maps.values():
                whole.madvise(_LET_GO)

    def close(self) -> None:
        """Let go of the files."""
        self._maps.clear()
