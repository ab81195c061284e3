"""Protobuf framing: take the big tensors out of a serialised model, and put bytes back in.

An ONNX file is nested length-delimited fields. Walking only their keys and lengths finds every
``raw_data`` without reading it:

    file      ModelProto{ graph{ initializer{ dims, name, raw_data: 200 MB } } }
    skeleton  ModelProto{ graph{ initializer{ dims, name, external_data: token 0 } } }

``take_out`` makes the skeleton, ``put_in`` is its inverse. Fields that are not descended into are
passed on byte for byte, so whatever else a model holds survives.

Source: the Protocol Buffers encoding specification; field numbers from onnx.proto.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

from folding.errors import Malformed

#: Tensors below this many bytes stay in the skeleton, where shape inference can see them.
LEAST = 1024

#: Stands where an external tensor has its file name. No path can contain a NUL, and no file can
#: know the rest: a tensor that named it would pass for one taken out, and get its bytes.
TOKEN = f"\0{secrets.token_hex(16)}"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_TYPED_DATA = frozenset({4, 5, 6, 7, 10, 11})
_DEEPEST = 100


class Message(Enum):
    """The messages on the way from a model to its tensors."""

    MODEL = "model"
    GRAPH = "graph"
    NODE = "node"
    ATTRIBUTE = "attribute"
    FUNCTION = "function"
    TENSOR = "tensor"


_CHILDREN: dict[Message, dict[int, Message]] = {
    Message.MODEL: {7: Message.GRAPH, 25: Message.FUNCTION},
    Message.GRAPH: {1: Message.NODE, 5: Message.TENSOR},
    Message.NODE: {5: Message.ATTRIBUTE},
    Message.ATTRIBUTE: {
        5: Message.TENSOR,
        6: Message.GRAPH,
        10: Message.TENSOR,
        11: Message.GRAPH,
    },
    Message.FUNCTION: {7: Message.NODE},
    Message.TENSOR: {},
}
#: Fields that protobuf would merge or overwrite silently if they came twice.
_ONCE = {
    Message.MODEL: frozenset({7}),
    Message.ATTRIBUTE: frozenset({5, 6}),
    Message.TENSOR: frozenset({_RAW_DATA, _DATA_LOCATION}),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number, wire type, and where it and its payload stand."""

    number: int
    wire: int
    start: int
    payload: int
    end: int


