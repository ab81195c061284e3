"""A conversion in a process of its own: whatever it does, one sentence says so and nothing stays.

The routes are those of ``fake_routes``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from converting import KIND, source_in

from folding.conversion.child import converted
from folding.conversion.folders import private_folder
from folding.conversion.job import MODEL, Job, Kind, Port, Product
from folding.equivalence.limits import RunLimits
from folding.errors import BadCall, BadModel, FoldError, StorageFailed, Unconvertible


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary ones, in which none may be left."""
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def run(source: Path, route: str, **limits: Any) -> Product:
    with private_folder() as folder:
        job = Job(source, KIND, folder / "job")
        return converted(job, f"fake_routes:{route}", "net", RunLimits(**limits))


def failure(source: Path, route: str, **limits: Any) -> FoldError:
    """What is said; it is one line without control characters."""
    with pytest.raises(FoldError) as caught:
        run(source, route, **limits)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return source_in(tmp_path)


def test_a_product_comes_back_whole(source: Path) -> None:
    found = run(source, "good")

    assert found.framework == "fake 1.0"
    assert found.outputs == (Port("scores", "y"),)
    assert found.references == ("reference-0.npz", "reference-1.npz", "reference-2.npz")
    (statistics,) = found.statistics
    assert (statistics.name, statistics.epsilon, statistics.steps) == ("norm", 1e-3, 7)
    assert [warned.code for warned in found.warnings] == ["FAKE"]


def test_its_files_are_there_until_the_folder_goes(source: Path) -> None:
    with private_folder() as folder:
        job = Job(source, KIND, folder / "job")
        converted(job, "fake_routes:good", "net")
        there = {path.name for path in job.folder.iterdir()}

    assert {MODEL, "reference-0.npz", "statistics-0.npz"} <= there


def test_nobody_else_can_read_the_folder() -> None:
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_whose_parts_cannot_be_read_goes_too(room: Path) -> None:
    with private_folder() as folder:
        (folder / "job" / "closed").mkdir(mode=0)

    assert list(room.iterdir()) == []


def test_without_room_for_a_folder_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/nowhere")
        with pytest.raises(StorageFailed, match="temporary folder"):
            private_folder().__enter__()


def test_what_it_prints_is_nobodys_business(
    source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """However much it is, by Python, by C or by another program."""
    assert run(source, "chatty").framework == "fake 1.0"
    assert capfd.readouterr() == ("", "")


def test_it_works_in_a_folder_and_a_group_of_its_own(source: Path, room: Path) -> None:
    """No terminal's signal reaches it, and a framework finds no device and no home to write to."""
    folder, home, device, level, is_leader = str(failure(source, "where")).split("|")

    assert Path(folder).is_relative_to(room)
    assert (home, device, level, is_leader) == (folder, "", "3", "True")


def test_the_environment_of_the_caller_stays(source: Path) -> None:
    before = dict(os.environ)

    run(source, "good")

    assert dict(os.environ) == before


def test_a_refusal_comes_back_as_it_was(source: Path) -> None:
    error = failure(source, "refuses")

    assert type(error) is BadCall
    assert (str(error), error.hint) == ("there is no output 'z'", "Its outputs: scores.")


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ("fails", r"failed in fake_routes\.py, line \d+ \(KeyError: 'a bug"),
        ("crashes", "ended with SIGABRT; the last that it said was .*Check failed: never"),
        ("exits", "ended without an answer, with exit code 3; the last .* 'good bye'"),
        ("vanishes", "ended with SIGSEGV"),
        ("junk", r"failed in .* \(TypeError: "),
        ("no_such_route", "AttributeError"),
        ("no_file", "answered with no model"),
        ("link", "answered with no model"),
        ("no_evidence", "without outputs of the framework, and without a reason"),
        ("stranger", "the name of a file that is none of its own"),
    ],
)
def test_a_failure_is_one_sentence(source: Path, route: str, says: str) -> None:
    error = failure(source, route)

    assert type(error) is Unconvertible
    with pytest.raises(Unconvertible, match=f"^'net' cannot be converted: .*{says}"):
        raise error


def test_one_that_hangs_is_killed_with_all_that_it_started(source: Path) -> None:
    error = failure(source, "hangs", seconds=3.0)

    assert "took longer than 3 s" in str(error)
    assert "--time-limit" in error.hint
    assert is_gone(int(source.with_suffix(".pid").read_text()))


def is_gone(number: int) -> bool:
    """Whether a process ends within a moment; one that only waits to be buried has ended."""
    for _ in range(200):
        with suppress(FileNotFoundError, ProcessLookupError):
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                time.sleep(0.02)
                continue
        return True
    return False


def test_one_that_wants_too_much_memory_is_told(source: Path) -> None:
    error = failure(source, "greedy", memory=2_000_000_000)

    assert "needed more memory than 2.0 GB" in str(error)
    assert "--memory-limit" in error.hint


def test_a_full_disk_is_told_as_such(source: Path) -> None:
    error = failure(source, "full_disk")

    assert type(error) is StorageFailed
    assert "No space left on device" in str(error)
    assert "TMPDIR" in error.hint


def test_one_that_leaves_a_thread_has_answered(source: Path) -> None:
    assert run(source, "lingers").framework == "fake 1.0"


def test_without_a_process_the_reason_is_told(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "")

    error = failure(source, "good")

    assert type(error) is StorageFailed
    assert "no process can be started" in str(error)


def test_a_damaged_archive_is_a_bad_model(source: Path, tmp_path: Path) -> None:
    """Of a source that is no archive it is a fault of the route."""
    assert "BadZipFile" in str(failure(source, "damaged"))
    with private_folder() as folder:
        job = Job(tmp_path / "m.pt", Kind.TORCHSCRIPT, folder / "job")
        with pytest.raises(BadModel, match="damaged: Bad CRC"):
            converted(job, "fake_routes:damaged", "net")
