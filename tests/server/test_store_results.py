"""Results: the same for the same job, complete or not there, given to whoever may have them."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from spools import a_job, file_of, finished, left_in, spool_at

from folding_server.errors import ServiceError
from folding_server.jobs.runner import FileSpec, JobResult, Kind, ModelSpec
from folding_server.store import Spool, results

KEY = "0" * 64


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with spool_at(tmp_path / "spool") as opened:
        yield opened
        assert not left_in(opened.folder / "uploads")


def contents(result: JobResult) -> list[bytes]:
    return [(result.folder / file.path).read_bytes() for file in result.files]


def test_what_is_put_is_got(spool: Spool) -> None:
    """A result that is kept has the facts and the files that it had."""
    result = finished(spool, counts={"folded": 2})
    before = contents(result)
    kept = spool.results.put(KEY, result)
    assert kept == spool.results.get(KEY)
    assert (kept.facts, kept.files, contents(kept)) == (result.facts, result.files, before)
    assert not result.folder.exists()


def test_a_file_of_any_name(spool: Spool) -> None:
    """A folded model may be called what the server calls its own files."""
    result = finished(spool)
    (result.folder / "outcome.json").write_bytes(b"model")
    result = replace(result, files=(*result.files, file_of(b"model", "outcome.json")))
    spool.results.put(KEY, result)
    found = spool.results.get(KEY)
    assert found
    assert contents(found)[-1] == b"model"


def test_what_was_never_put(spool: Spool) -> None:
    """There is no result of a job that did not run."""
    assert spool.results.get(KEY) is None


def test_two_of_the_same(spool: Spool) -> None:
    """Of two results of the same job one is kept, and both callers get a complete one."""
    made = [finished(spool, str(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda result: spool.results.put(KEY, result), made))
    kept = spool.results.get(KEY)
    assert kept
    assert all(result == kept for result in got)
    assert not any(result.folder.exists() for result in made)
    assert len(left_in(spool.folder / "results")) == 3


@pytest.mark.parametrize("lost", ["outcome.json", "files/report.json", "files/data/weights"])
def test_an_incomplete_one(spool: Spool, lost: str) -> None:
    """A result that lost a file is none, and the next one takes its place."""
    spool.results.put(KEY, finished(spool))
    (spool.folder / "results" / KEY / lost).unlink()
    assert spool.results.get(KEY) is None
    with spool.results.pin(KEY):
        kept = spool.results.put(KEY, finished(spool))
    assert spool.results.get(KEY) == kept


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"facts": {}, "files": [{"at": 1}]}'])
def test_an_outcome_that_is_damaged(spool: Spool, text: str) -> None:
    """An outcome that cannot be read is no result, and no error."""
    spool.results.put(KEY, finished(spool))
    (spool.folder / "results" / KEY / "outcome.json").write_text(text)
    assert spool.results.get(KEY) is None


def test_a_file_of_another_size(spool: Spool) -> None:
    """A result with a file cut short, or a link in its place, is none."""
    spool.results.put(KEY, finished(spool))
    report = spool.folder / "results" / KEY / "files" / "report.json"
    report.unlink()
    report.symlink_to("/dev/null")
    assert spool.results.get(KEY) is None


@pytest.mark.parametrize("step", ["write_text", "rename"])
def test_the_disk_is_full(spool: Spool, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A result that cannot be kept stays where the job left it, to be sent from there."""
    result = finished(spool)
    real: Any = getattr(Path, step)

    def failing(path: Path, *rest: Any, **more: Any) -> Any:
        if step == "write_text" or path.parent.name == "uploads":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, failing)
        with pytest.raises(ServiceError) as raised:
            spool.results.put(KEY, result)
    assert raised.value.reason == "STORAGE_FULL"
    assert contents(result) == [b"{}", bytes(100)]
    assert spool.results.get(KEY) is None


def test_getting_is_using(spool: Spool) -> None:
    """A result that is asked for counts as used now."""
    spool.results.put(KEY, finished(spool))
    folder = spool.folder / "results" / KEY
    os.utime(folder, (0, 0))
    spool.results.get(KEY)
    assert folder.stat().st_mtime > 1e9


def test_how_long_a_job_may_run_does_not_matter(spool: Spool) -> None:
    """The time that a job may take does not change its result."""
    assert spool.results.key(a_job(seconds=1.0)) == spool.results.key(a_job())
    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]{64}", spool.results.key(a_job()))


@pytest.mark.parametrize(
    "changed",
    [
        {"owner": "other"},
        {"kind": Kind.EXPLAIN},
        {"options": {"verify": False}},
        {"options": {"verify": True, "keep": ["a"]}},
        {"models": (ModelSpec("n.onnx", file_of(b"model"), (file_of(b"weights", "m.data"),)),)},
        {"models": (ModelSpec("m.onnx", file_of(b"model"), (file_of(b"weights", "n.data"),)),)},
        {"models": (ModelSpec("m.onnx", file_of(b"model")),)},
        {"models": (ModelSpec("m.onnx", file_of(b"other"), (file_of(b"weights", "m.data"),)),)},
        {"inputs": (file_of(b"input", "input_0.pb"),)},
    ],
)
def test_what_changes_a_result(spool: Spool, changed: dict[str, Any]) -> None:
    """Everything else that a job is told makes another key, and so does another owner."""
    assert spool.results.key(a_job(**changed)) != spool.results.key(a_job())


def test_options_in_any_order(spool: Spool) -> None:
    """Options are the same in whatever order they were given."""
    one, two = {"verify": True, "keep": ["a"]}, {"keep": ["a"], "verify": True}
    assert spool.results.key(a_job(options=one)) == spool.results.key(a_job(options=two))


def test_another_version(spool: Spool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What another version of fold-model found is not given as an answer of this one."""
    monkeypatch.setattr(results, "__version__", "0.0.0")
    with spool_at(tmp_path / "other") as other:
        assert other.results.key(a_job()) != spool.results.key(a_job())


def test_what_is_worth_keeping(spool: Spool) -> None:
    """What a limit may have ended is not kept: the next try may find more."""
    file = FileSpec("report.json", 1, "0" * 64)
    for verdict in ("equivalent", "different", "skipped", None):
        assert spool.results.keeps(JobResult({"verdict": verdict}, Path(), (file,)))
    assert not spool.results.keeps(JobResult({"verdict": "unproven"}, Path(), (file,)))
    assert not spool.results.keeps(JobResult({"version": "1"}, Path()))


def test_an_outcome_is_plain_json(spool: Spool) -> None:
    """What is on disk says what the result is, without the folder that it was made in."""
    spool.results.put(KEY, finished(spool))
    told = json.loads((spool.folder / "results" / KEY / "outcome.json").read_text())
    assert told["facts"] == {"verdict": "equivalent"}
    assert [file["path"] for file in told["files"]] == ["report.json", "data/weights"]
