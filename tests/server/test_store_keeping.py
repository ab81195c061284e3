"""What is kept: what a call uses, then what was used last; the rest goes, in linear time."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import wait_until
from spools import OWNER, a_job, file_of, finished, keep, left_in, spool_at

from folding_server.jobs.runner import FileSpec
from folding_server.store import Spool, keeping

#: What each file of these tests takes, as the store counts.
ROOM = 8192
KEYS = [str(number) * 64 for number in range(3)]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """One that has room for ten files."""
    with spool_at(tmp_path / "spool", spool_bytes=10 * ROOM, kept_seconds=3600.0) as opened:
        opened._keeper.sweep()
        yield opened
        assert not left_in(opened.folder / "uploads")


def of_age(spool: Spool, number: int, seconds: float) -> FileSpec:
    """A file that was used so long ago."""
    file = keep(spool, bytes([number]) * 5000)
    then = time.time() - seconds
    os.utime(spool.blobs.path(OWNER, file.sha256), (then, then))
    return file


def there(spool: Spool, files: list[FileSpec]) -> list[int]:
    return [n for n, file in enumerate(files) if spool.blobs.path(OWNER, file.sha256).exists()]


def test_under_the_limit_nothing_goes(spool: Spool) -> None:
    """As long as there is room, everything stays."""
    files = [of_age(spool, number, 10 - number) for number in range(10)]
    spool._keeper.sweep()
    assert there(spool, files) == list(range(10))


def test_what_was_used_longest_ago_goes(spool: Spool) -> None:
    """Over the limit the oldest go, until there is a little room again."""
    files = [of_age(spool, number, 10 - number) for number in range(9)]
    assert spool.blobs.has(OWNER, files[0])
    files += [of_age(spool, number, 0) for number in range(9, 11)]
    spool._keeper.sweep()
    assert there(spool, files) == [0, *range(3, 11)]


def test_too_much_is_seen_by_itself(tmp_path: Path) -> None:
    """When files come, it is looked after them without anybody asking."""
    with spool_at(tmp_path / "spool", spool_bytes=10 * ROOM) as spool:
        files = [of_age(spool, number, 50 - number) for number in range(50)]
        wait_until(lambda: 0 < spool.room <= 11 * ROOM)
    assert there(spool, files)[-1] == 49
    assert 5 <= len(there(spool, files)) <= 10


def test_what_is_pinned_stays(spool: Spool) -> None:
    """What a call uses is not removed, not even when another call that used it ends."""
    files = [of_age(spool, number, 50 - number) for number in range(3)]
    with spool.blobs.pin(OWNER, files[:2]):
        with spool.blobs.pin(OWNER, files[:1]):
            pass
        spool._keeper.make_room(ROOM)
        assert there(spool, files) == [0, 1]
    spool._keeper.make_room(2 * ROOM)
    assert there(spool, files) == []


def test_what_nobody_asks_for_goes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes though no call comes."""
    monkeypatch.setattr(keeping, "_SOONEST", 0.01)
    with spool_at(tmp_path / "spool", kept_seconds=0.01) as spool:
        files, patience = [keep(spool, b"abc")], time.monotonic() + 10
        while there(spool, files):
            assert time.monotonic() < patience


def test_what_nobody_asks_for_goes(spool: Spool) -> None:
    """After the time that things are kept, they go though there is room."""
    files = [of_age(spool, 0, 3700), of_age(spool, 1, 3500)]
    spool._keeper.sweep()
    assert there(spool, files) == [1]


def test_results_go_whole(spool: Spool) -> None:
    """Results count with all their files, go whole, and stay if pinned."""
    for number, key in enumerate(KEYS):
        spool.results.put(key, finished(spool))
        os.utime(spool.folder / "results" / key, (number, number))
    with spool.results.pin(KEYS[0]):
        spool._keeper.sweep()
        assert os.listdir(spool.folder / "results") == [KEYS[0]]  # noqa: PTH208
        assert spool.results.get(KEYS[0])


def test_results_take_room(tmp_path: Path) -> None:
    """The folder of a result counts as much as what is in it."""
    with spool_at(tmp_path / "spool") as spool:
        kept = spool.results.put(KEYS[0], finished(spool))
        before = keeping.room_in(kept.folder)
        (kept.folder / "data" / "more").write_bytes(bytes(10_000))
        assert keeping.room_in(kept.folder) == before + 12288


