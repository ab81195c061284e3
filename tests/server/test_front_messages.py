"""What is read at all: chunks of any size that gRPC takes, and headers that are not huge."""

from __future__ import annotations

import pytest

from folding.v1 import folding_pb2 as pb
from folding_server.errors import ServiceError
from folding_server.messages import bounded

_MANY = 1 << 20
READ = bounded(pb.FoldRequest.FromString)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 1 << 14, (1 << 19) - 4, 1 << 19, 3 << 20])
@pytest.mark.parametrize("number", [0, 1, 1 << 31])
def test_a_chunk_of_any_size_is_read(size: int, number: int) -> None:
    """It is what it was."""
    sent = pb.FoldRequest(chunk=pb.Chunk(file=number, data=bytes(size)))

    assert READ(sent.SerializeToString()) == sent


def test_a_header_of_usual_size_is_read() -> None:
    """Also one of a thousand files."""
    files = [pb.File(path=f"{n}" * 50, size=n, sha256="0" * 64) for n in range(1000)]
    sent = pb.FoldRequest(header=pb.FoldHeader(model=pb.Model(external_data=files)))

    assert READ(sent.SerializeToString()) == sent


def test_what_is_large_and_no_chunk_alone_is_refused_unread() -> None:
    """Neither before nor after a chunk may there be a large header."""
    header = pb.FoldRequest(header=pb.FoldHeader(target="x" * _MANY)).SerializeToString()
    chunk = pb.FoldRequest(chunk=pb.Chunk(data=bytes(_MANY))).SerializeToString()

    for sent in (header, chunk + header, header + chunk, chunk + b"\n\0", b"\x12" * _MANY):
        with pytest.raises(ServiceError) as caught:
            READ(sent)
        assert (caught.value.reason, caught.value.field) == ("BAD_REQUEST", "header")
