"""Standard input and output as files: a model is read by position and written when it is proved."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from folding.errors import BadCall, StorageFailed

#: The name of standard input as a source and of standard output as a target.
STANDARD = "-"


@contextmanager
def standard_input() -> Iterator[Path]:
    """What arrives on standard input, as a file for the time of the block.

    Raises:
        BadCall: it is a terminal.
        StorageFailed: it cannot be read, or not be kept.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise BadCall("no model arrives on standard input", hint="Pipe one in, or name a file.")
    with _folder("standard input") as folder:
        path = folder / "source.onnx"
        with _storage("read standard input"), path.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
        yield path


@contextmanager
def standard_output() -> Iterator[Path]:
    """A place for a file that goes to standard output after the block, if there is one.

    Raises:
        BadCall: standard output is a terminal.
        StorageFailed: it cannot be written to.
    """
    if sys.stdout is None or sys.stdout.isatty():
        raise BadCall("a model is nothing for a terminal", hint="Name a file with -o.")
    with _folder("standard output") as folder:
        path = folder / "target.onnx"
        yield path
        with _storage("write to standard output"), path.open("rb") as found:
            shutil.copyfileobj(found, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()


@contextmanager
def _folder(what: str) -> Iterator[Path]:
    with _storage(f"keep {what}"):
        made = TemporaryDirectory(prefix="fold-model-")
    with made as folder:
        yield Path(folder)


@contextmanager
def _storage(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot {what}: {error.strerror or error}") from error