def test_not_too_many(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without bytes count too: no more are kept than can be looked at."""
    files = [of_age(spool, number, 10 - number) for number in range(6)]
    monkeypatch.setattr(keeping, "_MOST", 4)
    spool._keeper.sweep()
    assert there(spool, files) == [3, 4, 5]


def test_the_next_server_looks_first(tmp_path: Path) -> None:
    """What is over the limits when a server starts goes without any call."""
    with spool_at(tmp_path / "spool") as spool:
        files = [of_age(spool, number, 10 - number) for number in range(3)]
    with spool_at(tmp_path / "spool", spool_bytes=2 * ROOM):
        pass
    assert there(spool, files) == [2]


def belonging(spool: Spool, owner: str, number: int, size: int) -> Path:
    """A file of so many bytes, which this owner sent just now."""
    source = spool.folder / "uploads" / "x"
    source.write_bytes(bytes([number]) * size)
    file = file_of(source.read_bytes())
    spool.blobs.take(owner, file, source)
    return spool.blobs.path(owner, file.sha256)


def test_who_has_most_makes_room(spool: Spool) -> None:
    """Those who keep little keep it, however long ago they used it."""
    little = of_age(spool, 0, 1000)
    much = [belonging(spool, "greedy", number, 5000) for number in range(1, 12)]
    spool._keeper.sweep()
    assert there(spool, [little]) == [0]
    assert not much[0].exists()
    assert much[-1].exists()


def test_who_has_most_files_goes_first(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files are too many, not those of somebody who has few large ones."""
    large = of_age(spool, 0, 1000)
    small = [belonging(spool, "greedy", number, 1) for number in range(1, 6)]
    monkeypatch.setattr(keeping, "_MOST", 4)
    spool._keeper.sweep()
    assert there(spool, [large]) == [0]
    assert [path.exists() for path in small].count(True) == 2


def test_results_are_of_their_owners(spool: Spool) -> None:
    """They count as what their owners keep."""
    keys = [spool.results.key(a_job(owner="greedy", seconds=1.0, options=o)) for o in OPTIONS]
    for key in keys:
        spool.results.put(key, finished(spool))
    little = of_age(spool, 0, 1000)
    assert spool.blobs.make_room(1)
    assert there(spool, [little]) == [0]
    assert [spool.results.get(key) is None for key in keys].count(True) == 1


OPTIONS = ({"verify": True}, {"verify": False})


def test_as_much_room_is_made_as_there_may_be(spool: Spool) -> None:
    """A job that lacks room gets what nobody uses, even if it is less than it may need."""
    files = [of_age(spool, number, 50 - number) for number in range(3)]
    with spool.blobs.pin(OWNER, files[:1]):
        assert spool.blobs.make_room(ROOM)
        assert there(spool, files) == [0, 2]
        assert spool.blobs.make_room(100 * ROOM)
        assert not spool.blobs.make_room(ROOM)
        assert there(spool, files) == [0]


def test_half_of_a_small_disk_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nobody says how much; the other half is for what jobs and uploads need."""
    small = shutil.disk_usage(tmp_path)._replace(total=8 * ROOM)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: small)
    with spool_at(tmp_path / "spool") as spool:
        files = [of_age(spool, number, 10 - number) for number in range(5)]
        spool._keeper.sweep()
        assert there(spool, files) == [2, 3, 4]


def test_a_spool_that_cannot_be_read(
    spool: Spool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If tidying fails, the operator reads why, and calls go on."""

    def failing(path: Path) -> int:
        raise PermissionError(13, "Permission denied")

    keep(spool, b"abc")
    monkeypatch.setattr(keeping, "room_in", failing)
    with caplog.at_level(logging.WARNING):
        spool._keeper.sweep()
    assert "the spool cannot be tidied: [Errno 13] Permission denied" in caplog.text


def test_a_sweep_is_linear(tmp_path: Path) -> None:
    """Twice the files take about twice the time."""
    assert _seconds(tmp_path / "two", 2000) < 3 * _seconds(tmp_path / "one", 1000)


def _seconds(folder: Path, count: int) -> float:
    with spool_at(folder, spool_bytes=1) as spool:
        spool._keeper.close()
        owner = spool.blobs.path(OWNER, "0" * 64).parent
        owner.mkdir()
        for number in range(count):
            (owner / f"{number:064x}").touch()
        before = time.process_time()
        spool._keeper.sweep()
        return time.process_time() - before
