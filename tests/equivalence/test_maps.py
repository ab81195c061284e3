"""Maps: the bytes of a file, of which only what was read last is kept."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from folding.equivalence.maps import Maps
from folding.source import SourceFile, Span

SIZE = 96 << 20
TOTAL = (SIZE // 8) * (SIZE // 8 - 1) // 2


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SourceFile]:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 64)
    source = SourceFile(path)
    yield source
    source.close()


def test_a_span_is_seen_from_its_first_byte_to_its_last(file: SourceFile) -> None:
    seen = Maps().view(Span(file, 5, 1000, apart=False))

    assert seen.tobytes() == (bytes(range(256)) * 5)[5:1005]
    assert not seen.flags.writeable


def test_what_was_seen_can_be_seen_after_the_maps_are_closed(file: SourceFile) -> None:
    maps = Maps()
    seen = maps.view(Span(file, 0, 256, apart=False))
    maps.close()

    assert seen.tobytes() == bytes(range(256))


def test_nothing_runs_on_when_nobody_reads(file: SourceFile) -> None:
    before, maps = threading.active_count(), Maps()
    with maps.trimmed():
        maps.view(Span(file, 0, 256, apart=False)).sum()

    assert threading.active_count() == before


def test_without_memory_for_a_thread_the_bytes_are_still_read(
    file: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    maps = Maps()
    with maps.trimmed():
        seen = maps.view(Span(file, 0, 256, apart=False))

    assert seen.tobytes() == bytes(range(256))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_pages_that_were_read_are_let_go_and_read_again_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "large"
    np.arange(SIZE // 8).tofile(path)
    source, maps = SourceFile(path), Maps()
    seen = maps.view(Span(source, 0, SIZE, apart=False)).view(np.int64)

    def resident() -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssFile"))

    before = resident()
    assert seen.sum() == TOTAL
    assert resident() - before > SIZE // 2
    with maps.trimmed():
        deadline = time.monotonic() + 30
        while resident() - before > SIZE // 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert resident() - before <= SIZE // 8
        assert seen.sum() == TOTAL
    source.close()
