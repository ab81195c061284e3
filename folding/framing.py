"""Protobuf framing: keys and lengths, nothing of what they mean.

Source: the Protocol Buffers encoding specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from folding.errors import Malformed

VARINT, _FIXED64, BYTES, _FIXED32 = 0, 1, 2, 5


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


class Window:
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


def fields(source: Bytes, start: int, end: int, window: Window | None = None) -> Iterator[Field]:
    """The fields between two positions, in file order.

    Raises:
        Malformed: a field reaches beyond ``end``, is a group, or is no field at all.
    """
    window = window or Window(source)
    position = start
    while position < end:
        block, index = window.at(position, end)
        key, after = _varint(block, index, position)
        wire = key & 7
        payload = position + after - index
        if wire == BYTES:
            length, after = _varint(block, after, position)
            payload = position + after - index
            stop = payload + length
        elif wire == VARINT:
            stop = position + _varint(block, after, position)[1] - index
        elif wire in (_FIXED64, _FIXED32):
            stop = payload + (8 if wire == _FIXED64 else 4)
        else:
            raise Malformed(f"a field of unknown kind at byte {position}")
        if stop > end or not key >> 3:
            raise Malformed(f"the field at byte {position} reaches beyond its message")
        yield Field(key >> 3, wire, position, payload, stop)
        position = stop


def encoded(value: int) -> bytes:
    """A varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def head(number: int, length: int) -> bytes:
    """What stands before a payload of so many bytes."""
    return encoded(number << 3 | BYTES) + encoded(length)


def delimited(number: int, payload: bytes) -> bytes:
    """A field with its payload."""
    return head(number, len(payload)) + payload
