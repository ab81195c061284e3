"""Framing: every field is found where it is, no byte is read twice, and nothing else is a field."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from damage import BYTES, FIXED32, FIXED64, VARINT, Part, varint
from damage import encoded as written
from fuzzing import Watched
from hypothesis import given
from hypothesis import strategies as st

from folding.errors import FoldError, Malformed, StorageFailed
from folding.framing import Buffer, Bytes, Reader, Window, delimited, encoded, fields

NUMBERS = st.integers(1, 40) | st.integers(1, (1 << 29) - 1)
PARTS = st.one_of(
    st.builds(Part, NUMBERS, st.just(VARINT), st.integers(0, (1 << 64) - 1).map(varint)),
    st.builds(Part, NUMBERS, st.just(FIXED64), st.binary(min_size=8, max_size=8)),
    st.builds(Part, NUMBERS, st.just(FIXED32), st.binary(min_size=4, max_size=4)),
    st.builds(Part, NUMBERS, st.just(BYTES), st.binary(max_size=9)),
    st.builds(Part, NUMBERS, st.just(BYTES), st.integers(0, 300).map(bytes)),
)
MESSAGES = st.lists(PARTS, max_size=20)


class Tight(Reader):
    """Reads a little at a time, so that fields lie across the borders."""

    NEAR, FAR = 32, 64


def tight(source: Bytes) -> Reader:
    return Tight(source, Tight.NEAR)


@given(MESSAGES, st.sampled_from([Reader, tight]))
def test_the_fields_are_those_that_were_written(
    parts: list[Part], reading: Callable[[Bytes], Reader]
) -> None:
    data = written(parts)
    reader = reading(Buffer(data))

    found = list(fields(reader.source, 0, len(data), reader))

    assert [(f.number, f.wire, data[f.payload : f.end]) for f in found] == [
        (part.number, part.wire, part.payload) for part in parts
    ]
    assert b"".join(data[f.start : f.end] for f in found) == data


@given(MESSAGES, st.integers(1, 20))
def test_short_fields_are_passed_over_on_demand(parts: list[Part], least: int) -> None:
    data = written(parts)
    every = list(fields(Buffer(data), 0, len(data)))

    found = list(fields(Buffer(data), 0, len(data), least=least))

    assert found == [field for field in every if field.end - field.payload >= least]


@given(MESSAGES)
def test_what_is_kept_is_all_that_is_not_skipped_and_no_byte_is_read_twice(
    parts: list[Part],
) -> None:
    data = written(parts)
    source = Watched(data)
    reader, kept = tight(source), b""

    for _, wire, at, payload, stop in fields(source, 0, len(data), reader):
        skipped = wire == BYTES and stop % 2 == 0
        if skipped:
            reader.skip(payload, stop)
        kept += data[at : payload if skipped else stop]
    reader.keep(len(data))

    assert bytes(reader.kept) == kept
    assert reader.skipped == len(data) - len(kept)
    source.assert_read_once()


def test_what_is_skipped_is_not_read() -> None:
    data = delimited(1, bytes(1 << 24)) * 3
    source = Watched(data)
    reader = Reader(source)

    for _, _, _, payload, stop in fields(source, 0, len(data), reader):
        reader.skip(payload, stop)

    assert sum(end - start for start, end in source.ranges) < 1 << 16


@given(st.integers(0, (1 << 64) - 1))
def test_numbers_are_as_short_as_can_be(value: int) -> None:
    assert encoded(value) == varint(value)


@given(NUMBERS, st.binary(max_size=300))
def test_what_is_delimited_is_one_field(number: int, payload: bytes) -> None:
    data = delimited(number, payload)

    (found,) = fields(Buffer(data), 0, len(data))

    assert found == (number, BYTES, 0, len(data) - len(payload), len(data))


BROKEN = {
    "a group": b"\x0b\x0c",
    "the end of a group": b"\x0c",
    "wire type 6": b"\x0e",
    "wire type 7": b"\x0f",
    "field number 0": b"\x02\x00",
    "a field number of 30 bits": b"\x82\x80\x80\x80\x20\x00",
    "a field number of 60 bits": b"\x82\x80\x80\x80\x80\x80\x80\x80\x40\x00",
    "an over-long key": b"\x8a\x80\x00\x00",
    "an over-long length": b"\x0a\x80\x00",
    "an over-long number": b"\x08\x80\x00",
    "a length beyond the file": b"\x3a\x7f",
    "a length beyond 2**63": b"\x3a" + b"\xff" * 9 + b"\x01",
    "an endless key": b"\xff" * 11,
    "an endless number": b"\x08" + b"\xff" * 11,
    "a key that is cut off": b"\x8a",
    "a length that is cut off": b"\x0a",
    "a long length that is cut off": b"\x0a\xff",
    "a number that is missing": b"\x08",
    "a number that is cut off": b"\x08\xff",
    "fixed32 that is cut off": b"\x0d\x00",
    "fixed64 that is cut off": b"\x09\x00",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_field_is_malformed(what: str) -> None:
    data = b"\x08\x00" + BROKEN[what]

    with pytest.raises(Malformed, match="at byte 2"):
        list(fields(Buffer(data), 0, len(data)))


@pytest.mark.parametrize("what", BROKEN)
def test_so_it_is_if_other_bytes_follow_its_message(what: str) -> None:
    data = BROKEN[what]

    with pytest.raises(Malformed, match="at byte 0"):
        list(fields(Buffer(data + b"\x01" * 40), 0, len(data)))


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_from_end_to_end_or_malformed(data: bytes) -> None:
    window = tight(Buffer(data))

    try:
        found = list(fields(window.source, 0, len(data), window))
    except Malformed:
        return
    assert b"".join(data[field.start : field.end] for field in found) == data


@given(MESSAGES, st.randoms(use_true_random=False))
def test_a_window_moves_anywhere(parts: list[Part], luck: Random) -> None:
    data = written(parts)
    window = Window(Buffer(data), 32)
    found = list(fields(Buffer(data), 0, len(data)))

    for field in luck.sample(found, len(found)):
        assert next(fields(window.source, field.start, len(data), window)) == field


class Unsteady:
    """Bytes whose number changes after some reads, whatever they said before."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.data, self.sizes = data, sizes

    @property
    def size(self) -> int:
        return self.sizes[0]

    def read(self, start: int, end: int) -> bytes:
        now = self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]
        return self.data[:now][start:end]


@given(MESSAGES, st.lists(st.integers(0, 400), min_size=1, max_size=6))
def test_a_source_that_changes_its_size_is_read_as_it_was_or_refused(
    parts: list[Part], sizes: list[int]
) -> None:
    data = written(parts)
    first = min(sizes[0], len(data))
    reader = tight(Unsteady(data, [first, *sizes]))

    try:
        found = list(fields(reader.source, 0, reader.size, reader))
        reader.keep(reader.size)
    except FoldError as error:
        assert isinstance(error, (Malformed, StorageFailed))  # noqa: PT017 - or nothing is wrong
        return
    assert bytes(reader.kept) == data[:first]
    assert found == list(fields(Buffer(data[:first]), 0, first))
