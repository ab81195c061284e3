"""Write a model by streaming, so that the target is either all there or not there at all.

Everything goes to a file with another name beside the target and is renamed when it is complete
and wanted. External data gets a name with a piece of its digest in it, so that an old model never
finds the data of a new one, nor the other way round.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from folding import framing
from folding.errors import BadCall, BadModel, StorageFailed
from folding.modelfile import Model

_PAGE = 4096
_PROTOBUF_LIMIT = (1 << 31) - 1


@dataclass(slots=True)
class Target:
    """A model that waits beside its target until it is complete. ``keep`` makes it the target.

    ``data`` has the files beside it that nobody else refers to yet.
    """

    path: Path
    waiting: Path
    data: list[Path] = field(default_factory=list)
    complete: bool = False

    def keep(self) -> None:
        """Put the model in its place, in one step.

        Raises:
            StorageFailed: the operating system refused; what was there before still is.
        """
        with _storage(self.path):
            self.waiting.replace(self.path)
            _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Leave nothing behind, unless the model is in its place already."""
        if self.complete and not self.waiting.exists():
            return
        for path in (self.waiting, *self.data):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def check_target(path: Path, model: Model) -> None:
    """Refuse a target that is one of the source's own files, or cannot be a file.

    Raises:
        BadCall: with the reason.
    """
    try:
        is_place = path.parent.is_dir()
        state = path.stat()
    except FileNotFoundError:
        state = None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageFailed(f"cannot write {str(path)!r}: {reason}") from error
    if state and stat.S_ISDIR(state.st_mode):
        raise BadCall(f"{str(path)!r} is a directory", hint="Name a file in it.")
    if not is_place:
        raise BadCall(f"the folder of {str(path)!r} does not exist", hint="Make it first.")
    if state and not stat.S_ISREG(state.st_mode):
        raise BadCall(f"{str(path)!r} is no regular file", hint="Choose another target.")
    if state and any(file.identity == (state.st_dev, state.st_ino) for file in model.files):
        raise BadCall(
            f"{str(path)!r} is the source under another name; the source is never changed",
            hint="Choose another target.",
        )


@contextmanager
def written(model: Model, path: Path) -> Iterator[Target]:
    """Write a model beside ``path``; unless it is kept, no file of it outlives the block.

    Raises:
        StorageFailed: the disk is full, or the folder cannot be written to.
        Unrepresentable: a changed tensor does not fit its type.
    """
    target = Target(path, _beside(path))
    try:
        with _storage(path):
            places = _write_data(model, target) if model.is_external else {}
            _write_model(model, target, places)
        yield target
    finally:
        target.discard()


@contextmanager
def copied(model: Model, path: Path) -> Iterator[Target]:
    """Like ``written`` for a model that did not change: the source's own bytes."""
    if model.is_external:
        with written(model, path) as target:
            yield target
        return
    target = Target(path, _beside(path))
    source = model.files[0]
    try:
        with _storage(path), _new_file(target.waiting) as out:
            for start in range(0, source.size, 1 << 22):
                out.write(source.read(start, min(start + (1 << 22), source.size)))
            _sync(out)
        target.complete = True
        yield target
    finally:
        target.discard()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb", buffering=1 << 16) as out:
        yield out


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a crash; not every system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_model(model: Model, target: Target, places: dict[int, bytes]) -> None:
    def place(index: int) -> bytes | int:
        return places[index] if index in places else model.contents[index].size

    pieces = framing.put_in(model.proto.SerializeToString(deterministic=True), place)
    total = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces)
    if total > _PROTOBUF_LIMIT:
        raise BadModel(
            f"{target.path.name!r} would be larger than 2 GB, which no ONNX file can be",
            hint="Save the source with external data first.",
        )
    with _new_file(target.waiting) as out:
        for piece in pieces:
            if isinstance(piece, bytes):
                out.write(piece)
            else:
                for block in model.contents[piece.index].blocks():
                    out.write(block)
        _sync(out)
    target.complete = True


def _write_data(model: Model, target: Target) -> dict[int, bytes]:
    """Write the tensors that are kept apart to one file; the fields that refer to each."""
    waiting = _beside(target.path)
    target.data.append(waiting)
    digest = hashlib.sha256()
    ranges: dict[int, tuple[int, int]] = {}
    with _new_file(waiting) as out:
        for index in model.tokens():
            content = model.contents[index]
            if not content.apart:
                continue
            padding = bytes(-out.tell() % _PAGE)
            ranges[index] = out.tell() + len(padding), content.size
            for block in chain([padding], content.blocks()):
                out.write(block)
                digest.update(block)
        _sync(out)
    final = target.path.with_name(f"{target.path.stem}-{digest.hexdigest()[:16]}.data")
    if not final.exists():
        target.data.append(final)
    waiting.replace(final)
    return {
        index: framing.external(
            {"location": final.name, "offset": str(start), "length": str(length)}
        )
        for index, (start, length) in ranges.items()
    }


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"cannot write {str(path)!r}: {error.strerror or error}",
            hint="Free some space or choose another folder with -o.",
        ) from error
