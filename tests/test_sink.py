"""New files: every piece in its place, whatever the kernel, the disk and the threads do."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from folding import sink
from folding.digests import sha256_beside
from folding.errors import StorageFailed
from folding.scratch import ELEMENTS
from folding.source import Block, SourceFile, Span

LARGE = 1 << 17
MEGA = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Iterator[SourceFile]:
    """A file of three megabytes, none of which is like another."""
    path = tmp_path / "source"
    path.write_bytes(np.random.default_rng(1).bytes(3 * MEGA))
    file = SourceFile(path)
    yield file
    file.close()


@pytest.fixture
def out(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


class Computed:
    """Content that is in no file, in blocks of odd sizes in a buffer that is used again."""

    apart = False

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, start: int, end: int) -> bytes:
        return self.data[start:end]

    def read_into(self, start: int, buffer: memoryview) -> None:
        buffer[:] = self.data[start : start + len(buffer)]

    def blocks(self) -> Iterator[Block]:
        buffer = bytearray(77_777)
        for start in range(0, self.size, len(buffer)):
            part = memoryview(buffer)[: self.size - start]
            self.read_into(start, part)
            yield part
            part[:] = bytes(len(part))


def pieces_of(file: SourceFile) -> list[sink.Piece]:
    """Some of every kind and size, between them nothing."""
    return [
        b"head",
        Span(file, 5, 3, apart=False),
        b"",
        Span(file, 1000, LARGE, apart=False),
        Computed(np.random.default_rng(2).bytes(400_001)),
        Span(file, 1001, LARGE - 1, apart=True),
        Span(file, 1 << 20, 0, apart=False),
        bytes(300_000),
        Span(file, MEGA + 7, 2 * MEGA - 7, apart=False),
        b"tail",
    ]


def whole(pieces: list[sink.Piece]) -> bytes:
    return b"".join(p if isinstance(p, bytes) else p.read(0, p.size) for p in pieces)


def written(tmp_path: Path) -> bytes:
    return (tmp_path / "out").read_bytes()


def assert_written(tmp_path: Path, out: int, source: SourceFile) -> None:
    """What a file is made of is in it, from its beginning to its end."""
    pieces = pieces_of(source)

    size = sink.write(out, pieces)

    assert size == len(whole(pieces))
    assert written(tmp_path) == whole(pieces)


Copy = Callable[..., int]


def no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refusing(number: int, *, after: int = 0) -> Copy:
    """A kernel that copies so many times, and then does not."""
    real, calls = os.copy_file_range, [0]

    def copy(*arguments: Any) -> int:
        calls[0] += 1
        if calls[0] > after:
            raise OSError(number, os.strerror(number))
        source, target, _, *places = arguments
        return real(source, target, 1000, *places)

    return copy


# --- copied by the kernel ------------------------------------------------------------------------


def test_every_piece_comes_to_its_place(tmp_path: Path, out: int, source: SourceFile) -> None:
    """Bytes, ranges of files and computed numbers, large and small."""
    assert_written(tmp_path, out, source)


def test_only_large_ranges_of_files_are_copied_by_the_kernel(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the others a system call of their own costs more than it saves."""
    sizes: list[int] = []
    real = os.copy_file_range

    def copy(source: int, target: int, count: int, *places: int) -> int:
        sizes.append(count)
        return real(source, target, count, *places)

    monkeypatch.setattr(os, "copy_file_range", copy)

    sink.write(out, pieces_of(source))

    assert sorted(sizes) == [LARGE, 2 * MEGA - 7]


