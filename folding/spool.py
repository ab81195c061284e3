"""Standard input and output as files: a model is read by position and written when it is proved."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from folding.errors import BadCall, ModelTooLarge, StorageFailed
from folding.interrupts import held_back

if TYPE_CHECKING:
    from onnx import ModelProto

#: The name of standard input as a source and of standard output as a target.
STANDARD = "-"
_NAME_A_FILE = "Name a file with -o."
_BLOCK = 1 << 20
#: What protobuf can write as one message.
_PROTOBUF_LIMIT = (1 << 31) - 1
#: Seconds until a stream is asked again that another program has set not to wait.
_MOMENT = 0.01


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
        room = f"keep standard input in {str(folder.parent)!r}"
        with _storage(room, "Let TMPDIR name a folder with room."), path.open("wb") as out:
            while block := _arriving():
                out.write(block)
        yield path


def _arriving() -> bytes:
    with _storage("read standard input", "Pipe a model in, or name a file."):
        while (block := sys.stdin.buffer.read(_BLOCK)) is None:
            time.sleep(_MOMENT)
        return block


@contextmanager
def standard_output() -> Iterator[Path]:
    """A place for a file that goes to standard output after the block, if there is one.

    Raises:
        BadCall: standard output is a terminal.
        StorageFailed: it is closed, or cannot be written to.
    """
    if sys.stdout is None:
        raise StorageFailed("cannot write to standard output: it is closed", hint=_NAME_A_FILE)
    if sys.stdout.isatty():
        raise BadCall("a model is nothing for a terminal", hint=_NAME_A_FILE)
    with _folder("standard output") as folder:
        path = folder / "target.onnx"
        yield path
        with _storage("write to standard output", _NAME_A_FILE), path.open("rb") as found:
            while block := found.read(_BLOCK):
                _send(memoryview(block))


def _send(rest: memoryview) -> None:
    """Write without a buffer: what stays in one after an error fails again at the exit."""
    sys.stdout.flush()
    out = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    while rest:
        count = out.write(rest)
        if count is None:
            time.sleep(_MOMENT)
        else:
            rest = rest[count:]


@contextmanager
def _folder(what: str) -> Iterator[Path]:
    made = None
    try:
        with _storage(f"keep {what}", "Let TMPDIR name a folder with room."), held_back():
            made = TemporaryDirectory(prefix="fold-model-")
        yield Path(made.name)
    finally:
        with held_back():
            if made is not None:
                made.cleanup()


@contextmanager
def _storage(what: str, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot {what}: {error.strerror or error}", hint=hint) from error


def kept(proto: ModelProto, what: str, stack: ExitStack) -> Path:
    """A model in memory as a file, which is how the checks take it."""
    if proto.ByteSize() > _PROTOBUF_LIMIT:
        raise ModelTooLarge(f"{what} is larger than 2 GB", hint="Save it, and give its path.")
    try:
        path = Path(stack.enter_context(TemporaryDirectory(prefix="fold-model-"))) / "model.onnx"
        path.write_bytes(proto.SerializeToString())
    except OSError as error:
        text = f"cannot keep {what} in a temporary file: {error.strerror or error}"
        raise StorageFailed(text, hint="Let TMPDIR name a folder with room.") from error
    return path
