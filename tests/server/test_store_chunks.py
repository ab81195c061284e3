"""However the bytes of a call are cut into chunks, what comes of them is the same."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from spools import OWNER, file_of, left_in, send, spool_at

from folding_server.errors import ServiceError
from folding_server.jobs.runner import FileSpec


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[i:j] for i, j in pairwise(places)]


def _expected(files: list[FileSpec], sent: list[bytes]) -> str:
    for file, data in zip(files, sent, strict=True):
        if len(data) != file.size:
            return "SIZE_MISMATCH"
        if hashlib.sha256(data).hexdigest() != file.sha256:
            return "DIGEST_MISMATCH"
    return ""


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[FileSpec], list[bytes], list[list[int]]]:
    """Files as declared, the bytes that are sent for them, and where these are cut."""
    files, sent, cuts = [], [], []
    for number in range(draw(st.integers(1, 3))):
        data = draw(st.binary(max_size=40))
        files.append(file_of(data, str(number)))
        sent.append(draw(st.sampled_from([data, data, data + b"x", data[:-1], data[::-1]])))
        cuts.append(draw(st.lists(st.integers(0, 50), max_size=5)))
    return files, sent, cuts


@settings(max_examples=80, deadline=None)
@given(calls())
def test_chunks_of_any_size(call: tuple[list[FileSpec], list[bytes], list[list[int]]]) -> None:
    """However the bytes are cut, the same blobs are there, or the same refusal is given."""
    files, sent, cuts = call
    chunks = [(n, part) for n, data in enumerate(sent) for part in _cut(data, cuts[n])]
    with tempfile.TemporaryDirectory() as folder, spool_at(Path(folder)) as spool:
        reason = ""
        try:
            asyncio.run(send(spool, files, *chunks))
        except ServiceError as error:
            reason = error.reason
        assert reason == _expected(files, sent)
        assert not left_in(spool.folder / "uploads")
        for path in (spool.folder / "blobs").rglob("*/*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        if not reason:
            assert not spool.blobs.missing(OWNER, files)
