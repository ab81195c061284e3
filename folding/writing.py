"""Write a model by streaming, so that the target is either all there or not there at all.

Everything goes to a file with another name beside the target and is renamed when it is complete
and wanted. External data gets a name with a piece of its digest in it, so that an old model never
finds the data of a new one, nor the other way round.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from folding import skeleton
from folding.errors import BadCall, BadModel, StorageFailed
from folding.modelfile import Model
from folding.source import Span

_PAGE = 4096
_PROTOBUF_LIMIT = (1 << 31) - 1


@dataclass(slots=True)
class Target:
    """A complete model that waits beside its target, and its data if that is kept apart.

    ``data`` is where the data waits and ``data_path`` what the model calls it. Until ``keep`` both
    have names that nobody else knows, so that runs to one target never meet.
    """

    path: Path
    waiting: Path
    data: Path | None = None
    data_path: Path | None = None
    _keeping: bool = False

    @property
    def data_names(self) -> dict[str, Path]:
        """Where the data is now, by the name that the model has for it."""
        return {self.data_path.name: self.data} if self.data and self.data_path else {}

    def keep(self) -> None:
        """Put the model in its place: its data first, then the model, in one step each.

        Raises:
            StorageFailed: the operating system refused; what was there before still is.
        """
        with _storage(self.path):
            self._keeping = True
            is_new = self.data_path is not None and not self.data_path.exists()
            try:
                if self.data is not None and self.data_path is not None:
                    if not is_new and filecmp.cmp(self.data, self.data_path, shallow=False):
                        self.data.unlink()  # It may be the source's own, which is never touched.
                    else:
                        self.data.replace(self.data_path)
                    _sync_folder(self.path.parent)
                self.waiting.replace(self.path)
            except OSError:
                self._keeping = False
                if is_new and self.data_path is not None:
                    self.data_path.unlink(missing_ok=True)
                raise
            _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Leave nothing behind; but what ``keep`` had begun is finished."""
        with suppress(OSError):
            if self._keeping and not (self.data and self.data.exists()) and self.waiting.exists():
                self.waiting.replace(self.path)
        for path in (self.waiting, self.data):
            if path is not None:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def check_target(path: Path, model: Model) -> None:
    """Refuse a target (or another file to write) that is the source's, or cannot be a file.

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


def check_apart(path: Path, other: Path) -> None:
    """Refuse two files to write that are one.

    Raises:
        BadCall: naming it.
    """
    same = os.path.realpath(path) == os.path.realpath(other)
    if same or (path.exists() and other.exists() and path.samefile(other)):
        raise BadCall(f"{str(path)!r} is the target too", hint="Choose another path for it.")


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
    source = model.files[0]
    with _streamed(Span(source, 0, source.size, apart=False).blocks(), path) as target:
        yield target


@contextmanager
def noted(text: str, path: Path) -> Iterator[Target]:
    """Like ``written`` for a text."""
    with _streamed(iter([text.encode()]), path) as target:
        yield target


@contextmanager
def _streamed(blocks: Iterator[bytes], path: Path) -> Iterator[Target]:
    target = Target(path, _beside(path))
    try:
        with _storage(path), _new_file(target.waiting) as out:
            for block in blocks:
                out.write(block)
            _sync(out)
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

    pieces = skeleton.put_in(model.proto.SerializeToString(deterministic=True), place)
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


def _write_data(model: Model, target: Target) -> dict[int, bytes]:
    """Write the tensors that are kept apart to one file; the fields that refer to each."""
    target.data = _beside(target.path)
    digest = hashlib.sha256()
    ranges: dict[int, tuple[int, int]] = {}
    with _new_file(target.data) as out:
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
    target.data_path = target.path.with_name(f"weights-{digest.hexdigest()[:16]}.data")
    return {
        index: skeleton.external(
            {"location": target.data_path.name, "offset": str(start), "length": str(length)}
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
