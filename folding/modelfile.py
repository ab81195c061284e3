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
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding.errors import BadCall, BadModel, Malformed, StorageFailed
from folding.external import find_external
from folding.protos import entries_of, tensors
from folding.skeleton import take_out
from folding.source import Content, SourceFile, Span


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
        folders = (given.parent, resolved.parent)
        model.files += find_external(model.proto, model.contents, folders, data_names or {}, stack)
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
    return int(entries_of(tensor)["offset"])
