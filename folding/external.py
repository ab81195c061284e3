"""Tensors that a model keeps in other files: where they are, and whether they may be there."""

from __future__ import annotations

from contextlib import ExitStack

from onnx import ModelProto, TensorProto

from folding.data_places import Places, data_path
from folding.errors import BadModel, Malformed, TensorSizeMismatch
from folding.protos import element_bytes, entries_of, tensors
from folding.skeleton import TOKEN
from folding.source import Content, SourceFile, Span

#: A process may have some hundreds of files open; exporters make one for each tensor.
_MOST_OPEN = 64
#: Digits of 2**64.
_LONGEST = 20


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
            place = places.names.get(location) or data_path(places, location, tensor.name)
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
