"""Skeletons: take the big tensors out of a serialised model, and put bytes back in.

An ONNX file is nested length-delimited fields. Walking only their keys and lengths finds every
``raw_data`` without reading it:

    file      ModelProto{ graph{ initializer{ dims, name, raw_data: 200 MB } } }
    skeleton  ModelProto{ graph{ initializer{ dims, name, external_data: token 0 } } }

``take_out`` makes the skeleton, ``put_in`` is its inverse. Both edit a tensor's data and the
lengths of the messages around it; all else is passed on as it is, so whatever a model holds
survives.

The walker and protobuf never read a file differently: what the walker does not look into is read by
protobuf alone, and in what it does look into, all that could be read in two ways is malformed.
It looks into messages long enough to hold a big tensor or too many graphs in one another, except
sparse tensors, whose data the ONNX checker and runtimes want where it is.

Field numbers are from onnx.proto.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from folding.errors import Malformed, NestingTooDeep
from folding.framing import (
    BYTES,
    VARINT,
    Buffer,
    Bytes,
    Field,
    Reader,
    delimited,
    encoded,
    head,
)
from folding.messages import CHILDREN, ONCE, Hole, Message, Piece, Walk, edited

__all__ = ["DEEPEST", "LEAST", "TOKEN", "Hole", "external", "put_in", "take_out"]

#: Tensors below this many bytes stay in the skeleton, where shape inference can see them.
LEAST = 1024

#: Stands where an external tensor has its file name. No path can contain a NUL, and no file can
#: know the rest: a tensor that named it would pass for one taken out, and get its bytes.
TOKEN = f"\0{secrets.token_hex(16)}"

_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_SAYS_WHERE = frozenset({4, 5, 6, 7, _RAW_DATA, 10, 11, _EXTERNAL_DATA, _DATA_LOCATION})
_HERE, _ELSEWHERE = (encoded(_DATA_LOCATION << 3 | VARINT) + encoded(value) for value in (0, 1))
#: The entry of a token whose tensor said that it has its data itself, as it need not.
_SAID = "data_location"

#: Protobuf reads no tensor that is in more graphs than this.
DEEPEST = 32
#: What a graph in a graph takes at least: the heads of a node, of an attribute, and its own.
_LEVEL = 6


def external(entries: dict[str, str]) -> bytes:
    """The fields of a TensorProto that say that its bytes are elsewhere."""
    return b"".join(_entry(*item) for item in entries.items()) + _ELSEWHERE


def _entry(key: str, value: str) -> bytes:
    return delimited(_EXTERNAL_DATA, delimited(1, key.encode()) + delimited(2, value.encode()))


_AT_TOKEN = _entry("location", TOKEN)


def take_out(source: Bytes, *, nesting: int = DEEPEST) -> tuple[bytes, list[tuple[int, int]]]:
    """The skeleton of a serialised ModelProto, and the (start, end) of each tensor taken out.

    Args:
        source: the serialised model.
        nesting: how many graphs, or a function and graphs, may be in one another. Never more
            than 32 are allowed, since protobuf reads no more.

    Raises:
        Malformed: the bytes are no well-formed message, or could be read in two ways.
        NestingTooDeep: more graphs are in one another.
        StorageFailed: the source became shorter while it was read.
    """
    taker = _Taker(source, min(nesting, DEEPEST))
    taker.message(Message.MODEL, 0, taker.reader.size, 0)
    taker.reader.keep(taker.reader.size)
    (skeleton,) = edited(taker.reader.kept, taker.edits)
    assert isinstance(skeleton, bytes)
    return skeleton, taker.spans


def put_in(skeleton: bytes, place: Callable[[int], bytes | int]) -> list[Piece]:
    """The pieces of the file that a skeleton stands for.

    ``place`` says for each token what comes in its stead: raw data of so many bytes, written
    later, or the fields that refer to another file, as bytes.
    """
    filler = _Filler(skeleton, place)
    filler.message(Message.MODEL, 0, len(skeleton), 0)
    return edited(skeleton, filler.edits)


class _Taker(Walk):
    """Takes tensors out, and refuses what could be read in two ways."""

    def __init__(self, source: Bytes, nesting: int) -> None:
        super().__init__(Reader(source))
        self.nesting = nesting
        self.spans: list[tuple[int, int]] = []

    def message(self, message: Message, start: int, end: int, graphs: int) -> None:
        graphs += message in (Message.GRAPH, Message.FUNCTION)
        if graphs > self.nesting:
            raise _too_deep(message, start, self.nesting)
        children, once = CHILDREN[message], ONCE.get(message, frozenset())
        least = min(LEAST, _LEVEL * (self.nesting - graphs))
        seen: set[int] = set()
        for found in self.fields(start, end, 0 if once else least):
            child = children.get(found.number) if found.wire == BYTES else None
            if child is None or child is Message.SPARSE:
                continue
            if found.number in seen and found.number in once:
                raise Malformed(
                    f"field {found.number} of the {message.value} at byte {start} is repeated"
                )
            seen.add(found.number)
            if found.end - found.payload >= (LEAST if child is Message.TENSOR else least):
                self.child(child, found, graphs)

    def tensor(self, start: int, end: int) -> None:
        reader, said = self.reader, 0
        data = here = None
        for number, wire, at, payload, stop in self.fields(start, end):
            said += number in _SAYS_WHERE
            if number == _RAW_DATA and wire == BYTES and stop - payload >= LEAST:
                data = at - reader.skipped, payload - reader.skipped
                self.spans.append((payload, stop))
                self.growth -= stop - payload
                reader.skip(payload, stop)
            elif number == _DATA_LOCATION and reader.within(at, stop) == _HERE:
                here = at - reader.skipped
        if data is None:
            return
        if said != (1 if here is None else 2):
            raise Malformed(f"the tensor at byte {start} says twice where its data is")
        reference = _AT_TOKEN + _entry("offset", str(len(self.spans) - 1))
        if here is not None:
            reference += _entry(_SAID, "DEFAULT")
            self.edit(here, here + len(_HERE), b"")
        self.edit(*data, reference + _ELSEWHERE)


def _too_deep(message: Message, start: int, nesting: int) -> NestingTooDeep:
    text = f"the {message.value} at byte {start} is nested deeper than {nesting}"
    if nesting < DEEPEST:
        return NestingTooDeep(text)
    return NestingTooDeep(text, hint="Export the model with fewer bodies in each other.")


class _Filler(Walk):
    """Puts data in the place of tokens."""

    def __init__(self, skeleton: bytes, place: Callable[[int], bytes | int]) -> None:
        super().__init__(Reader(Buffer(skeleton), len(skeleton)))
        self.data, self.place = skeleton, place
        found = [match.start() for match in re.finditer(re.escape(TOKEN.encode()), skeleton)]
        self.tokens = [len(skeleton), *reversed(found)]

    def message(self, message: Message, start: int, end: int, graphs: int) -> None:
        for found in self.fields(start, end, len(TOKEN)):
            if self.tokens[-1] >= end:
                break
            if found.payload <= self.tokens[-1] < found.end:
                child = CHILDREN[message].get(found.number)
                if child is not None:
                    self.child(child, found, graphs)
                while self.tokens[-1] < found.end:
                    self.tokens.pop()

    def tensor(self, start: int, end: int) -> None:
        """Leaves a tensor alone that only looks as if it had a token."""
        later = [found for found in self.fields(start, end) if found.number > _RAW_DATA]
        entries = [f for f in later if f.number == _EXTERNAL_DATA and f.wire == BYTES]
        said = dict(map(self.entry, entries))
        places = [found.end for found in later if found.number == _DATA_LOCATION]
        if said.get(b"location") != TOKEN.encode() or not places:
            return
        index = int(said[b"offset"])
        content = self.place(index)
        first, last, before = entries[0].start, places[0], later[0].start
        if isinstance(content, bytes):
            self.edit(first, last, content)
            return
        self.edit(before, before, head(_RAW_DATA, content))
        self.edit(before, before, Hole(index, content))
        self.edit(first, last, _HERE if _SAID.encode() in said else b"")

    def entry(self, found: Field) -> tuple[bytes, bytes]:
        """The key and the value of an entry, if it has both."""
        parts = [self.data[f.payload : f.end] for f in self.fields(found.payload, found.end)]
        return (parts[0], parts[1]) if len(parts) == 2 else (b"", b"")  # noqa: PLR2004