def test_what_the_kernel_copies_is_not_read(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one byte passes through this process."""

    def fail(*_: Any) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(SourceFile, "read_into", fail)

    assert sink.write(out, [Span(source, 0, source.size, apart=False)]) == source.size


@pytest.mark.parametrize(
    "number", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF]
)
def test_where_the_kernel_cannot_copy_it_is_read_and_written(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Two file systems, an old kernel, a file system without it, a sandbox."""
    monkeypatch.setattr(os, "copy_file_range", refusing(number))

    assert_written(tmp_path, out, source)


@pytest.mark.parametrize("name", ["copy_file_range", "pwrite"])
def test_a_system_without_the_call_needs_none(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One cannot copy so, the other cannot write by position."""
    monkeypatch.delattr(os, name)

    assert_written(tmp_path, out, source)


@pytest.mark.parametrize("most", [1000, LARGE - 1, 1 << 20])
def test_a_kernel_that_copies_a_few_bytes_at_a_time_is_asked_again(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Each time for what is still missing."""
    real = os.copy_file_range

    def copy(source: int, target: int, count: int, *places: int) -> int:
        return real(source, target, min(count, most), *places)

    monkeypatch.setattr(os, "copy_file_range", copy)

    assert_written(tmp_path, out, source)


def test_a_kernel_that_writes_a_few_bytes_at_a_time_is_asked_again(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write may be cut short, too."""
    real = os.pwrite

    def cut(descriptor: int, data: memoryview, place: int) -> int:
        return real(descriptor, data[:50_000], place)

    monkeypatch.setattr(os, "pwrite", cut)

    assert_written(tmp_path, out, source)


@pytest.mark.parametrize("after", [0, 1])
def test_a_kernel_that_copies_nothing_is_not_asked_again(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Some file systems answer so for files that are whole; what is there is read instead."""
    real, calls = os.copy_file_range, [0]

    def copy(source: int, target: int, count: int, *places: int) -> int:
        calls[0] += 1
        return real(source, target, min(count, 1000), *places) if calls[0] <= after else 0

    monkeypatch.setattr(os, "copy_file_range", copy)

    assert_written(tmp_path, out, source)


@pytest.mark.parametrize("kernel", [True, False])
def test_a_source_that_is_cut_off_is_an_error_and_not_zeros(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, kernel: bool
) -> None:
    """Whoever copies it."""
    os.truncate(source.path, 2 * MEGA)
    if not kernel:
        monkeypatch.setattr(os, "copy_file_range", refusing(errno.EXDEV))

    with pytest.raises(StorageFailed, match=r"source.* became shorter"):
        sink.write(out, pieces_of(source))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_after_some_of_a_range_is_an_error(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The rest would fail like it."""
    monkeypatch.setattr(os, "copy_file_range", refusing(number, after=1))

    with pytest.raises(OSError, match=os.strerror(number)):
        sink.write(out, [Span(source, 0, MEGA, apart=False)])


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_reserves_nothing_is_written_to_all_the_same(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refusing(number))
    monkeypatch.setattr(sink, "_RESERVED", 0)

    assert_written(tmp_path, out, source)


def test_a_full_disk_is_known_before_anything_is_written(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a big file, whose place is reserved."""
    monkeypatch.setattr(os, "posix_fallocate", refusing(errno.ENOSPC))
    pieces = [*pieces_of(source), bytes(1 << 23)]

    with pytest.raises(OSError, match="No space left"):
        sink.write(out, pieces)

    assert not written(tmp_path)


# --- errors and threads --------------------------------------------------------------------------


@pytest.mark.parametrize("position", range(10))
def test_an_error_in_any_piece_is_raised(out: int, source: SourceFile, position: int) -> None:
    """Whichever of the two threads meets it."""

    class Broken(Computed):
        def blocks(self) -> Iterator[Block]:
            yield b"some"
            raise no_room()

    pieces: list[sink.Piece] = [Computed(bytes(100_000)) for _ in range(10)]
    pieces[position] = Broken(bytes(8))

    with pytest.raises(OSError, match="No space left"):
        sink.write(out, pieces)


def test_after_an_error_the_rest_is_not_written(out: int) -> None:
    """Nobody needs it."""
    asked: list[int] = []

    class Counted(Computed):
        def blocks(self) -> Iterator[Block]:
            asked.append(self.size)
            yield from super().blocks()

    class Broken(Computed):
        def blocks(self) -> Iterator[Block]:
            raise no_room()

    with pytest.raises(OSError, match="No space left"):
        sink.write(out, [Broken(b"1"), *(Counted(bytes(1000)) for _ in range(1000))])

    assert len(asked) < 1000


@pytest.mark.parametrize("digest", [False, True])
def test_without_room_for_a_thread_everything_is_written(
    tmp_path: Path,
    out: int,
    source: SourceFile,
    monkeypatch: pytest.MonkeyPatch,
    digest: bool,
) -> None:
    """Threads need memory for their stacks, and containers limit how many there are."""
    monkeypatch.setattr(sink, "_FLUSHED", 1)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    pieces = pieces_of(source)

    if digest:
        size, sha256 = sink.write_in_order(out, pieces)
        assert sha256 == hashlib.sha256(whole(pieces)).hexdigest()
    else:
        size = sink.write(out, pieces)

    assert size == len(whole(pieces))
    assert written(tmp_path) == whole(pieces)


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


Write = Callable[[int, list[sink.Piece]], Any]


def in_order(descriptor: int, pieces: list[sink.Piece]) -> Any:
    return sink.write_in_order(descriptor, pieces)


@pytest.mark.parametrize("write", [sink.write, in_order])
def test_a_disk_that_fails_while_the_rest_is_computed_is_not_forgotten(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    """The system tells it once only, to the thread that asked."""
    monkeypatch.setattr(sink, "_FLUSHED", 1)
    main, told = threading.current_thread(), threading.Event()
    real = os.fsync

    def failing(descriptor: int) -> None:
        if threading.current_thread() is main:
            assert told.wait(10)
            real(descriptor)
        elif not told.is_set():
            told.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)

    with pytest.raises(OSError, match="Input/output error"):
        write(out, pieces_of(source))


@pytest.mark.parametrize("write", [sink.write, in_order])
def test_everything_is_on_the_disk_at_the_end(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    """The last thing that happens to a file is that all of it is synced."""
    pieces, synced, real = pieces_of(source), list[int](), os.fsync

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)

    write(out, pieces)

    assert synced[-1] == len(whole(pieces))


@pytest.mark.parametrize("write", [sink.write, in_order])
def test_a_large_file_goes_to_the_disk_while_the_rest_is_computed(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    """So that little is left at the end."""
    monkeypatch.setattr(sink, "_FLUSHED", 1 << 16)
    synced, real, main = list[bool](), os.fsync, threading.current_thread()

    def sync(descriptor: int) -> None:
        synced.append(threading.current_thread() is main)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)

    write(out, pieces_of(source))

    assert synced[-1]
    assert not synced[0]


@pytest.mark.parametrize("write", [sink.write, in_order])
@pytest.mark.parametrize("fails", [False, True])
def test_no_thread_outlives_the_writing(
    out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch, write: Write, fails: bool
) -> None:
    """Neither after an error: its descriptor may be another file's by then."""
    monkeypatch.setattr(sink, "_FLUSHED", 1)
    slow, real = threading.Event(), os.fsync
    before = threading.active_count()

    def sync(descriptor: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            slow.wait(0.1)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    pieces = pieces_of(source)
    if fails:
        os.truncate(source.path, 2 * MEGA)
        with pytest.raises(StorageFailed):
            write(out, pieces)
    else:
        write(out, pieces)

    assert threading.active_count() == before


# --- digests -------------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_file(tmp_path: Path, out: int, source: SourceFile) -> None:
    """It is computed on the way, and nothing is read again for it."""
    pieces = pieces_of(source)

    size, sha256 = sink.write_in_order(out, pieces)

    assert written(tmp_path) == whole(pieces)
    assert size == len(written(tmp_path))
    assert sha256 == hashlib.sha256(written(tmp_path)).hexdigest()


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (LARGE - 1, 1), (LARGE,), (5, 20 * LARGE, 5)])
def test_the_digest_is_right_for_any_size(out: int, sizes: tuple[int, ...]) -> None:
    """Nothing, less than is worth a thread, and more than may wait for it."""
    pieces: list[sink.Piece] = [np.random.default_rng(size).bytes(size) for size in sizes]

    _, sha256 = sink.write_in_order(out, pieces)

    assert sha256 == hashlib.sha256(whole(pieces)).hexdigest()


def test_a_small_file_s_digest_takes_no_thread(out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting one takes longer than it would."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread"))

    _, sha256 = sink.write_in_order(out, [b"some", b"thing"])

    assert sha256 == hashlib.sha256(b"something").hexdigest()


@pytest.mark.parametrize("is_room", [True, False])
def test_a_source_s_digest_is_computed_beside_everything_else(
    source: SourceFile, monkeypatch: pytest.MonkeyPatch, is_room: bool
) -> None:
    """Or before it, where there is no room for a thread."""
    if not is_room:
        monkeypatch.setattr(threading.Thread, "start", no_thread)

    with sha256_beside(source) as found:
        pass

    assert found.result() == hashlib.sha256(source.path.read_bytes()).hexdigest()


def test_a_fingerprint_is_that_of_each_block_and_its_place(tmp_path: Path, out: int) -> None:
    """Whoever writes which tensor first; padding counts by the places alone."""
    rng = np.random.default_rng(0)
    tensors = [rng.bytes(size) for size in (5, 1 << 21, 0, 3000)]
    sources = []
    for number, data in enumerate(tensors):
        (tmp_path / f"{number}.bin").write_bytes(data)
        sources.append(SourceFile(tmp_path / f"{number}.bin"))
    spans = [Span(file, 0, file.size, apart=True) for file in sources]

    size, fingerprint = sink.write_tensors(out, [spans[0], bytes(59), *spans[1:]])

    step = ELEMENTS * 8
    blocks = {0: tensors[0], 64 + (1 << 21): tensors[3]}
    blocks |= {64 + at: tensors[1][at : at + step] for at in range(0, 1 << 21, step)}
    lines = (f"{place} {crc32(blocks[place])}\n" for place in sorted(blocks))
    assert fingerprint == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert size == sum(map(len, tensors)) + 59
    assert written(tmp_path) == tensors[0] + bytes(59) + b"".join(tensors[1:])
    for file in sources:
        file.close()


def test_places_can_be_written_to_without_pwrite(
    tmp_path: Path, out: int, source: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    monkeypatch.delattr(os, "pwrite")
    monkeypatch.delattr(os, "copy_file_range")
    span = Span(source, 0, source.size, apart=False)

    sink.write(out, [b"before", span, b"after"])

    assert written(tmp_path) == b"before" + source.path.read_bytes() + b"after"
