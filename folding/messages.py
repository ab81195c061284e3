"""From a model to its tensors, and edits on the way.

A message whose inside grows or shrinks gets a new length, and so do all those around it. Edits are
collected first and made at once, so that nothing is copied for each message that it is in.

Field numbers are from onnx.proto.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

from folding.framing import Field, Reader, fields, head


class Message(Enum):
    """The messages on the way from a model to its tensors."""

    MODEL = "model"
    TRAINING = "training"
    GRAPH = "graph"
    FUNCTION = "function"
    NODE = "node"
    ATTRIBUTE = "attribute"
    SPARSE = "sparse tensor"
    TENSOR = "tensor"


#: The messages in a message, by the number of their field.
CHILDREN: dict[Message, dict[int, Message]] = {
    Message.MODEL: {7: Message.GRAPH, 20: Message.TRAINING, 25: Message.FUNCTION},
    Message.TRAINING: {1: Message.GRAPH, 2: Message.GRAPH},
    Message.GRAPH: {1: Message.NODE, 5: Message.TENSOR, 15: Message.SPARSE},
    Message.FUNCTION: {7: Message.NODE},
    Message.NODE: {5: Message.ATTRIBUTE},
    Message.ATTRIBUTE: {
        5: Message.TENSOR,
        6: Message.GRAPH,
        10: Message.TENSOR,
        11: Message.GRAPH,
        22: Message.SPARSE,
        23: Message.SPARSE,
    },
    Message.SPARSE: {1: Message.TENSOR, 2: Message.TENSOR},
}
#: Children of which protobuf would merge several into one.
ONCE = {
    Message.MODEL: frozenset({7}),
    Message.TRAINING: frozenset({1, 2}),
    Message.ATTRIBUTE: frozenset({5, 6}),
}


@dataclass(frozen=True, slots=True)
class Hole:
    """Where the ``size`` bytes of token ``index`` go."""

    index: int
    size: int


Piece = bytes | Hole
#: What comes in place of the bytes between two positions.
Edit = tuple[int, int, Piece]


class Walk(ABC):
    """Walks from a model to its tensors; ``edits`` are to what the reader does not skip."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.edits: list[Edit] = []
        self.growth = 0

    @abstractmethod
    def message(self, message: Message, start: int, end: int, graphs: int) -> None:
        """Edit a message that is in so many graphs."""

    @abstractmethod
    def tensor(self, start: int, end: int) -> None:
        """Edit a tensor."""

    def fields(self, start: int, end: int, least: int = 0) -> Iterator[Field]:
        """The fields of the message between two positions."""
        return fields(self.reader.source, start, end, self.reader, least)

    def child(self, child: Message, found: Field, graphs: int) -> None:
        """Edit the message in a field, and its length."""
        skipped, grown = self.reader.skipped, self.growth
        if child is Message.TENSOR:
            self.tensor(found.payload, found.end)
        else:
            self.message(child, found.payload, found.end, graphs)
        if self.growth != grown:
            length = found.end - found.payload + self.growth - grown
            new = head(found.number, length)
            self.edit(found.start - skipped, found.payload - skipped, new)

    def edit(self, start: int, end: int, new: Piece) -> None:
        """Put a piece in the place of what is between two positions."""
        self.edits.append((start, end, new))
        self.growth += (new.size if isinstance(new, Hole) else len(new)) - (end - start)


def edited(data: bytes | bytearray, edits: list[Edit]) -> list[Piece]:
    """The data with all edits made, in one piece up to each hole."""
    if not edits:
        return [bytes(data)]
    pieces: list[Piece] = []
    run: list[bytes | memoryview] = []
    view, copied = memoryview(data), 0
    for start, end, content in sorted(edits, key=itemgetter(0)):
        run.append(view[copied:start])
        copied = end
        if isinstance(content, Hole):
            pieces += b"".join(run), content
            run = []
        else:
            run.append(content)
    return [*pieces, b"".join([*run, view[copied:]])]
