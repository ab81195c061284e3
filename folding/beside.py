"""Files that are written beside their targets, and are gone unless they are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from folding.interrupts import held_back
from folding.target import Target, storage
from folding.waiting import Waiting


@contextmanager
def begun(path: Path, protected: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Target]:
    """A target without a file yet; unless it is kept, no file of it outlives the block."""
    target = Target(path, protected)
    try:
        yield target
    finally:
        with held_back():
            target.discard()


@contextmanager
def noted(text: str, path: Path) -> Iterator[Target]:
    """A text that waits beside ``path``.

    Raises:
        StorageFailed: the disk is full, or the folder cannot be written to.
    """
    with begun(path) as target:
        with storage(path):
            with held_back():
                target.model = Waiting(path)
            data = text.encode()
            write_all(target.model.descriptor, data)
            os.fsync(target.model.descriptor)
            target.bytes += len(data)
        yield target


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, in as many pieces as the system wants."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
