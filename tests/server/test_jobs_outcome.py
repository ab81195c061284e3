"""What the server takes of what a job's process has left: the truth, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from folding_server.errors import ServiceError
from folding_server.jobs.ending import result_of
from folding_server.jobs.outcome import TOLD, facts_of
from folding_server.jobs.places import Places
from folding_server.jobs.runner import FileSpec, JobSpec, Kind

LEFT = {"path": "report.json", "size": 2, "sha256": "0" * 64}


@pytest.mark.parametrize(
    "told",
    [
        "",
        "junk",
        "[]",
        "[" * 100_000,
        json.dumps({"facts": {}}),
        json.dumps({"facts": {}, "files": 3}),
        json.dumps({"facts": {}, "files": [3]}),
        json.dumps({"error": "SystemExit", "message": "", "hint": ""}),
        json.dumps({"error": "BadModel", "message": 3, "hint": ""}),
        json.dumps({"facts": {}, "files": [{**LEFT, "size": 3}]}),
        json.dumps({"facts": {}, "files": [{**LEFT, "sha256": "../" * 20}]}),
        json.dumps({"facts": {}, "files": [{**LEFT, "path": ".."}]}),
        json.dumps({"facts": {}, "files": [{**LEFT, "path": "../stderr"}]}),
        json.dumps({"facts": {}, "files": [{**LEFT, "path": "/etc/passwd"}]}),
        json.dumps({"facts": {}, "files": [{**LEFT, "path": "elsewhere/report.json"}]}),
        json.dumps({"facts": {}, "files": [{**LEFT, "path": "link"}]}),
        json.dumps({"facts": {}, "files": [{**LEFT, "path": "none\0such"}]}),
        " " * (16 << 20),
    ],
)
def test_nothing_that_a_process_leaves_is_believed(tmp_path: Path, told: str) -> None:
    """Whatever a hostile process writes instead of a result is a fault, and nothing is read."""
    places = left(tmp_path, told)

    with pytest.raises(ServiceError) as caught:
        result_of(places, TOLD)

    assert caught.value.reason == "INTERNAL"


def test_what_a_process_leaves_can_be_a_result(tmp_path: Path) -> None:
    """The same folder with the truth told about it is one."""
    places = left(tmp_path, json.dumps({"facts": {"verdict": None}, "files": [LEFT]}))

    result = result_of(places, TOLD)

    assert result.files == (FileSpec("report.json", 2, "0" * 64),)
    assert (result.folder / "report.json").read_text() == "{}"


def left(folder: Path, told: str) -> Places:
    """The folder of a job that has ended."""
    places = Places(JobSpec(Kind.EXPLAIN), folder / "job")
    out = places.folder / places.out
    out.mkdir(parents=True)
    (out / "report.json").write_text("{}")
    (out / "link").symlink_to("report.json")
    (out / "elsewhere").symlink_to(".")
    (places.folder / "outcome.json").write_text(told)
    return places


def test_a_pipe_instead_of_a_result_keeps_nobody_waiting(tmp_path: Path) -> None:
    """What is no file is not read."""
    places = left(tmp_path, "")
    (places.folder / "outcome.json").unlink()
    os.mkfifo(places.folder / "outcome.json")

    with pytest.raises(ServiceError, match="server's log"):
        result_of(places, TOLD)


def test_the_facts_of_an_endless_report_are_short() -> None:
    """However many and long its names are, what every client gets has a bounded size."""
    long = "n" * 100_000
    decision = {"name": long, "nodes": [long] * 100, "into": [long] * 100, "text": long}
    warning = {"code": "C", "at": long, "text": long}
    report: dict[str, Any] = {
        "verification": {"verdict": "unproven", "rests_on": long},
        "counts": {},
        "decisions": [decision] * 2000,
        "warnings": [warning] * 2000,
    }

    facts = facts_of(report)

    assert len(json.dumps(facts)) < 1 << 22
    assert facts["decisions"]
    assert len(facts["warnings"]) == 100
    assert facts["cut"]
    assert not facts_of({**report, "decisions": [], "warnings": [warning]})["cut"]
