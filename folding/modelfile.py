"""A model whose big tensors stay where they are: a skeleton, and what its tokens stand for.

``open_model`` reads a file without reading its weights; ``in_memory`` wraps a ModelProto. In both
the skeleton is an ordinary ModelProto in which each big tensor is an external tensor with the
location ``TOKEN`` and, as offset, its place in ``contents``. Tensors that the model itself
keeps in other files are treated alike, so nobody after this module needs to know the difference.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding.errors import BadCall, BadModel, Malformed, StorageFailed
from folding.protos import element_bytes, tensors
from folding.skeleton import TOKEN, take_out

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


@dataclass(slots=True)
class Model(AbstractContextManager["Model"]):
    """A skeleton, the contents of its tokens, and the files they are in.

    ``path`` is the resolved path of the file, or None for a model in memory.
    """

    proto: ModelProto
    contents: list[Content] = field(default_factory=list)
    path: Path | None = None
    files: list[SourceFile] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The bytes of all its files, or of the serialised model in memory."""
        return sum(f.size for f in self.files) if self.files else self.proto.ByteSize()

    @property
    def is_external(self) -> bool:
        return any(content.apart for content in self.contents)

    def content(self, tensor: TensorProto) -> Content | None:
        """Where the bytes of a tensor are, or None if they are inside the skeleton."""
        index = token(tensor)
        return None if index is None else self.contents[index]

    def tokens(self) -> list[int]:
        """The places in ``contents`` that the skeleton refers to, in file order."""
        found = (token(tensor) for tensor in tensors(self.proto))
        return [index for index in found if index is not None]

    def array(self, tensor: TensorProto) -> npt.NDArray[Any]:
        """The values of a tensor, in its own type."""
        content = self.content(tensor)
        if content is None:
            return numpy_helper.to_array(tensor)
        return self._shaped(tensor, content.read(0, content.size), tuple(tensor.dims))

    def rows(self, tensor: TensorProto, start: int, stop: int) -> npt.NDArray[Any]:
        """``array(tensor)[start:stop]`` without reading the rest, for whole-byte types."""
        content = self.content(tensor)
        if content is None:
            return numpy_helper.to_array(tensor)[start:stop]
        row = content.size // max(tensor.dims[0], 1)
        data = content.read(start * row, stop * row)
        return self._shaped(tensor, data, (stop - start, *tensor.dims[1:]))

    @staticmethod
    def _shaped(tensor: TensorProto, data: bytes, dims: tuple[int, ...]) -> npt.NDArray[Any]:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(dims)

    def digest(self) -> str:
        """The SHA-256 of the .onnx file, in hexadecimal."""
        digest = hashlib.sha256()
        for block in Span(self.files[0], 0, self.files[0].size, apart=False).blocks():
            digest.update(block)
        return digest.hexdigest()

    def check_unchanged(self) -> None:
        """Raise StorageFailed if anybody has written to one of the files since."""
        for file in self.files:
            file.check_unchanged()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self.files:
            file.close()

    def __enter__(self) -> Self:
        return self


def in_memory(proto: ModelProto) -> Model:
    """A model that is all skeleton. The ModelProto is copied, never changed."""
    for tensor in tensors(proto):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise BadModel(
                f"tensor {tensor.name!r} keeps its data in another file",
                hint="Load it with onnx.load, or pass the path of the model to folding.fold.",
            )
    copy = ModelProto()
    copy.CopyFrom(proto)
    return Model(copy)


def open_model(path: str | os.PathLike[str], data_names: Mapping[str, Path] | None = None) -> Model:
    """Open an ONNX file; nothing is read but its structure and its small tensors.

    Args:
        path: the file.
        data_names: where external data is that does not stand under its own name yet.

    Raises:
        Malformed: it is no well-formed ONNX model.
        BadModel: it refers to data that is not there, or outside of its folder.
        BadCall: the path is a directory.
        StorageFailed: it cannot be read.
    """
    given = Path(path)
    try:
        mode = given.stat().st_mode
        resolved = given.resolve()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageFailed(f"cannot read {str(path)!r}: {reason}") from error
    if stat.S_ISDIR(mode):
        raise BadCall(f"{str(path)!r} is a directory", hint="Name the .onnx file in it.")
    if not stat.S_ISREG(mode):
        raise BadCall(f"{str(path)!r} is no regular file", hint="Save the model to a file first.")
    with ExitStack() as stack:
        file = SourceFile(resolved)
        stack.callback(file.close)
        model = _read(file, str(path))
        _find_external(model, (given.parent, resolved.parent), data_names or {}, stack)
        stack.pop_all()
    return model


