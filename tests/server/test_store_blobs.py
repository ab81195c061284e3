"""Blobs: known by digest and size, to their owner alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from spools import OWNER, file_of, keep, spool_at

from folding_server.errors import ServiceError
from folding_server.store import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with spool_at(tmp_path / "spool") as opened:
        yield opened


def test_a_digest_is_no_permission(spool: Spool) -> None:
    """What one client sent, another has to send as well."""
    file = keep(spool, b"abc")
    assert spool.blobs.has(OWNER, file)
    assert not spool.blobs.has("another", file)
    assert spool.blobs.missing("another", [file]) == [0]


def test_the_same_file_is_wanted_once(spool: Spool) -> None:
    """Of files with the same bytes the first is to be sent, of those that are there none."""
    known, new = keep(spool, b"known"), file_of(b"new", "a")
    files = [new, known, replace(new, path="b"), file_of(b"other"), replace(known, path="c")]
    assert spool.blobs.missing(OWNER, files) == [0, 3]


def test_a_size_that_is_not_the_files(spool: Spool) -> None:
    """A digest with another size is not the file that is there."""
    file = keep(spool, b"abc")
    assert spool.blobs.missing(OWNER, [replace(file, size=4), file]) == [0]
    assert spool.blobs.missing(OWNER, [file, replace(file, size=4)]) == [1]


@pytest.mark.parametrize("digest", ["", "../" * 21 + "x", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_what_is_no_digest(spool: Spool, digest: str) -> None:
    """Nothing but a digest ever becomes a path."""
    with pytest.raises(ServiceError) as raised:
        spool.blobs.path(OWNER, digest)
    assert raised.value.reason == "BAD_REQUEST"


@pytest.mark.parametrize("owner", ["..", "a/b", "", "\x00", "ä" * 300])
def test_owners_of_any_name(spool: Spool, owner: str) -> None:
    """Whatever an owner is called, the folder is a plain one below the blobs."""
    path = spool.blobs.path(owner, "0" * 64)
    assert path.parent.parent == spool.folder / "blobs"
    assert len(path.parent.name) == 16


def test_asking_is_using(spool: Spool) -> None:
    """A file that is asked for counts as used now, and as changed when it was."""
    path = spool.blobs.path(OWNER, keep(spool, b"abc").sha256)
    os.utime(path, (0, 0))
    assert spool.blobs.has(OWNER, file_of(b"abc"))
    assert path.stat().st_atime > 1e9
    assert path.stat().st_mtime == 0
