"""Private folders: gone after the block, and what a killed run has left goes with the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from folding import waiting
from folding.conversion import folders
from folding.conversion.folders import private_folder

_KILLED = """\
import os, signal
from folding.conversion.folders import private_folder
with private_folder() as folder:
    (folder / "job" / "model.onnx").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary ones."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_by_a_killed_run(room: Path) -> Path:
    where = {**os.environ, "TMPDIR": str(room)}
    done = subprocess.run([sys.executable, "-c", _KILLED], check=False, env=where)
    assert done.returncode == -signal.SIGKILL
    (left,) = room.iterdir()
    return left


def test_what_a_killed_run_has_left_goes_with_the_next(room: Path) -> None:
    """With all that is in it."""
    left = left_by_a_killed_run(room)
    assert (left / "job" / "model.onnx").exists()

    with private_folder() as folder:
        assert list(room.iterdir()) == [folder]
    assert list(room.iterdir()) == []


def test_folders_of_living_runs_stay(room: Path) -> None:
    """Whichever began first."""
    with private_folder() as first, private_folder() as second:
        assert set(room.iterdir()) == {first, second}
        with private_folder():
            assert {first, second} < set(room.iterdir())
    assert list(room.iterdir()) == []


def test_what_is_of_another_user_stays(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is none of ours to judge."""
    left = left_by_a_killed_run(room)
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)

    with private_folder():
        assert left.exists()


def test_what_only_looks_like_one_stays(room: Path) -> None:
    """A link, a file, and what others keep there; nothing is followed."""
    elsewhere = room / "elsewhere"
    elsewhere.mkdir()
    (room / "fold-model-convert-link").symlink_to(elsewhere)
    (room / "fold-model-convert-file").touch()
    (room / "fold-model-served").mkdir()
    before = set(room.iterdir())

    with private_folder():
        pass

    assert set(room.iterdir()) == before


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_folder_that_was_taken_for_a_dead_one_is_made_again(
    room: Path, monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    """Another run may look at it before it is locked: it has locked it then, or removed it."""
    seen: list[Path] = []

    def lock(descriptor: int) -> bool | None:
        if seen:
            return waiting.lock(descriptor)
        seen.extend(room.iterdir())
        if is_gone:
            seen[0].rmdir()
        return is_gone

    monkeypatch.setattr(folders, "lock", lock)
    with private_folder() as folder:
        assert folder != seen[0]
        assert (folder / "job").is_dir()
    assert list(room.iterdir()) == []


def test_without_locks_nothing_of_others_is_removed(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell whether they live."""
    left = left_by_a_killed_run(room)
    monkeypatch.setattr(folders, "lock", lambda _: None)

    with private_folder() as folder:
        assert set(room.iterdir()) == {left, folder}
    assert list(room.iterdir()) == [left]
