"""The files that a model keeps data in, found by keys and lengths alone.

No weight is read, and nothing is nested in the call stack, however deep the model is.

Field numbers are from onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from folding.errors import Malformed
from folding.framing import BYTES, Bytes, Field, Window, fields
from folding.messages import CHILDREN, Message
from folding.source import SourceFile

_GRAPH = 7
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
_KEY, _VALUE = 1, 2
_EXTERNAL = b"\x01"
#: What a tensor takes at least that says where its data is.
_LEAST = 16


def locations(path: Path) -> set[str]:
    """The files in which a model keeps data, as paths from its folder.

    Raises:
        Malformed: it is no well-formed ONNX model.
        StorageFailed: it cannot be read.
    """
    with closing(SourceFile(path)) as file:
        if not any(found.number == _GRAPH for found in fields(file, 0, file.size)):
            raise Malformed(f"{str(path)!r} is no ONNX model: it has no graph")
        return {str(PurePosixPath(location)) for location, _ in external_tensors(file)}


def external_tensors(source: Bytes) -> Iterator[tuple[str, str]]:
    """The location and the name of each tensor whose data is in another file, in file order.

    Raises:
        Malformed: the bytes are no well-formed message, or a location is not UTF-8.
        StorageFailed: the source became shorter while it was read.
    """
    window = Window(source)
    open_messages = [(Message.MODEL, fields(source, 0, source.size, window, _LEAST))]
    while open_messages:
        message, rest = open_messages[-1]
        found = next(rest, None)
        if found is None:
            open_messages.pop()
            continue
        child = CHILDREN[message].get(found.number) if found.wire == BYTES else None
        if child is Message.TENSOR:
            yield from _external(source, window, found)
        elif child is not None:
            within = fields(source, found.payload, found.end, window, _LEAST)
            open_messages.append((child, within))


def _external(source: Bytes, window: Window, tensor: Field) -> Iterator[tuple[str, str]]:
    name, entries, is_external = b"", dict[bytes, bytes](), False
    for found in fields(source, tensor.payload, tensor.end, window):
        if found.number == _NAME and found.wire == BYTES:
            name = source.read(found.payload, found.end)
        elif found.number == _EXTERNAL_DATA and found.wire == BYTES:
            key, value = _entry(source, found)
            entries[key] = value
        elif found.number == _DATA_LOCATION:
            is_external = source.read(found.payload, found.end) == _EXTERNAL
    if is_external:
        shown, location = name.decode(errors="replace"), entries.get(b"location", b"")
        try:
            yield location.decode(), shown
        except UnicodeDecodeError:
            text = f"tensor {shown!r} is kept in {location!r}, which is not UTF-8"
            raise Malformed(text) from None


def _entry(source: Bytes, entry: Field) -> tuple[bytes, bytes]:
    """Its key and its value."""
    found = {f.number: f for f in fields(source, entry.payload, entry.end) if f.wire == BYTES}
    key, value = (
        source.read(found[number].payload, found[number].end) if number in found else b""
        for number in (_KEY, _VALUE)
    )
    return key, value
