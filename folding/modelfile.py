"""A model whose big tensors stay where they are: a skeleton, and what its tokens stand for.

``open_model`` reads a file without reading its weights; ``in_memory`` wraps a ModelProto. In both
the skeleton is an ordinary ModelProto in which each big tensor is an external tensor with the
location ``TOKEN`` and, as offset, its place in ``contents``. Tensors that the model itself
keeps in other files are treated alike, so nobody after this module needs to know the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding.data_places import Places, place_of
from folding.errors import BadModel, Malformed, NestingTooDeep
from folding.external import find_external
from folding.protos import BITS, entries_of, tensors
from folding.scratch import Scratch
from folding.skeleton import DEEPEST, take_out
from folding.source import Content, SourceFile, Span

#: From one element to another; the numbers may be in the work buffer, which is overwritten.
Reader = Callable[[int, int, Scratch], npt.NDArray[Any]]


@dataclass(slots=True)
class Model(AbstractContextManager["Model"]):
    """A skeleton, the contents of its tokens, and the files they are in.

    ``path`` is the resolved path of the file, or None for a model in memory; ``data`` has those of
    the files that it keeps data in, by the names that it has for them.
    """

    proto: ModelProto
    contents: list[Content] = field(default_factory=list)
    path: Path | None = None
    files: list[SourceFile] = field(default_factory=list)
    data: dict[str, Path] = field(default_factory=dict)

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
        data = content.read(0, content.size)
        if BITS[tensor.data_type] % 8:
            packed = TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=data)
            return numpy_helper.to_array(packed)
        return np.frombuffer(data, _dtype(tensor)).reshape(tensor.dims)

    def reader(self, tensor: TensorProto) -> Reader:
        """Access to some elements of a tensor of whole bytes, in C order, without the others."""
        content = self.content(tensor)
        if content is None:
            whole = numpy_helper.to_array(tensor).reshape(-1)
            return lambda start, stop, _: whole[start:stop]
        dtype = _dtype(tensor)

        def read(start: int, stop: int, work: Scratch) -> npt.NDArray[Any]:
            values = work.array(dtype, (stop - start,))
            content.read_into(start * dtype.itemsize, values.view(np.uint8).data)
            return values

        return read

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


def open_model(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    data_names: Mapping[str, Path] | None = None,
    follow_links: bool = False,
    nesting: int = DEEPEST,
) -> Model:
    """Open an ONNX file; nothing is read but its structure and its small tensors.

    Args:
        path: the file.
        name: what to call it, if not by its path.
        data_names: where external data is that does not stand under its own name yet.
        follow_links: whether external data may be a link that leaves the model's folder.
        nesting: how many graphs may be in one another.

    Raises:
        Malformed: it is no well-formed ONNX model.
        NestingTooDeep: more graphs are in one another.
        BadModel: it refers to data that is not there, or outside of its folder.
        BadCall: the path is a directory.
        StorageFailed: it cannot be read.
    """
    resolved, folders = place_of(Path(path))
    with ExitStack() as stack:
        file = SourceFile(resolved)
        stack.callback(file.close)
        model = _read(file, name or str(path), nesting)
        places = Places(folders, data_names or {}, follow_links)
        found = find_external(model.proto, model.contents, places, stack)
        model.files += found.values()
        model.data |= {name: file.path for name, file in found.items()}
        stack.pop_all()
    return model


def _read(file: SourceFile, name: str, nesting: int = DEEPEST) -> Model:
    if not file.size:
        raise Malformed(f"{name!r} is empty")
    try:
        skeleton, spans = take_out(file, nesting=nesting)
        proto = ModelProto.FromString(skeleton)
    except NestingTooDeep as error:
        raise NestingTooDeep(f"{name!r} cannot be read: {error}", hint=error.hint) from error
    except (Malformed, DecodeError) as error:
        reason = str(error).splitlines()[0] if isinstance(error, Malformed) else "it does not parse"
        raise Malformed(f"{name!r} is no ONNX model: {reason}") from error
    if not proto.HasField("graph"):
        raise Malformed(f"{name!r} is no ONNX model: it has no graph")
    contents: list[Content] = [Span(file, start, end - start, apart=False) for start, end in spans]
    return Model(proto, contents, file.path, [file])


def _dtype(tensor: TensorProto) -> np.dtype[Any]:
    """The type of its elements as they are stored: with the least byte first."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).newbyteorder("<")


def token(tensor: TensorProto) -> int | None:
    """The place in ``contents`` of a tensor's bytes, None if it has them itself."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    return int(entries_of(tensor)["offset"])
