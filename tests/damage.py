"""Damage to serialised protobuf messages: field by field, as an attacker would do it, and by byte.

A message is a list of ``Part``s. Parts say how they are written, so that lengths can lie and
numbers be over-long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

VARINT, FIXED64, BYTES, GROUP, END, FIXED32 = range(6)
INWARD = 0.8
_SIZES = {FIXED64: 8, FIXED32: 4}


def varint(value: int, padding: int = 0) -> bytes:
    """A varint, over-long by so many bytes."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    if not padding:
        return bytes([*out, value])
    return bytes([*out, value | 0x80, *[0x80] * (padding - 1), 0])


@dataclass(frozen=True, slots=True)
class Part:
    """A field. ``lie`` is what its length says too much, the paddings make numbers over-long."""

    number: int
    wire: int
    payload: bytes = b""
    parts: tuple[Part, ...] | None = None
    lie: int = 0
    key_padding: int = 0
    length_padding: int = 0

    def encoded(self) -> bytes:
        key = varint(self.number << 3 | self.wire, self.key_padding)
        payload = self.payload if self.parts is None else encoded(self.parts)
        if self.wire == GROUP:
            return key + payload + varint(self.number << 3 | END)
        if self.wire != BYTES:
            return key + payload
        return key + varint(max(len(payload) + self.lie, 0), self.length_padding) + payload


Parts = tuple[Part, ...]


def encoded(parts: Sequence[Part]) -> bytes:
    """A message."""
    return b"".join(part.encoded() for part in parts)


def delimited(number: int, payload: bytes) -> bytes:
    """A field with a payload of some length."""
    return Part(number, BYTES, payload).encoded()


def numeric(number: int, value: int) -> bytes:
    """A field with a varint."""
    return Part(number, VARINT, varint(value)).encoded()


def taken_apart(data: bytes, kind: Any) -> Parts:
    """A well-formed message, and the messages within as far as its descriptor tells of them."""
    found, at = [], 0

    def read() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = read()
        start, wire = at, key & 7
        if wire == BYTES:
            length = read()
            start, at = at, at + length
        elif wire == VARINT:
            read()
        else:
            at += _SIZES[wire]
        known = kind.fields_by_number.get(key >> 3)
        inner = known.message_type if known and wire == BYTES else None
        payload = data[start:at]
        parts = None if inner is None else taken_apart(payload, inner)
        found.append(Part(key >> 3, wire, payload, parts))
    return tuple(found)


def somewhere(luck: Random, parts: Parts) -> tuple[int, ...]:
    """The way to some field of a message, or of one within."""
    path = [luck.randrange(len(parts))]
    while (inner := parts[path[-1]].parts) and luck.random() < INWARD:
        parts = inner
        path.append(luck.randrange(len(parts)))
    return tuple(path)


def at(parts: Parts, path: tuple[int, ...]) -> Part:
    """The field at the end of a way."""
    part = parts[path[0]]
    return part if len(path) == 1 else at(part.parts or (), path[1:])


def put(parts: Parts, path: tuple[int, ...], *new: Part) -> Parts:
    """The message with other fields in the place of one."""
    here, rest = path[0], path[1:]
    if rest:
        new = (replace(parts[here], parts=put(parts[here].parts or (), rest, *new)),)
    return (*parts[:here], *new, *parts[here + 1 :])


