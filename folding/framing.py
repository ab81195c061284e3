"""Protobuf framing: keys and lengths, nothing of what they mean.

Stricter than protobuf, so that no two readers can disagree on what they see: groups, over-long
numbers, keys of more than 32 bits and fields that reach beyond their message are malformed.

Source: the Protocol Buffers encoding specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from folding.errors import Malformed, StorageFailed

VARINT, BYTES = 0, 2
_FIXED = {1: 8, 5: 4}
_GROUP = (3, 4)
_LONGEST = 10
_FIRST_KEY, _LAST_KEY = 8, (1 << 32) - 1
_SHORT = [bytes([value]) for value in range(0x80)]


class Field(NamedTuple):
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
    """A block of a source that is read ahead, and moved to wherever somebody looks.

    It begins at ``base``; up to the index ``last`` a field's head is wholly in it.
    """

    NEAR, FAR = 1 << 12, 1 << 20

    def __init__(self, source: Bytes, ahead: int = NEAR) -> None:
        self.source, self.size, self.ahead = source, source.size, ahead
        self.block, self.base, self.last = b"", 0, -1

    def move(self, position: int) -> None:
        """Let the block begin at a position; what it has of that already is not read again."""
        end = self.base + len(self.block)
        is_near = self.base <= position <= end
        rest, start = (self.block[position - self.base :], end) if is_near else (b"", position)
        self.ahead = min(2 * self.ahead, self.FAR) if is_near else self.NEAR
        self.block = rest + self.read(start, min(start + self.ahead, self.size))
        self.base = position
        is_all = position + len(self.block) == self.size
        self.last = len(self.block) - (0 if is_all else 2 * _LONGEST)

    def within(self, start: int, end: int) -> bytes:
        """What is between two positions of the block."""
        return self.block[start - self.base : end - self.base]

    def read(self, start: int, end: int) -> bytes:
        """What is between two positions of the source, whose size may not have changed."""
        data = self.source.read(start, end) if start < end else b""
        if len(data) != max(end - start, 0):
            raise StorageFailed("the source became shorter while it was read")
        return data


class Reader(Window):
    """A window that only moves forward, over each byte once, and keeps what it passes.

    The byte at ``p`` is in ``kept`` at ``p - skipped``.
    """

    def __init__(self, source: Bytes, ahead: int = Window.NEAR) -> None:
        super().__init__(source, ahead)
        self.kept, self.skipped, self._passed = bytearray(), 0, 0

    def move(self, position: int) -> None:
        self.keep(position)
        super().move(position)

    def keep(self, end: int) -> None:
        """Pass everything before ``end``."""
        start = self._passed
        if start < end:
            self.kept += self.within(start, end)
            self.kept += self.read(max(start, self.base + len(self.block)), end)
            self._passed = end

    def skip(self, start: int, end: int) -> None:
        """Pass everything before ``end``, but leave out what is between the two."""
        self.keep(start)
        self.skipped += end - start
        self._passed = end


def fields(
    source: Bytes, start: int, end: int, window: Window | None = None, least: int = 0
) -> Iterator[Field]:
    """The fields between two positions, in file order.

    Args:
        source: where they are.
        start: where the message begins.
        end: where it ends.
        window: what reads the source, if something does already.
        least: fields with a shorter payload are passed over.

    Raises:
        Malformed: a field reaches beyond ``end``, is a group, or is no field at all.
        StorageFailed: the source became shorter.
    """
    window = window or Window(source)
    position = start
    while position < end:
        if not 0 <= position - window.base <= window.last:
            window.move(position)
        block, base = window.block, window.base
        try:
            key, index = block[position - base], position - base + 1
            if key >= 0x80:
                key, index = _long(block, index - 1, position)
            payload, wire = base + index, key & 7
            if wire == BYTES:
                length, index = block[index], index + 1
                if length >= 0x80:
                    length, index = _long(block, index - 1, position)
                payload = base + index
                stop = payload + length
            elif wire == VARINT:
                short = block[index] < 0x80
                stop = payload + 1 if short else base + _long(block, index, position)[1]
            else:
                stop = payload + _fixed(wire, position)
        except IndexError:
            raise Malformed(f"the field at byte {position} is cut off") from None
        if stop > end or not _FIRST_KEY <= key <= _LAST_KEY:
            fault = "reaches beyond its message" if stop > end else "has an impossible number"
            raise Malformed(f"the field at byte {position} {fault}")
        if stop - payload >= least:
            yield Field(key >> 3, wire, position, payload, stop)
        position = stop


def _long(block: bytes, index: int, position: int) -> tuple[int, int]:
    """A varint that need not be short, and where it ends."""
    value = 0
    for step in range(_LONGEST):
        byte = block[index + step]
        value |= (byte & 0x7F) << 7 * step
        if byte < 0x80:
            if step and not byte:
                raise Malformed(f"an over-long number in the field at byte {position}")
            return value, index + step + 1
    raise Malformed(f"an over-long number in the field at byte {position}")


def _fixed(wire: int, position: int) -> int:
    if wire not in _FIXED:
        kind = "a group" if wire in _GROUP else "a field of unknown kind"
        raise Malformed(f"{kind} at byte {position}")
    return _FIXED[wire]


def encoded(value: int) -> bytes:
    """A varint."""
    if value < 0x80:
        return _SHORT[value]
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
