"""Skeletons: take the big tensors out of a serialised model, and put bytes back in.

An ONNX file is nested length-delimited fields. Walking only their keys and lengths finds every
``raw_data`` without reading it:

    file      ModelProto{ graph{ initializer{ dims, name, raw_data: 200 MB } } }
    skeleton  ModelProto{ graph{ initializer{ dims, name, external_data: token 0 } } }

``take_out`` makes the skeleton, ``put_in`` is its inverse. Fields that are not descended into are
passed on byte for byte, so whatever else a model holds survives.

Field numbers are from onnx.proto.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from folding.errors import Malformed
from folding.framing import (
    BYTES,
    VARINT,
    Buffer,
    Bytes,
    Field,
    Window,
    delimited,
    encoded,
    fields,
    head,
)

#: Tensors below this many bytes stay in the skeleton, where shape inference can see them.
LEAST = 1024

#: Stands where an external tensor has its file name. No path can contain a NUL, and no file can
#: know the rest: a tensor that named it would pass for one taken out, and get its bytes.
TOKEN = f"\0{secrets.token_hex(16)}"

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


def external(entries: dict[str, str]) -> bytes:
    """The fields of a TensorProto that say that its bytes are elsewhere."""
    pairs = (
        delimited(_EXTERNAL_DATA, delimited(1, key.encode()) + delimited(2, value.encode()))
        for key, value in entries.items()
    )
    return b"".join(pairs) + encoded(_DATA_LOCATION << 3 | VARINT) + encoded(1)


def take_out(source: Bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """The skeleton of a serialised ModelProto, and the (start, end) of each tensor taken out.

    Raises:
        Malformed: the bytes are no well-formed message, or protobuf would read them otherwise.
    """
    spans: list[tuple[int, int]] = []
    window = Window(source)

    def visit(message: Message, start: int, end: int, depth: int) -> bytes:
        if depth > _DEEPEST:
            raise Malformed(f"messages are nested too deeply at byte {start}")
        parts: list[bytes] = []
        seen: set[int] = set()
        copied, taken = start, False
        for field in fields(source, start, end, window):
            _check_once(message, field, seen)
            child = _CHILDREN[message].get(field.number) if field.wire == BYTES else None
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
                parts.append(delimited(field.number, inner))
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
                parts.append(self.source.data[copied : field.start] + head(field.number, total))
                length += field.start - copied + len(head(field.number, total)) + total
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
                entries.update([(pair[0], pair[1])] if len(pair) == 2 else [])  # noqa: PLR2004
            elif field.number != _DATA_LOCATION:
                (early if field.number < _RAW_DATA else late).append(data[field.start : field.end])
        if entries.get(b"location") != TOKEN.encode():
            return [data[start:end]], end - start
        index = int(entries[b"offset"])
        content = self.place(index)
        if isinstance(content, bytes):
            whole = b"".join([*early, content, *late])
            return [whole], len(whole)
        before, after = b"".join([*early, head(_RAW_DATA, content)]), b"".join(late)
        return [before, Hole(index, content), after], len(before) + content + len(after)
