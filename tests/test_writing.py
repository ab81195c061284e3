"""Writing: the target is the old file or the new one, never less, and nothing else is left."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from zlib import crc32

import numpy as np
import pytest
from files import (
    command,
    contents,
    conv_net,
    initializer,
    put_apart,
    read,
    relu_net,
    same_values,
    save,
    save_apart,
)
from onnx import ModelProto, TensorProto, numpy_helper

import folding
from folding.errors import BadCall, FoldError, StorageFailed

OLD = b"what was there before"


def fold(source: Path, target: Path, **more: Any) -> folding.Report:
    """Without verification, which is not what is tested here."""
    return folding.fold(source, target, verify=False, **more)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return save(conv_net(16), tmp_path / "in" / "m.onnx")


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A source that keeps its weights in another file."""
    (tmp_path / "in").mkdir()
    return save_apart(conv_net(16), tmp_path / "in" / "m.onnx")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


# --- what is written -----------------------------------------------------------------------------


def test_the_target_is_the_only_new_file(source: Path, out: Path) -> None:
    fold(source, out / "f.onnx")

    assert list(contents(out)) == ["f.onnx"]


def test_it_is_a_model_without_the_normalisation(source: Path, out: Path) -> None:
    fold(source, out / "f.onnx")

    assert [node.op_type for node in read(out / "f.onnx").graph.node] == ["Conv", "Relu"]


def test_the_source_stays_as_it_was(source: Path, out: Path) -> None:
    before = contents(source.parent)

    fold(source, out / "f.onnx")

    assert contents(source.parent) == before


def test_by_default_the_target_stands_beside_the_source(source: Path) -> None:
    report = folding.fold(source)

    assert sorted(contents(source.parent)) == ["m.folded.onnx", "m.onnx"]
    assert report.target is not None
    assert report.target.path == str(source.with_name("m.folded.onnx"))


def test_a_source_without_a_suffix_gets_one(tmp_path: Path) -> None:
    folding.fold(save(conv_net(), tmp_path / "model"))

    assert sorted(contents(tmp_path)) == ["model", "model.folded.onnx"]


def test_an_existing_target_is_replaced(source: Path, out: Path) -> None:
    (out / "f.onnx").write_bytes(OLD)

    fold(source, out / "f.onnx")

    assert read(out / "f.onnx").graph.name == "net"


def test_folding_twice_writes_the_same_bytes(source: Path, out: Path) -> None:
    fold(source, out / "a.onnx")
    fold(source, out / "b.onnx")

    assert (out / "a.onnx").read_bytes() == (out / "b.onnx").read_bytes()


def test_without_anything_to_fold_the_target_is_the_source_s_bytes(
    tmp_path: Path, out: Path
) -> None:
    # Fields in an odd order and twice the same: nothing that a serialiser would write.
    odd = relu_net().SerializeToString() + ModelProto(producer_name="last").SerializeToString()
    source = tmp_path / "m.onnx"
    source.write_bytes(odd)

    fold(source, out / "f.onnx")

    assert (out / "f.onnx").read_bytes() == odd


def test_what_is_known_of_the_target_is_in_the_report(source: Path, out: Path) -> None:
    report = fold(source, out / "f.onnx", digests=True)

    data = (out / "f.onnx").read_bytes()
    assert report.target is not None
    assert report.target.bytes == len(data)
    assert report.target.sha256 == hashlib.sha256(data).hexdigest()
    assert report.source.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()


def test_the_digests_of_a_model_with_data_apart_are_its_own_file_s(apart: Path, out: Path) -> None:
    """The sizes are those of all its files."""
    report = fold(apart, out / "f.onnx", digests=True)

    assert report.target is not None
    for path, facts in ((apart, report.source), (out / "f.onnx", report.target)):
        assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert facts.bytes == sum(len(data) for data in contents(path.parent).values())