@dataclass(frozen=True, slots=True)
class Spot:
    """A field, one from elsewhere, and what may come in the place of the first."""

    luck: Random
    part: Part
    other: Part

    def twice(self) -> list[Part]:
        return [self.part, self.part]

    def with_other(self) -> list[Part]:
        return self.luck.sample([self.part, self.other], 2)

    def only_other(self) -> list[Part]:
        return [self.other]

    def dropped(self) -> list[Part]:
        return []

    def filled_with_other(self) -> list[Part]:
        return [replace(self.part, payload=self.other.payload, parts=self.other.parts)]

    def shuffled(self) -> list[Part]:
        parts = self.part.parts or ()
        return [replace(self.part, parts=tuple(self.luck.sample(parts, len(parts))))]

    def resized(self) -> list[Part]:
        data = self.part.payload if self.part.parts is None else encoded(self.part.parts)
        cut = self.luck.randrange(len(data) + 1)
        new = self.luck.choice([b"", data[:cut], data[cut:], data * 2, data * 40, data + bytes(9)])
        return [replace(self.part, payload=new, parts=None)]

    def split(self) -> list[Part]:
        """What protobuf merges again if the field is singular."""
        parts = self.part.parts or ()
        cut = self.luck.randrange(len(parts) + 1)
        return [replace(self.part, parts=parts[:cut]), replace(self.part, parts=parts[cut:])]

    def nested(self) -> list[Part]:
        """The field in graphs in one another, each in an attribute of a node."""
        payload = self.part.encoded()
        for number in (6, 5) + (1, 6, 5) * self.luck.choice([0, 1, 10, 29, 30, 31, 32, 40, 200]):
            payload = delimited(number, payload)
        return [Part(1, BYTES, payload)]

    def lying(self) -> list[Part]:
        lie = self.luck.choice([-9, -1, 1, 9, 1 << 31, 1 << 62])
        return [replace(self.part, lie=lie)]

    def over_long(self) -> list[Part]:
        key, length = self.luck.sample([0, 1, 4, 9], 2)
        return [replace(self.part, key_padding=key, length_padding=length)]

    def of_another_type(self) -> list[Part]:
        return [replace(self.part, wire=self.luck.randrange(8))]

    def with_group(self) -> list[Part]:
        number = self.luck.choice([self.part.number, 900])
        return [self.part, Part(number, GROUP, parts=(self.other,))]

    def with_unknown(self) -> list[Part]:
        return [self.part, Part(900, self.luck.choice([VARINT, BYTES]), b"\x05")]

    def renumbered(self) -> list[Part]:
        odd = [0, 900, (1 << 29) - 1, 1 << 29, self.part.number + (1 << 29), 1 << 40, 1 << 60]
        return [replace(self.part, number=self.luck.choice([*range(1, 27), *odd]))]

    def another_number(self) -> list[Part]:
        powers = [1 << power for power in (0, 1, 7, 31, 32, 63, 69)]
        value = self.luck.choice([0, *powers, *(power - 1 for power in powers)])
        payload = varint(value, self.luck.choice([0, 0, 0, 1, 9]))
        return [replace(self.part, wire=VARINT, payload=payload, parts=None)]

    def another_text(self) -> list[Part]:
        texts = b"", b"\0", b"../x", b"\xff\xfe", "aβ\u202e\n".encode(), b"a" * 300
        payload = self.luck.choice([*texts, self.other.payload])
        return [replace(self.part, payload=payload, parts=None)]


_CHANGES = (
    Spot.twice,
    Spot.with_other,
    Spot.only_other,
    Spot.dropped,
    Spot.filled_with_other,
    Spot.shuffled,
    Spot.resized,
    Spot.split,
    Spot.nested,
    Spot.lying,
    Spot.over_long,
    Spot.of_another_type,
    Spot.with_group,
    Spot.with_unknown,
    Spot.renumbered,
    Spot.another_number,
    Spot.another_text,
)


def damaged(luck: Random, parts: Parts, donor: Parts) -> bytes:
    """A message after some changes to its fields, then perhaps to its bytes."""
    for _ in range(luck.choice([1, 1, 1, 2, 2, 3, 5])):
        if not parts:
            break
        path = somewhere(luck, parts)
        giver = luck.choice([parts, donor])
        other = at(giver, somewhere(luck, giver))
        parts = put(parts, path, *luck.choice(_CHANGES)(Spot(luck, at(parts, path), other)))
    data = bytearray(encoded(parts))
    for _ in range(luck.choice([0, 0, 0, 0, 1, 3])):
        place, size = luck.randrange(len(data) + 1), luck.choice([0, 1, 1, 4, 1000])
        data[place : place + size] = luck.randbytes(luck.choice([0, 1, 1, 2]))
    return bytes(data)
