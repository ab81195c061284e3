"""A look at the bytes of a message before protobuf makes objects of them.

Two bytes of a header can become an object of a hundred, so that a header of some megabytes would
take more memory than all else. Chunks stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from folding.framing import head
from folding_server.errors import ServiceError

#: As many as a thousand files with long paths need.
HEADER_BYTES = 1 << 19
#: The field of a request that holds a chunk.
_CHUNK = 2
#: Of a field's number and length together, up to 4 MiB.
_HEAD_SIZES = range(2, 6)

_T = TypeVar("_T")


def bounded(parse: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """The same for messages that are one chunk or small; others are refused unread.

    Raises:
        ServiceError: BAD_REQUEST.
    """

    def parsed(data: bytes) -> _T:
        if len(data) > HEADER_BYTES and not _is_chunk(data):
            text = f"a header has {len(data)} bytes, but may have {HEADER_BYTES}"
            raise ServiceError("BAD_REQUEST", text, field="header")
        return parse(data)

    return parsed


def _is_chunk(data: bytes) -> bool:
    """Whether there is nothing in the message but a chunk."""
    heads = (head(_CHUNK, len(data) - size) for size in _HEAD_SIZES)
    fitting = (each for each, size in zip(heads, _HEAD_SIZES, strict=True) if len(each) == size)
    return any(data.startswith(each) for each in fitting)