def _read(file: SourceFile, name: str) -> Model:
    if not file.size:
        raise Malformed(f"{name!r} is empty")
    try:
        skeleton, spans = take_out(file)
        proto = ModelProto.FromString(skeleton)
    except (Malformed, DecodeError) as error:
        reason = str(error).splitlines()[0] if isinstance(error, Malformed) else "it does not parse"
        raise Malformed(f"{name!r} is no ONNX model: {reason}") from error
    if not proto.HasField("graph"):
        raise Malformed(f"{name!r} is no ONNX model: it has no graph")
    contents: list[Content] = [Span(file, start, end - start, apart=False) for start, end in spans]
    return Model(proto, contents, file.path, [file])


def token(tensor: TensorProto) -> int | None:
    """The place in ``contents`` of a tensor's bytes, None if it has them itself."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    return int(_entries(tensor)["offset"])


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _find_external(
    model: Model, folders: tuple[Path, Path], data_names: Mapping[str, Path], stack: ExitStack
) -> None:
    """Point every tensor that the source keeps in another file to a token of its own."""
    own = {str(index) for index in range(len(model.contents))}
    opened: dict[str, SourceFile] = {}
    for tensor in tensors(model.proto):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = _entries(tensor)
        if entries.get("location") == TOKEN:
            if entries.get("offset") not in own:
                raise Malformed(f"tensor {tensor.name!r} refers to no file")
            own.remove(entries["offset"])
            continue
        location = entries.get("location", "")
        if location not in opened:
            place = data_names.get(location) or _data_path(folders, location, tensor.name)
            opened[location] = SourceFile(place)
            stack.callback(opened[location].close)
            model.files.append(opened[location])
        model.contents.append(_external_span(tensor, entries, opened[location]))
        del tensor.external_data[:]
        for key, value in (("location", TOKEN), ("offset", str(len(model.contents) - 1))):
            tensor.external_data.add(key=key, value=value)
    if own:
        raise Malformed("a tensor stands where the model cannot have one")


def _external_span(tensor: TensorProto, entries: dict[str, str], file: SourceFile) -> Span:
    size = element_bytes(tensor)
    if size < 0:
        raise BadModel(f"tensor {tensor.name!r} has a type that cannot be kept in another file")
    try:
        start = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size)))
    except ValueError as error:
        raise BadModel(
            f"tensor {tensor.name!r} has an offset or length that is no number"
        ) from error
    if length != size:
        raise BadModel(f"tensor {tensor.name!r} needs {size} bytes, its length says {length}")
    if start < 0 or start + size > file.size:
        raise BadModel(f"tensor {tensor.name!r} lies beyond the end of {file.path.name!r}")
    return Span(file, start, size, apart=True)


def _data_path(folders: tuple[Path, Path], location: str, name: str) -> Path:
    """The file of an external tensor: beside the model as it was given, or where a link led."""
    parts = PurePosixPath(location).parts
    unsafe = not parts or ".." in parts or "\0" in location
    if unsafe or PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive:
        raise BadModel(
            f"tensor {name!r} is kept in {location!r}, which is no path inside the model's folder",
            hint="Save the model with its data beside it.",
        )
    for folder in folders:
        path = Path(os.path.realpath(folder / location))
        if _is_file(path):
            if any(path.is_relative_to(os.path.realpath(inside)) for inside in folders):
                return path
            raise BadModel(
                f"tensor {name!r} is kept in {location!r}, a link that leaves the model's folder",
                hint="Copy the data file beside the model.",
            )
    raise BadModel(
        f"tensor {name!r} is kept in {location!r}, which is not beside the model",
        hint="Put the data file back where the model was saved.",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # The name is longer than any file's.
        return False