class Bytes(Protocol):
    """Random access to the bytes of a file or of a buffer."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, end: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        return self.data[start:end]


class _Window:
    """Sequential reading in blocks, jumping over whatever nobody looks at."""

    BLOCK = 1 << 18

    def __init__(self, source: Bytes) -> None:
        self.source = source
        self.base = 0
        self.block = b""

    def at(self, position: int, end: int) -> tuple[bytes, int]:
        """The block around ``position``, with at least 20 bytes ahead unless ``end`` is nearer."""
        index = position - self.base
        if index < 0 or position + min(20, end - position) > self.base + len(self.block):
            self.base = position
            self.block = self.source.read(position, min(position + self.BLOCK, self.source.size))
            index = 0
        return self.block, index

    def read(self, start: int, end: int) -> bytes:
        if self.base <= start and end <= self.base + len(self.block):
            return self.block[start - self.base : end - self.base]
        return self.source.read(start, end)


def _varint(data: bytes, index: int, position: int) -> tuple[int, int]:
    value = shift = 0
    for step in range(10):
        if index + step >= len(data):
            break
        byte = data[index + step]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if step and not byte:
                raise Malformed(f"over-long number at byte {position}")
            return value, index + step + 1
        shift += 7
    raise Malformed(f"the number at byte {position} is cut off")


def fields(source: Bytes, start: int, end: int, window: _Window | None = None) -> Iterator[Field]:
    """The fields between two positions, in file order.

    Raises:
        Malformed: a field reaches beyond ``end``, is a group, or is no field at all.
    """
    window = window or _Window(source)
    position = start
    while position < end:
        block, index = window.at(position, end)
        key, after = _varint(block, index, position)
        wire = key & 7
        payload = position + after - index
        if wire == _BYTES:
            length, after = _varint(block, after, position)
            payload = position + after - index
            stop = payload + length
        elif wire == _VARINT:
            stop = position + _varint(block, after, position)[1] - index
        elif wire in (_FIXED64, _FIXED32):
            stop = payload + (8 if wire == _FIXED64 else 4)
        else:
            raise Malformed(f"a field of unknown kind at byte {position}")
        if stop > end or not key >> 3:
            raise Malformed(f"the field at byte {position} reaches beyond its message")
        yield Field(key >> 3, wire, position, payload, stop)
        position = stop


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _head(number: int, length: int) -> bytes:
    return _number(number << 3 | _BYTES) + _number(length)


def _delimited(number: int, payload: bytes) -> bytes:
    return _head(number, len(payload)) + payload


def external(entries: dict[str, str]) -> bytes:
    """The fields of a TensorProto that say that its bytes are elsewhere."""
    pairs = (
        _delimited(_EXTERNAL_DATA, _delimited(1, key.encode()) + _delimited(2, value.encode()))
        for key, value in entries.items()
    )
    return b"".join(pairs) + _number(_DATA_LOCATION << 3 | _VARINT) + _number(1)


def take_out(source: Bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """The skeleton of a serialised ModelProto, and the (start, end) of each tensor taken out.

    Raises:
        Malformed: the bytes are no well-formed message, or protobuf would read them otherwise.
    """
    spans: list[tuple[int, int]] = []
    window = _Window(source)

    def visit(message: Message, start: int, end: int, depth: int) -> bytes:
        if depth > _DEEPEST:
            raise Malformed(f"messages are nested too deeply at byte {start}")
        parts: list[bytes] = []
        seen: set[int] = set()
        copied, taken = start, False
        for field in fields(source, start, end, window):
            _check_once(message, field, seen)
            child = _CHILDREN[message].get(field.number) if field.wire == _BYTES else None
            big = field.end - field.payload >= LEAST
            if message is Message.TENSOR and field.number == _RAW_DATA and big:
                parts.append(window.read(copied, field.start))
                copied, taken = field.end, True
                spans.append((field.payload, field.end))
                parts.append(external({"location": TOKEN, "offset": str(len(spans) - 1)}))
            elif child and big:
                parts.append(window.read(copied, field.start))
                copied = field.end
                inner = visit(child, field.payload, field.end, depth + 1)
                parts.append(_delimited(field.number, inner))
        if taken and seen & (_TYPED_DATA | {_EXTERNAL_DATA, _DATA_LOCATION}):
            raise Malformed(f"the tensor at byte {start} says twice where its data is")
        parts.append(window.read(copied, end))
        return b"".join(parts)

    return visit(Message.MODEL, 0, source.size, 0), spans


def _check_once(message: Message, field: Field, seen: set[int]) -> None:
    if field.number in seen and field.number in _ONCE.get(message, ()):
        raise Malformed(
            f"field {field.number} of the {message.value} at byte {field.start} is repeated"
        )
    seen.add(field.number)


@dataclass(frozen=True, slots=True)
class Hole:
    """Where the ``size`` bytes of token ``index`` go."""

    index: int
    size: int


def put_in(skeleton: bytes, place: Callable[[int], bytes | int]) -> list[bytes | Hole]:
    """The pieces of the file that a skeleton stands for.

    ``place`` says for each token what comes in its stead: raw data of so many bytes, written
    later, or the fields that refer to another file, as bytes.
    """
    return _Filler(skeleton, place).message(Message.MODEL, 0, len(skeleton))[0]


class _Filler:
    """Rewrites the messages around tokens, whose lengths change; copies everything else."""

    def __init__(self, skeleton: bytes, place: Callable[[int], bytes | int]) -> None:
        self.source = Buffer(skeleton)
        self.place = place
        found = [match.start() for match in re.finditer(re.escape(TOKEN.encode()), skeleton)]
        self.tokens = [len(skeleton) + 1, *reversed(found)]

    def message(self, message: Message, start: int, end: int) -> tuple[list[bytes | Hole], int]:
        """The pieces of a message and their length in all."""
        parts: list[bytes | Hole] = []
        length, copied = 0, start
        for field in fields(self.source, start, end):
            child = _CHILDREN[message].get(field.number)
            if not field.payload <= self.tokens[-1] < field.end:
                continue
            if child is not None:
                visit = self.tensor if child is Message.TENSOR else partial(self.message, child)
                inner, total = visit(field.payload, field.end)
                parts.append(self.source.data[copied : field.start] + _head(field.number, total))
                length += field.start - copied + len(_head(field.number, total)) + total
                parts += inner
                copied = field.end
            while self.tokens[-1] < field.end:
                self.tokens.pop()
        parts.append(self.source.data[copied:end])
        return parts, length + end - copied

    def tensor(self, start: int, end: int) -> tuple[list[bytes | Hole], int]:
        """A tensor whose token gives way to its data; one that only looks so is left alone."""
        data = self.source.data
        early: list[bytes] = []
        late: list[bytes] = []
        entries: dict[bytes, bytes] = {}
        for field in fields(self.source, start, end):
            if field.number == _EXTERNAL_DATA:
                inner = fields(self.source, field.payload, field.end)
                pair = [data[part.payload : part.end] for part in inner]
                entries.update([(pair[0], pair[1])] if len(pair) == 2 else [])
            elif field.number != _DATA_LOCATION:
                (early if field.number < _RAW_DATA else late).append(data[field.start : field.end])
        if entries.get(b"location") != TOKEN.encode():
            return [data[start:end]], end - start
        index = int(entries[b"offset"])
        content = self.place(index)
        if isinstance(content, bytes):
            whole = b"".join([*early, content, *late])
            return [whole], len(whole)
        head, tail = b"".join([*early, _head(_RAW_DATA, content)]), b"".join(late)
        return [head, Hole(index, content), tail], len(head) + content + len(tail)