@pytest.mark.parametrize("layout", list(folding.Layout))
def test_the_digests_of_a_model_with_nothing_to_fold_are_right(
    tmp_path: Path, out: Path, layout: folding.Layout
) -> None:
    """Also where its bytes are only copied."""
    source = save(relu_net(), tmp_path / "m.onnx")

    report = fold(source, out / "f.onnx", digests=True, layout=layout)

    assert report.target is not None
    for path, facts in ((source, report.source), (out / "f.onnx", report.target)):
        assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_the_mode_of_the_target_follows_the_umask(source: Path, out: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        fold(source, out / "f.onnx")
    finally:
        os.umask(before)

    assert (out / "f.onnx").stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_target_may_be_given_as_text(source: Path, out: Path) -> None:
    fold(source, Path(f"{out}/f.onnx"))
    folding.fold(str(source), str(out / "g.onnx"), verify=False)

    assert (out / "f.onnx").read_bytes() == (out / "g.onnx").read_bytes()


def test_a_target_in_the_working_directory_needs_no_folder(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out)

    fold(source, Path("f.onnx"))

    assert list(contents(out)) == ["f.onnx"]


# --- external data -------------------------------------------------------------------------------


def test_data_that_the_source_has_under_the_same_name_is_left_alone(apart: Path, out: Path) -> None:
    fold(apart, out / "f.onnx")
    (data,) = out.glob("weights-*")
    before = data.stat()

    fold(out / "f.onnx", out / "again.onnx")

    after = data.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert (out / "again.onnx").read_bytes() == (out / "f.onnx").read_bytes()


def test_data_apart_goes_to_a_file_with_a_piece_of_its_digest(apart: Path, out: Path) -> None:
    fold(apart, out / "f.onnx")

    (data,) = out.glob("*.data")
    tensors = ModelProto.FromString((out / "f.onnx").read_bytes()).graph.initializer
    places = [{e.key: e.value for e in t.external_data} for t in tensors if t.external_data]
    lines = ""
    for start, size in sorted((int(p["offset"]), int(p["length"])) for p in places):
        part = data.read_bytes()[start : start + size]
        lines += f"{start} {crc32(part)}\n"
    assert data.name == f"weights-{hashlib.sha256(lines.encode()).hexdigest()[:16]}.data"
    assert sorted(contents(out)) == sorted([data.name, "f.onnx"])


def test_the_layout_follows_the_source(tmp_path: Path, out: Path) -> None:
    model = conv_net(16)
    model.graph.initializer.append(
        numpy_helper.from_array(np.arange(2000, dtype=np.float32), "inside")
    )
    put_apart(initializer(model, "w"), tmp_path, "w.bin")

    fold(save(model, tmp_path / "m.onnx"), out / "f.onnx")

    stored = ModelProto.FromString((out / "f.onnx").read_bytes())
    assert initializer(stored, "w").data_location == TensorProto.EXTERNAL
    assert initializer(stored, "inside").data_location == TensorProto.DEFAULT


def test_data_apart_or_not_the_numbers_are_the_same(tmp_path: Path, out: Path) -> None:
    model = conv_net(16)
    fold(save(model, tmp_path / "one.onnx"), out / "one.onnx")

    fold(save_apart(model, tmp_path / "two.onnx"), out / "two.onnx")

    assert same_values(read(out / "one.onnx"), read(out / "two.onnx"), ["w", "b"])


def test_data_apart_can_be_mapped_by_pages(tmp_path: Path, out: Path) -> None:
    model = conv_net(16)
    for name in ("large", "small"):
        unread = numpy_helper.from_array(np.ones(1 << 14 if name == "large" else 999, "f4"), name)
        model.graph.initializer.append(unread)
    fold(save_apart(model, tmp_path / "m.onnx"), out / "f.onnx")

    stored = ModelProto.FromString((out / "f.onnx").read_bytes())
    tensors = [t for t in stored.graph.initializer if t.external_data]
    places = [{entry.key: entry.value for entry in t.external_data}["offset"] for t in tensors]
    assert places == ["0", "4096", "69632"]


def test_nothing_to_fold_and_data_apart_gives_the_same_model(tmp_path: Path, out: Path) -> None:
    model = relu_net()
    expected = ModelProto.FromString(model.SerializeToString())

    fold(save_apart(model, tmp_path / "m.onnx"), out / "f.onnx")

    assert same_values(read(out / "f.onnx"), expected, ["w"])


def test_a_folded_file_with_data_apart_folds_to_the_same_numbers(apart: Path, out: Path) -> None:
    fold(apart, out / "f.onnx")

    fold(out / "f.onnx", out / "g.onnx")

    assert same_values(read(out / "f.onnx"), read(out / "g.onnx"), ["w", "b"])


def test_another_model_over_an_old_one_takes_its_data_with_it(tmp_path: Path, out: Path) -> None:
    one, two = conv_net(16, seed=1), conv_net(16, seed=2)
    plain = save(two, tmp_path / "plain.onnx")
    fold(save_apart(one, tmp_path / "one.onnx", "one.bin"), out / "f.onnx")
    fold(save_apart(two, tmp_path / "two.onnx", "two.bin"), out / "f.onnx")

    fold(plain, out / "plain.onnx")

    assert same_values(read(out / "f.onnx"), read(out / "plain.onnx"), ["w", "b"])


def test_a_data_file_that_is_there_already_survives_a_failure(
    apart: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold(apart, out / "f.onnx")
    before = contents(out)
    monkeypatch.setattr(os, "fsync", failing(after=1))

    with pytest.raises(StorageFailed):
        fold(apart, out / "f.onnx")

    assert contents(out) == before


# --- all or nothing ------------------------------------------------------------------------------


def failing(*, after: int, error: int = errno.ENOSPC) -> Callable[..., None]:
    """A system call that works so many times and then does not."""
    calls = [0]

    def call(*_: Any, **__: Any) -> None:
        calls[0] += 1
        if calls[0] > after:
            raise OSError(error, os.strerror(error))

    return call


@pytest.mark.parametrize("layout", ["source", "apart"])
@pytest.mark.parametrize("call", range(2))
def test_a_failing_fsync_leaves_the_old_target(
    request: pytest.FixtureRequest,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    call: int,
) -> None:
    path = request.getfixturevalue(layout)
    (out / "f.onnx").write_bytes(OLD)
    after = call if layout == "apart" else 0
    monkeypatch.setattr(os, "fsync", failing(after=after))

    with pytest.raises(StorageFailed, match="No space left"):
        fold(path, out / "f.onnx")

    assert contents(out) == {"f.onnx": OLD}


@pytest.mark.parametrize("layout", ["source", "apart"])
@pytest.mark.parametrize("call", range(2))
def test_a_failing_rename_leaves_the_old_target(
    request: pytest.FixtureRequest,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    call: int,
) -> None:
    path = request.getfixturevalue(layout)
    (out / "f.onnx").write_bytes(OLD)
    replace, calls = os.replace, [0]

    def refusing(*arguments: Any, **more: Any) -> None:
        calls[0] += 1
        if calls[0] > (call if layout == "apart" else 0):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(*arguments, **more)

    monkeypatch.setattr(os, "replace", refusing)

    with pytest.raises(StorageFailed, match="Input/output error"):
        fold(path, out / "f.onnx")

    assert contents(out) == {"f.onnx": OLD}


@pytest.mark.parametrize("layout", ["source", "apart"])
@pytest.mark.parametrize("old", [None, OLD])
def test_an_error_at_any_write_leaves_the_old_target(
    request: pytest.FixtureRequest,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    old: bytes | None,
) -> None:
    path = request.getfixturevalue(layout)
    if old is not None:
        (out / "f.onnx").write_bytes(old)
    before = contents(out)
    writes = written_in_pieces(path, out / "probe.onnx", monkeypatch, limit=None)
    for file in [file for file in out.iterdir() if file.name not in before]:
        file.unlink()

    assert writes > 1
    for limit in range(writes):
        with pytest.raises(StorageFailed, match="No space left"):
            written_in_pieces(path, out / "f.onnx", monkeypatch, limit)
        assert contents(out) == before


def written_in_pieces(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> int:
    """Fold, and let the disk be full after so many writes; how many there were."""
    fdopen, pwrite, count = os.fdopen, os.pwrite, [0]

    def check_room() -> None:
        if limit is not None and count[0] >= limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count[0] += 1

    def write_at(*arguments: Any) -> int:
        check_room()
        return pwrite(*arguments)

    def open_file(descriptor: int, *arguments: Any, **more: Any) -> Any:
        inner = fdopen(descriptor, *arguments, **more)
        write = inner.write

        def full(data: bytes) -> int:
            check_room()
            return int(write(data))

        class Limited:
            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                inner.close()

            def __getattr__(self, name: str) -> Any:
                return full if name == "write" else getattr(inner, name)

        return Limited()

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", open_file)
        patch.setattr(os, "pwrite", write_at)
        fold(source, target)
    return count[0]


@pytest.mark.parametrize("layout", ["source", "apart"])
def test_an_interrupt_while_writing_leaves_nothing(
    request: pytest.FixtureRequest, out: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    path = request.getfixturevalue(layout)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        fold(path, out / "f.onnx")

    assert contents(out) == {}


@pytest.mark.parametrize("layout", ["source", "apart"])
@pytest.mark.parametrize("moment", [1, 2])
def test_an_interrupt_right_after_a_rename_leaves_all_or_nothing(
    request: pytest.FixtureRequest,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    moment: int,
) -> None:
    path = request.getfixturevalue(layout)
    fold(path, out / "f.onnx")
    complete = contents(out)
    for file in out.iterdir():
        file.unlink()
    replace, calls = os.replace, [0]

    def interrupted(*arguments: Any, **more: Any) -> None:
        replace(*arguments, **more)
        calls[0] += 1
        if calls[0] == moment or layout == "source":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)

    with pytest.raises(KeyboardInterrupt):
        fold(path, out / "f.onnx")

    assert contents(out) in ({}, complete)


@pytest.mark.parametrize("layout", ["source", "apart"])
@pytest.mark.parametrize("size", [0, 500, 1700])
def test_a_full_disk_leaves_the_old_target(
    request: pytest.FixtureRequest, out: Path, layout: str, size: int
) -> None:
    path = request.getfixturevalue(layout)
    (out / "f.onnx").write_bytes(OLD)

    found = limited(path, out / "f.onnx", size)

    assert found.returncode == 2
    assert "cannot write" in found.stderr
    assert found.stderr.count("\n") <= 2
    assert contents(out) == {"f.onnx": OLD}


def limited(source: Path, target: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Run the command where no file may grow beyond ``size`` bytes: as a full disk, also to root.

    The limit is set by a process between, since code may not run between fork and exec safely.
    """
    words = command("fold", source, "-o", target)
    setup = (
        "import os, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", setup, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


# --- targets that cannot be ----------------------------------------------------------------------


def refused(source: Path, target: Path) -> FoldError:
    """Why nothing is written, which is made sure of."""
    before = contents(source.parent)
    with pytest.raises(FoldError) as caught:
        fold(source, target)
    assert contents(source.parent) == before
    return caught.value


def test_a_target_that_is_a_folder_is_refused(source: Path, out: Path) -> None:
    error = refused(source, out)

    assert isinstance(error, BadCall)
    assert "is a directory" in str(error)


def test_a_target_in_a_folder_that_is_not_there_is_refused(source: Path, out: Path) -> None:
    error = refused(source, out / "nowhere" / "f.onnx")

    assert isinstance(error, BadCall)
    assert "does not exist" in str(error)


def test_a_target_in_a_file_is_refused(source: Path, out: Path) -> None:
    (out / "file").touch()

    assert "file" in str(refused(source, out / "file" / "f.onnx"))


def test_a_target_with_a_name_that_is_too_long_is_refused(source: Path, out: Path) -> None:
    refused(source, out / ("x" * 300))

    assert contents(out) == {}


def test_a_target_with_a_nul_in_its_name_is_refused(source: Path, out: Path) -> None:
    refused(source, out / "a\0b")

    assert contents(out) == {}


def test_the_source_itself_is_no_target(source: Path) -> None:
    assert "under another name" in str(refused(source, source))


def test_the_source_through_another_path_is_no_target(source: Path) -> None:
    target = source.parent / ".." / "in" / "m.onnx"

    assert "under another name" in str(refused(source, target))


def test_a_hard_link_to_the_source_is_no_target(source: Path, out: Path) -> None:
    os.link(source, out / "f.onnx")

    assert "under another name" in str(refused(source, out / "f.onnx"))


def test_a_link_to_the_source_is_no_target(source: Path, out: Path) -> None:
    (out / "f.onnx").symlink_to(source)

    assert "under another name" in str(refused(source, out / "f.onnx"))
    assert (out / "f.onnx").is_symlink()


def test_what_the_source_is_a_link_to_is_no_target(source: Path, out: Path) -> None:
    (out / "link.onnx").symlink_to(source)

    assert "under another name" in str(refused(out / "link.onnx", source))


def test_a_data_file_of_the_source_is_no_target(apart: Path) -> None:
    assert "under another name" in str(refused(apart, apart.with_name("weights.bin")))


def test_a_link_that_leads_nowhere_is_replaced_and_not_followed(source: Path, out: Path) -> None:
    (out / "f.onnx").symlink_to(out / "nowhere.onnx")

    fold(source, out / "f.onnx")

    assert list(contents(out)) == ["f.onnx"]


def test_a_pipe_or_device_is_not_replaced_by_a_file(source: Path, out: Path) -> None:
    os.mkfifo(out / "pipe")

    error = refused(source, out / "pipe")

    assert isinstance(error, FoldError)
    assert (out / "pipe").is_fifo()


@pytest.mark.parametrize("denied", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written_to_is_named(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch, denied: int
) -> None:
    opened = os.open

    def refusing(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(denied, os.strerror(denied))
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", refusing)

    assert str(out / "f.onnx") in str(refused(source, out / "f.onnx"))
