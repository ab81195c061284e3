"""Skeletons to make by hand, and what they stand for."""

from __future__ import annotations

from damage import delimited
from onnx import ModelProto

from folding.skeleton import Hole, put_in

#: The data of a tensor that is taken out.
RAW = delimited(9, bytes(range(256)) * 8)


def initializer(*parts: bytes) -> bytes:
    """A file whose only initializer has these fields."""
    return delimited(7, delimited(5, b"".join(parts)))


def restored(data: bytes, skeleton: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The file that a skeleton stands for."""
    pieces = put_in(skeleton, lambda index: spans[index][1] - spans[index][0])
    return b"".join(
        data[slice(*spans[piece.index])] if isinstance(piece, Hole) else piece for piece in pieces
    )


def reserialised(skeleton: bytes) -> bytes:
    """A skeleton after protobuf has parsed it."""
    return ModelProto.FromString(skeleton).SerializeToString(deterministic=True)
