"""The spool: one server at a time, nobody else's files, nothing of a server that is gone."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from spools import OWNER, keep, left_in, spool_at

from folding.errors import BadCall, StorageFailed
from folding_server.limits import ServerLimits
from folding_server.store import Spool


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private spools are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_was_sent_survives_a_restart(tmp_path: Path) -> None:
    """The next server on the same spool has what clients sent to the last."""
    with spool_at(tmp_path / "spool") as spool:
        file = keep(spool, b"abc")
    with spool_at(tmp_path / "spool") as spool:
        assert spool.blobs.has(OWNER, file)


def test_only_its_user_may_look(tmp_path: Path) -> None:
    """All folders are closed to others, whatever they were."""
    with spool_at(tmp_path / "spool") as spool:
        spool.jobs.chmod(0o777)
    with spool_at(tmp_path / "spool") as spool:
        for folder in (spool.folder, *spool.folder.glob("*/")):
            assert folder.stat().st_mode & 0o777 == 0o700


def test_a_second_server(tmp_path: Path) -> None:
    """Two servers on one spool are refused, until the first is gone."""
    with spool_at(tmp_path / "spool"):
        with pytest.raises(BadCall) as raised:
            spool_at(tmp_path / "spool").open()
        assert str(raised.value) == f"another server uses the spool '{tmp_path / 'spool'}'"
    with spool_at(tmp_path / "spool"):
        pass


def test_leftovers_go(tmp_path: Path) -> None:
    """What a killed server left of uploads and jobs is gone before the next takes calls."""
    with spool_at(tmp_path / "spool") as spool:
        pass
    (spool.folder / "uploads" / "x").write_bytes(b"half")
    (spool.jobs / "x" / "out").mkdir(parents=True)
    (spool.jobs / "x" / "out" / "report.json").write_bytes(b"{}")
    with spool_at(tmp_path / "spool"):
        assert left_in(spool.folder) == ["lock"]
        assert not list(spool.jobs.iterdir())


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    """A folder with things of the same names is no spool, and nothing in it is touched."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "letter.txt").write_text("mine")
    with pytest.raises(BadCall, match="is no spool: it has a 'jobs' that no server made"):
        spool_at(tmp_path).open()
    assert left_in(tmp_path) == ["jobs/letter.txt"]


def test_a_link_in_the_spool(tmp_path: Path) -> None:
    """A link where a folder should be is refused: what it leads to would be emptied."""
    with spool_at(tmp_path / "spool") as spool:
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    spool.jobs.rmdir()
    spool.jobs.symlink_to(tmp_path / "mine")
    with pytest.raises(BadCall, match="is no folder of this user"):
        spool_at(tmp_path / "spool").open()
    assert left_in(tmp_path / "mine") == ["letter.txt"]


def test_folders_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another user made is not used, even where it could be written to."""
    with spool_at(tmp_path / "spool"):
        pass
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(BadCall, match="is no folder of this user"):
        spool_at(tmp_path / "spool").open()


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    """Where no folder can be, the operator is told which and why."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed) as raised:
        spool_at(tmp_path / "file" / "spool").open()
    assert str(raised.value) == f"cannot use the spool '{tmp_path}/file/spool': Not a directory"


def test_after_the_machine_went_down(tmp_path: Path) -> None:
    """What another run of the machine left may lack bytes, so it is sent again."""
    with spool_at(tmp_path / "spool") as spool:
        file = keep(spool, b"abc")
    (spool.folder / "lock").write_text("another run of the machine\n")
    with spool_at(tmp_path / "spool") as spool:
        assert spool.blobs.missing(OWNER, [file]) == [0]


def test_a_private_spool(temporary: Path) -> None:
    """Without a folder the server makes one for itself, and leaves nothing of it."""
    with Spool(None, ServerLimits()) as spool:
        keep(spool, b"abc")
        assert spool.folder.parent == temporary
        assert spool.folder.stat().st_mode & 0o777 == 0o700
    assert not list(temporary.iterdir())


def test_private_spools_of_killed_servers(temporary: Path) -> None:
    """The next server removes them, and leaves those of servers that live."""
    text = (
        "import os, signal\n"
        "from folding_server.limits import ServerLimits\n"
        "from folding_server.store import Spool\n"
        "with Spool(None, ServerLimits()):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    where = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", text], check=False, env=where)
    left = list(temporary.iterdir())
    assert len(left) == 1
    with Spool(None, ServerLimits()) as one, Spool(None, ServerLimits()) as two:
        assert set(temporary.iterdir()) == {one.folder, two.folder}
    assert not list(temporary.iterdir())


def test_a_folder_without_a_word_in_its_lock(temporary: Path) -> None:
    """A server that has just made its folder keeps it."""
    folder = temporary / "fold-model-serve-new"
    folder.mkdir()
    (folder / "lock").touch()
    with Spool(None, ServerLimits()):
        assert folder.exists()


def test_the_lock_is_not_handed_on(tmp_path: Path) -> None:
    """A process that the server starts does not hold its lock."""
    with spool_at(tmp_path / "spool") as spool:
        assert fcntl.fcntl(spool._lock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_a_spool_that_became_another_servers_is_left_alone(tmp_path: Path) -> None:
    """Whoever lost its folder takes nothing more, and empties nothing."""
    folder = tmp_path / "spool"
    with spool_at(folder) as second:
        with spool_at(tmp_path / "other") as first:
            (tmp_path / "other").rename(tmp_path / "gone")
            first.folder.symlink_to(folder)
            with pytest.raises(StorageFailed, match="has lost its spool"):
                keep(first, b"abc")
            (second.jobs / "job").touch()
        assert (second.jobs / "job").exists()
        keep(second, b"abc")
