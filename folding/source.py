"""Files that are only read, by position, and the ranges of them that hold tensors."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

from folding.errors import StorageFailed

#: Some bytes; a memoryview holds only until the next block is asked for.
Block = bytes | memoryview


class Content(Protocol):
    """The bytes of one tensor, wherever they come from."""

    @property
    def size(self) -> int: ...

    @property
    def apart(self) -> bool:
        """Whether the model keeps them in a file of their own."""
        ...

    def read(self, start: int, end: int) -> bytes: ...

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill a buffer with the bytes from ``start`` on."""
        ...

    def blocks(self) -> Iterator[Block]:
        """All of them, about a megabyte at a time, in a buffer that is used again."""
        ...


class SourceFile:
    """A file that is only read, by position, so that a truncation is an error and not a signal.

    A process may have few files open, so one of many does not stay open: it is opened for each
    read, and must still be the same.
    """

    def __init__(self, path: Path, *, stays_open: bool = True) -> None:
        self.path, self.stays_open = path, stays_open
        self._lock = threading.Lock()
        self._file = self._open()
        self._state = os.fstat(self._file.fileno())
        if not stays_open:
            self._file.close()

    def _open(self) -> FileIO:
        try:
            return self.path.open("rb", buffering=0)
        except OSError as error:
            raise StorageFailed(f"cannot read {str(self.path)!r}: {error.strerror}") from error

    @property
    def size(self) -> int:
        return self._state.st_size

    @property
    def identity(self) -> tuple[int, int]:
        return self._state.st_dev, self._state.st_ino

    def opened(self) -> AbstractContextManager[FileIO]:
        """The file to read from, which is not closed before the block ends.

        Raises:
            StorageFailed: it did not stay open, and cannot be opened or is another one.
        """
        return nullcontext(self._file) if self.stays_open else self._opened_again()

    @contextmanager
    def _opened_again(self) -> Iterator[FileIO]:
        with self._open() as file:
            self._check_same(os.fstat(file.fileno()))
            yield file

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two positions.

        Raises:
            StorageFailed: they cannot be read, or are there no longer.
        """
        data = bytearray(end - start)
        self.read_into(start, memoryview(data))
        return bytes(data)

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill a buffer with the bytes from ``start`` on.

        Raises:
            StorageFailed: they cannot be read, or are there no longer.
        """
        with self._lock, self.opened() as file:
            try:
                file.seek(start)
                while len(buffer):
                    count = file.readinto(buffer)
                    if not count:
                        raise StorageFailed(f"{str(self.path)!r} became shorter while it was read")
                    buffer = buffer[count:]
            except OSError as error:
                raise StorageFailed(f"cannot read {str(self.path)!r}: {error.strerror}") from error

    def check_unchanged(self) -> None:
        """Raise StorageFailed if the file was written to, or replaced, since it was opened.

        What is opened by its path in the meantime, to be run, is then not what was read.
        """
        try:
            self._check_same(self.path.stat())
        except OSError:
            self._check_same(None)

    def _check_same(self, now: os.stat_result | None) -> None:
        if now is None or _marks(now) != _marks(self._state):
            raise StorageFailed(
                f"{str(self.path)!r} was changed while it was read",
                hint="Run again when nothing else writes to it.",
            )

    def close(self) -> None:
        self._file.close()


def _marks(state: os.stat_result) -> tuple[int, ...]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a file."""

    file: SourceFile
    start: int
    size: int
    apart: bool

    def read(self, start: int, end: int) -> bytes:
        return self.file.read(self.start + start, self.start + end)

    def read_into(self, start: int, buffer: memoryview) -> None:
        self.file.read_into(self.start + start, buffer)

    def blocks(self) -> Iterator[Block]:
        from folding.scratch import ELEMENTS, scratch

        with scratch(1) as (work,):
            whole = work.array("u1", (ELEMENTS * 8,)).data
            for start in range(0, self.size, len(whole)):
                part = whole[: self.size - start]
                self.read_into(start, part)
                yield part
