"""Files that are only read, by position, and the ranges of them that hold tensors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from folding.errors import StorageFailed

BLOCK = 1 << 22


class Content(Protocol):
    """The bytes of one tensor, wherever they come from."""

    @property
    def size(self) -> int: ...

    @property
    def apart(self) -> bool:
        """Whether the model keeps them in a file of their own."""
        ...

    def read(self, start: int, end: int) -> bytes: ...

    def blocks(self) -> Iterator[bytes]:
        """All of them, a few megabytes at a time."""
        ...


class SourceFile:
    """A file that is only read, by position, so that a truncation is an error and not a signal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror}") from error
        self._state = os.fstat(self.descriptor)

    @property
    def size(self) -> int:
        return self._state.st_size

    @property
    def identity(self) -> tuple[int, int]:
        return self._state.st_dev, self._state.st_ino

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two positions.

        Raises:
            StorageFailed: they cannot be read, or are there no longer.
        """
        parts = []
        while start < end:
            try:
                part = os.pread(self.descriptor, end - start, start)
            except OSError as error:
                raise StorageFailed(f"cannot read {str(self.path)!r}: {error.strerror}") from error
            if not part:
                raise StorageFailed(f"{str(self.path)!r} became shorter while it was read")
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check_unchanged(self) -> None:
        """Raise StorageFailed if anybody has written to the file since it was opened."""
        now = os.fstat(self.descriptor)
        before = self._state
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise StorageFailed(
                f"{str(self.path)!r} was changed while it was read",
                hint="Run again when nothing else writes to it.",
            )

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a file."""

    file: SourceFile
    start: int
    size: int
    apart: bool

    def read(self, start: int, end: int) -> bytes:
        return self.file.read(self.start + start, self.start + end)

    def blocks(self) -> Iterator[bytes]:
        for start in range(0, self.size, BLOCK):
            yield self.read(start, min(start + BLOCK, self.size))
