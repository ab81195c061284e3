"""What clients are told of errors, reports and texts: all of it, and never too much."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from folding.errors import BadCall, FoldError, Malformed
from folding_server.errors import DOMAIN, OF_CLASSES, OF_REASONS, ServiceError, error_of
from folding_server.jobs.runner import FileSpec, JobResult
from folding_server.reports import answer_of, report_of
from folding_server.status import status_of
from folding_server.texts import cut, line


def info(status: Status) -> ErrorInfo:
    found = ErrorInfo()
    assert status.details[0].Unpack(found)
    return found


def test_an_error_of_folding_is_told_with_its_hint() -> None:
    """The sentence, the reason and the hint arrive each in its place."""
    status = status_of(Malformed("'m.onnx' ends too early", hint="Export it again."))

    assert (status.code, status.message) == (3, "'m.onnx' ends too early")
    found = info(status)
    assert (found.domain, found.reason) == (DOMAIN, "MALFORMED_MODEL")
    assert dict(found.metadata) == {"hint": "Export it again."}


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_each_error_of_folding_is_the_same_class_for_the_client(kind: type[FoldError]) -> None:
    """Its reason says which class it was."""
    reason = info(status_of(kind("it is bad"))).reason

    assert type(error_of(reason, "it is bad", "")) is kind


@pytest.mark.parametrize("reason", OF_REASONS)
def test_each_refusal_of_the_server_is_told_with_its_code(reason: str) -> None:
    """The reason goes with the code that the table has for it."""
    status = status_of(ServiceError(reason, "no"))

    assert status.code == OF_REASONS[reason].value[0]
    assert info(status).reason == reason


def test_a_field_at_fault_and_the_time_of_another_try_are_told() -> None:
    """BadRequest and RetryInfo are there where they help."""
    error = ServiceError("QUEUE_FULL", "wait", field="header.x", retry_after=1.5)
    request, retry = BadRequest(), RetryInfo()

    _, first, second = status_of(error).details

    assert first.Unpack(request)
    assert [v.field for v in request.field_violations] == ["header.x"]
    assert second.Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500


@pytest.mark.parametrize("letter", ["a", "é", "𝄞", "\x1b", "\n", "\u202e", "\udc80"])
def test_no_status_is_too_long_for_headers(letter: str) -> None:
    """GRPC takes 8 KiB; the sentence is sent in percent notation, the whole in base 64."""
    text = letter * 100_000
    error = ServiceError("BAD_REQUEST", text, hint=text, field=text, retry_after=1)

    status = status_of(error)

    percent = sum(1 if 0x20 <= byte < 0x7F else 3 for byte in status.message.encode())
    assert percent + status.ByteSize() * 4 / 3 < 8000
    assert status.message.isprintable()


def test_a_text_is_one_line() -> None:
    """Nothing in a name may begin a line or move the cursor."""
    assert status_of(BadCall("a\nb\x1b[31m")).message == "a\\nb\\x1b[31m"
    assert line("a\u202eb", 100) == "a\\u202eb"


def test_a_text_is_cut_between_characters() -> None:
    """No half of a character is left."""
    assert cut("aéb", 2) == "a"
    assert cut("aéb", 3) == "aé"
    assert cut("\udc80x", 9) == "?x"


def result(name: str, count: int, into: int = 20) -> JobResult:
    decision = {
        "name": name,
        "kind": "batch_norm",
        "outcome": "partial",
        "into": [name] * into,
        "reason": "COPIES",
        "at": name,
        "text": name,
    }
    facts = {
        "verdict": "equivalent",
        "rests_on": "frame",
        "counts": {"affines": 3, "folded": 1, "nodes_before": 9},
        "decisions": [decision] * count,
        "warnings": [{"code": "SOME", "at": name, "text": name}] * count,
    }
    return JobResult(facts, Path(), (FileSpec("report.json", 7, "0" * 64),))


def test_a_report_has_the_facts() -> None:
    """What the job found is in the message, and which files follow."""
    report = report_of(result("n", 2), cached=True)

    assert (report.verdict, report.rests_on, report.cached) == (1, "frame", True)
    assert (report.counts.affines, report.counts.folded, report.counts.nodes_before) == (3, 1, 9)
    assert [len(d.into) for d in report.decisions] == [16, 16]
    assert (report.decisions[0].outcome, report.decisions[0].reason) == (2, "COPIES")
    assert [w.code for w in report.warnings] == ["SOME", "SOME"]
    assert [file.path for file in report.files] == ["report.json"]
    assert not report.cut


def test_a_report_without_verdict_has_none() -> None:
    """Explain has none, Verify has no counts."""
    report = report_of(JobResult({"verdict": None, "counts": None}, Path()), cached=False)

    assert report.verdict == 0
    assert not report.HasField("counts")


@pytest.mark.parametrize("name", ["n", "é" * 600, "x" * 10_000_000, "\udcff" * 2000])
def test_a_report_fits_into_a_message(name: str) -> None:
    """However many decisions there are and whatever their names: 4 MiB are never reached."""
    report = report_of(result(name, 2000), cached=False)

    assert report.ByteSize() < 4_000_000
    assert 140 < len(report.decisions) <= 1000
    assert report.cut is (len(report.decisions) < 1000)
    assert len(report.warnings) == 100
    assert max(len(d.name.encode()) for d in report.decisions) <= 1024


@pytest.mark.parametrize(("room", "least", "most"), [(1 << 18, 1 << 17, 1 << 18), (1, 1, 1 << 14)])
def test_a_report_has_room_where_many_are_sent(room: int, least: int, most: int) -> None:
    """It has as many warnings and decisions as fit, and says so; a little always has room."""
    report = answer_of(result("x" * 1000, 1000, into=1), room, cached=True).report

    assert least < report.ByteSize() <= most
    assert report.cut
    assert [file.path for file in report.files] == ["report.json"]


def test_every_reason_is_in_the_readme() -> None:
    """With its code, and none that does not exist."""
    text = (Path(__file__).parents[2] / "server" / "README.md").read_text("utf-8")
    (_, table) = text.split("| code | reasons |\n|---|---|\n")
    meanings = {meaning.reason: meaning.code for meaning in OF_CLASSES.values()} | OF_REASONS
    for row in table.split("\n\n")[0].splitlines():
        codes, reasons = (re.findall("`([A-Z_]+)`", cell) for cell in row.strip("|").split("|"))
        for reason in reasons:
            assert meanings.pop(reason).name in codes
    assert not meanings
