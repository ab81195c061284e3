"""Tensors that a model keeps in other files: where they are, and whether they may be there."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import ModelProto, TensorProto

from folding.errors import (
    BadModel,
    ExternalDataPath,
    Malformed,
    StorageFailed,
    TensorSizeMismatch,
)
from folding.protos import element_bytes, entries_of, tensors
from folding.skeleton import TOKEN
from folding.source import Content, SourceFile, Span

#: A process may have some hundreds of files open; exporters make one for each tensor.
_MOST_OPEN = 64
#: Digits of 2**64.
_LONGEST = 20


@dataclass(frozen=True, slots=True)
class Places:
    """Where a model's data may be.

    ``folders`` are the model's as the caller named it, and those that links led to. ``names`` says
    where data is that does not stand under its own name yet.
    """

    folders: Sequence[Path]
    names: Mapping[str, Path]
    follow_links: bool = False


def find_external(
    proto: ModelProto,
    contents: list[Content],
    places: Places,
    stack: ExitStack,
) -> dict[str, SourceFile]:
    """Point every tensor that the source keeps in another file to a token of its own.

    Args:
        proto: the skeleton, which is changed.
        contents: what its tokens stand for; the tensors found are added.
        places: where the data may be.
        stack: closes what was opened, unless all goes well.

    Returns:
        The files that were opened, by the names that the model has for them.

    Raises:
        BadModel: a file is not there, not in its folder, or too short.
        StorageFailed: it may not be read.
        Malformed: a tensor passes for one that was taken out of the file.
    """
    own = {str(index) for index in range(len(contents))}
    opened: dict[str, SourceFile] = {}
    for tensor in tensors(proto):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = entries_of(tensor)
        location = entries.get("location", "")
        if not isinstance(location, str):
            raise Malformed(f"tensor {tensor.name!r} is kept in {location!r}, which is not UTF-8")
        if location == TOKEN:
            if entries.get("offset") not in own:
                raise Malformed(f"tensor {tensor.name!r} refers to no file")
            own.remove(entries["offset"])
            continue
        if location not in opened:
            place = places.names.get(location) or _data_path(places, location, tensor.name)
            opened[location] = SourceFile(place, stays_open=len(opened) < _MOST_OPEN)
            stack.callback(opened[location].close)
        contents.append(_external_span(tensor, entries, opened[location]))
        del tensor.external_data[:]
        for key, value in (("location", TOKEN), ("offset", str(len(contents) - 1))):
            tensor.external_data.add(key=key, value=value)
    if own:
        raise Malformed("a tensor stands where the model cannot have one")
    return opened


def _external_span(tensor: TensorProto, entries: dict[str, str], file: SourceFile) -> Span:
    size = element_bytes(tensor)
    if size < 0:
        raise BadModel(f"tensor {tensor.name!r} has a type that cannot be kept in another file")
    start, length = (_number(entries.get(key), tensor.name) for key in ("offset", "length"))
    length = size if length is None else length
    start = start or 0
    if length != size:
        raise TensorSizeMismatch(
            f"tensor {tensor.name!r} needs {size} bytes, its length says {length}"
        )
    if start + size > file.size:
        raise TensorSizeMismatch(
            f"tensor {tensor.name!r} lies beyond the end of {file.path.name!r}"
        )
    return Span(file, start, size, apart=True)


def _number(text: str | None, name: str) -> int | None:
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= _LONGEST):
        raise BadModel(f"tensor {name!r} has the offset or length {text[:50]!r}, as no file has")
    return None if text is None else int(text)


def _data_path(places: Places, location: str, name: str) -> Path:
    """The file of an external tensor: beside the model as it was given, or where a link led."""
    parts = PurePosixPath(location).parts
    unsafe = not parts or ".." in parts or "\0" in location
    if unsafe or PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive:
        raise ExternalDataPath(
            f"tensor {name!r} is kept in {location!r}, which is no path inside the model's folder",
            hint="Save the model with its data beside it.",
        )
    folders = [os.path.realpath(folder) for folder in places.folders]
    refused: PermissionError | None = None
    for folder in places.folders:
        path = Path(os.path.realpath(folder / location))
        try:
            is_file = _is_file(path)
        except PermissionError as error:
            is_file, refused = False, error
        if is_file:
            inside = any(path.is_relative_to(folder) for folder in folders)
            if inside or places.follow_links:
                return path
            raise ExternalDataPath(
                f"tensor {name!r} is kept in {location!r}, a link that leaves the model's folder",
                hint="Copy the data file beside the model, or allow it with --follow-links.",
            )
    if refused is not None:
        raise StorageFailed(
            f"cannot read {location!r}, where tensor {name!r} is kept: {refused.strerror}"
        )
    raise ExternalDataPath(
        f"tensor {name!r} is kept in {location!r}, which is not beside the model",
        hint="Put the data file back where the model was saved.",
    )


def _is_file(path: Path) -> bool:
    """Whether it is a file.

    Raises:
        PermissionError: nobody may know.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        raise
    except OSError:  # There is nothing, or the name is longer than any file's.
        return False
