"""Servers that refuse, lie, vanish or are not there: one clear error, and nothing half-written."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_service import Call, announced, chunk, described, faked, results
from files import contents, conv_net, save, save_apart
from serving import wait_until

import folding
from folding import errors, verifying
from folding.v1 import folding_pb2 as v1
from folding_server.client import AsyncClient, Client, ServiceError, transfer
from folding_server.errors import OF_CLASSES, OF_REASONS

Json = dict[str, Any]
#: What gRPC calls the thread that takes requests from whoever makes them.
_SENDER = "(_run)"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSES", (0.01, 0.02, 0.04))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(conv_net(), tmp_path / "m.onnx")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, bytes]:
    """The report of a right fold, and the model."""
    path = save(conv_net(), tmp_path_factory.mktemp("good") / "m.onnx")
    report = folding.fold(path, digests=True).to_dict()
    return report, path.with_name("m.folded.onnx").read_bytes()


def by_sync(target: str, source: Path) -> Any:
    with Client(target) as client:
        return client.fold(source)


def by_aio(target: str, source: Path) -> Any:
    async def does() -> Any:
        async with AsyncClient(target) as client:
            return await client.fold(source)

    return asyncio.run(does())


Folds = Callable[[str, Path], Any]


@pytest.fixture(params=[by_sync, by_aio], ids=["sync", "aio"])
def fold(request: pytest.FixtureRequest) -> Any:
    return request.param


def sentence(error: errors.FoldError) -> str:
    """What is wrong, as one line."""
    (line,) = str(error).splitlines()
    return line


# --- trying again --------------------------------------------------------------------------------


def failing(times: int, code: grpc.StatusCode, report: Json, model: bytes) -> Any:
    """A script that fails so many times before it goes well."""
    left = [times]

    def script(call: Call) -> Iterator[Json]:
        left[0] -= 1
        if left[0] >= 0:
            call.context.abort(code, "for a test")
        yield call.accepted()
        call.take()
        yield from results(report, ("f.onnx", model))

    return script


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_server_that_is_unavailable_for_a_moment_is_asked_again(
    fold: Folds, source: Path, good: tuple[Json, bytes], times: int
) -> None:
    """With everything from the start."""
    with faked(failing(times, grpc.StatusCode.UNAVAILABLE, *good)) as fake:
        fold(fake.target, source)

    assert len(fake.calls) == times + 1
    assert fake.calls[-1].received == {0: source.read_bytes()}
    assert source.with_name("m.folded.onnx").read_bytes() == good[1]


def test_after_four_tries_it_is_said_that_it_cannot_be_reached(
    fold: Folds, source: Path, good: tuple[Json, bytes]
) -> None:
    """And nothing is left."""
    before = contents(source.parent)

    with (
        faked(failing(9, grpc.StatusCode.UNAVAILABLE, *good)) as fake,
        pytest.raises(ServiceError, match="cannot be reached: for a test") as caught,
    ):
        fold(fake.target, source)

    assert caught.value.reason == "UNAVAILABLE"
    assert fake.target in sentence(caught.value)
    assert len(fake.calls) == 4
    assert contents(source.parent) == before


@pytest.mark.parametrize(
    "code", [c for c in grpc.StatusCode if c.name not in ("OK", "UNAVAILABLE", "CANCELLED")]
)
def test_no_other_failure_is_tried_again(
    fold: Folds, source: Path, good: tuple[Json, bytes], code: grpc.StatusCode
) -> None:
    """Its name and its reason are told."""
    with (
        faked(failing(1, code, *good)) as fake,
        pytest.raises(ServiceError, match=f"{code.name}: for a test"),
    ):
        fold(fake.target, source)

    assert len(fake.calls) == 1


def test_a_job_that_has_begun_is_not_tried_again(fold: Folds, source: Path) -> None:
    """It may have cost a lot, and might end the next server, too."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield {"progress": {"stage": "queued"}}
        call.context.abort(grpc.StatusCode.UNAVAILABLE, "for a test")

    with faked(script) as fake, pytest.raises(ServiceError, match="lost on the way: for a test"):
        fold(fake.target, source)

    assert len(fake.calls) == 1


@pytest.mark.parametrize("how", ["sent", "known"])
def test_what_was_sent_whole_is_not_sent_again(fold: Folds, source: Path, how: str) -> None:
    """A job may have begun, though nothing was heard of it."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted() if how == "sent" else {"accepted": v1.Accepted()}
        call.take()
        call.context.abort(grpc.StatusCode.UNAVAILABLE, "for a test")

    with faked(script) as fake, pytest.raises(ServiceError, match="lost on the way: for a test"):
        fold(fake.target, source)

    assert len(fake.calls) == 1


def test_what_was_not_sent_whole_is_sent_again(fold: Folds, tmp_path: Path) -> None:
    """No job can have begun with a part of a model."""
    source = save(conv_net(100_000), tmp_path / "m.onnx")

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted(chunk_bytes=1000)
        next(call.requests)
        call.context.abort(grpc.StatusCode.UNAVAILABLE, "for a test")

    with faked(script) as fake, pytest.raises(ServiceError, match="cannot be reached: for a test"):
        fold(fake.target, source)

    assert len(fake.calls) == 4


@pytest.mark.parametrize("stage", ["header", "job"])
def test_a_server_that_says_nothing_is_given_up(
    fold: Folds, source: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """After the time that the job may take and some more, whatever gRPC hears of it."""
    monkeypatch.setattr(transfer, "_SILENCE", 0.5 - 1200)

    def script(call: Call) -> Iterator[Json]:
        if stage == "job":
            yield call.accepted()
            call.take()
            yield {"progress": {"stage": "queued"}}
        while call.context.is_active():
            time.sleep(0.05)

    with faked(script) as fake, pytest.raises(ServiceError, match=r"nothing for 0\.5 s") as found:
        fold(fake.target, source)

    assert found.value.reason == "NO_ANSWER"
    assert fake.target in sentence(found.value)
    assert len(fake.calls) == 1


def test_a_server_that_is_not_there_cannot_be_reached(fold: Folds, source: Path) -> None:
    """Nobody listens; within a moment."""
    with faked(lambda _: iter(())) as fake:
        target = fake.target
    start = time.monotonic()

    with pytest.raises(ServiceError, match="cannot be reached"):
        fold(target, source)

    assert time.monotonic() - start < 10


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OF_CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_of_a_model_is_raised_as_here(
    fold: Folds, source: Path, kind: type[errors.FoldError]
) -> None:
    """The same class, sentence and advice, with the caller's name for the model."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        call.refuse(kind(f"{call.files[0].path!r} is bad", hint="Do this."))

    with faked(script) as fake, pytest.raises(kind) as caught:
        fold(fake.target, source)

    assert type(caught.value) is kind
    assert str(caught.value) == f"{str(source)!r} is bad"
    assert caught.value.hint == "Do this."
    assert len(fake.calls) == 1


@pytest.mark.parametrize("reason", [r for r in OF_REASONS if r != "DRAINING"])
def test_a_refusal_of_the_server_has_its_reason(fold: Folds, source: Path, reason: str) -> None:
    """The field at fault, and when to try again, where it says so."""
    error = ServiceError(reason, "for a test", hint="Wait.", field="header.model", retry_after=1.5)

    def script(call: Call) -> Iterator[Json]:
        call.refuse(error)
        yield {}

    with faked(script) as fake, pytest.raises(ServiceError, match=r"^for a test$") as caught:
        fold(fake.target, source)

    found = caught.value
    assert (found.reason, found.field, found.retry_after) == (reason, "header.model", 1.5)
    assert found.hint == "Wait."
    assert len(fake.calls) == 1


def test_a_server_that_drains_is_asked_again(fold: Folds, source: Path) -> None:
    """Another one may stand behind the same name."""

    def script(call: Call) -> Iterator[Json]:
        call.refuse(ServiceError("DRAINING", "the server is about to stop"))
        yield {}

    with faked(script) as fake, pytest.raises(ServiceError, match="about to stop") as caught:
        fold(fake.target, source)

    assert caught.value.reason == "DRAINING"
    assert len(fake.calls) == 4


def test_a_refusal_in_the_middle_of_an_upload_is_told(fold: Folds, tmp_path: Path) -> None:
    """The rest is not sent, and nobody waits for ever."""
    source = save(conv_net(100_000), tmp_path / "m.onnx")

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted(chunk_bytes=1000)
        next(call.requests)
        call.refuse(ServiceError("STORAGE_FULL", "there is no room"))

    with faked(script) as fake, pytest.raises(ServiceError, match="no room"):
        fold(fake.target, source)

    assert contents(tmp_path).keys() == {"m.onnx"}


# --- lies ----------------------------------------------------------------------------------------


def vast_of(report: Json) -> bytes:
    """The report with a number that no float has."""
    return json.dumps({**report, "seconds": {"read": 7}}).replace(" 7}", " 1e999}").encode()


def lies(report: Json, model: bytes) -> dict[str, Any]:
    """What a server answers after it has taken everything, and what it must not."""
    data = json.dumps(report).encode()
    note, file = described("report.json", data), described("f.onnx", model)
    verification = {**report["verification"], "verdict": "different"}
    other = described("f.onnx", model[::-1])
    apart = described("../weights-0123456789abcdef.data", model)

    def said(*files: Any) -> Json:
        return {"report": announced(report, files)}

    def changed(**more: Any) -> list[Json]:
        return list(results({**report, **more}, ("f.onnx", model)))

    return {
        "another digest": [said(note, other), chunk(0, data), chunk(1, model)],
        "another digest of the report": [
            said(described("report.json", data[::-1])),
            chunk(0, data),
        ],
        "too little": [said(note, file), chunk(0, data), chunk(1, model[:-1])],
        "too little of the report": [said(note, file), chunk(0, data[:-1]), chunk(1, model)],
        "too much": [said(note, file), chunk(0, data), chunk(1, model + b"x")],
        "nothing of the model": [said(note, file), chunk(0, data)],
        "no model": [said(note), chunk(0, data)],
        "no file": [said()],
        "a fourth file": [said(note, file, file, file)],
        "data elsewhere": [said(note, file, apart)],
        "the model first": [said(note, file), chunk(1, model), chunk(0, data)],
        "a third file that there is not": [said(note, file), chunk(0, data), chunk(7, model)],
        "a chunk first": [chunk(0, data)],
        "two reports": [said(note, file), said(note, file)],
        "nothing": [],
        "a report that is none": list(results({"version": 1}, ("f.onnx", model))),
        "another model": list(results(report, ("f.onnx", b"junk"))),
        "an empty model": list(results(report, ("f.onnx", b""))),
        "another source": changed(source={**report["source"], "sha256": "0" * 64}),
        "no target": changed(target=None),
        "another size": changed(target={**report["target"], "bytes": 1}),
        "another verdict": [
            {"report": v1.Report(verdict=v1.VERDICT_DIFFERENT, files=[note, file])},
            chunk(0, data),
            chunk(1, model),
        ],
        "other counts": [
            {
                "report": v1.Report(
                    verdict=v1.VERDICT_EQUIVALENT, counts=v1.Counts(folded=77), files=[note, file]
                )
            },
            chunk(0, data),
            chunk(1, model),
        ],
        "a verdict that its checks do not have": changed(verification=verification),
        "counts that its decisions do not have": changed(counts={**report["counts"], "folded": 9}),
        "seconds that are no number": changed(seconds={"read": float("nan")}),
        "seconds without end": changed(seconds={"read": float("inf")}),
        "seconds beyond all numbers": [
            said(described("report.json", vast := vast_of(report)), file),
            chunk(0, vast),
            chunk(1, model),
        ],
        "a report of more than 1 GiB": [said({"path": "report.json", "size": 1 << 40})],
        "a kind that is no text": changed(decisions=[{**report["decisions"][0], "kind": 7}]),
    }


#: A report that has what lies are made of.
EMPTY: Json = {
    "counts": {},
    "decisions": [{}],
    "source": {},
    "target": {},
    "verification": {"verdict": "equivalent"},
}


@pytest.mark.parametrize("what", lies(EMPTY, b""))
def test_a_lie_is_not_believed(
    fold: Folds, source: Path, good: tuple[Json, bytes], what: str
) -> None:
    """One sentence names the server; nothing of its answer is left."""
    before = contents(source.parent)

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield from lies(*good)[what]

    with faked(script) as fake, pytest.raises(ServiceError) as caught:
        fold(fake.target, source)

    assert caught.value.reason == "BAD_ANSWER"
    assert fake.target in sentence(caught.value)
    assert contents(source.parent) == before


def test_no_file_but_the_model_and_its_data_is_planted(
    source: Path, good: tuple[Json, bytes]
) -> None:
    """However well all else fits."""
    report, model = good
    before = contents(source.parent)

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        told = {**report, "target": {**report["target"], "bytes": len(model) + 1}}
        yield from results(told, ("f.onnx", model), ("planted.bin", b"x"))

    with (
        faked(script) as fake,
        Client(fake.target) as client,
        pytest.raises(ServiceError, match=r"called external data 'planted\.bin'"),
    ):
        client.fold(source)

    assert contents(source.parent) == before


def test_a_report_that_is_too_large_is_not_waited_for(source: Path) -> None:
    """No byte of it is taken."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield {"report": v1.Report(files=[v1.File(path="report.json", size=(1 << 30) + 1)])}
        fake.ended.wait(20)

    with (
        faked(script) as fake,
        Client(fake.target) as client,
        pytest.raises(ServiceError, match="sent a report of more than 1 GiB"),
    ):
        client.explain(source)


def test_a_model_that_changes_while_it_is_sent_is_not_believed_to_be_sent(
    source: Path, good: tuple[Json, bytes]
) -> None:
    """Whatever the server makes of it."""

    def script(call: Call) -> Iterator[Json]:
        source.write_bytes(source.read_bytes())
        yield call.accepted()
        call.take()
        yield from results(good[0], ("f.onnx", good[1]))

    with (
        faked(script) as fake,
        Client(fake.target) as client,
        pytest.raises(errors.StorageFailed, match="was changed while it was read"),
    ):
        client.fold(source)


def test_a_hint_has_the_names_of_the_caller(source: Path) -> None:
    """As the sentence before it."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        call.refuse(errors.Malformed("it is bad", hint=f"Look at {call.files[0].path!r}."))

    with (
        faked(script) as fake,
        Client(fake.target) as client,
        pytest.raises(errors.Malformed) as caught,
    ):
        client.fold(source)

    assert caught.value.hint == f"Look at {str(source)!r}."


def test_the_thread_that_sends_ends_with_its_call(source: Path) -> None:
    """Also where the caller has enough before all is sent."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        fake.ended.wait(20)

    def enough(stage: str, fraction: float) -> None:
        raise ServiceError("ENOUGH", f"{stage} {fraction}")

    def senders() -> set[threading.Thread]:
        return {each for each in threading.enumerate() if each.name.endswith(_SENDER)}

    before = senders()
    with faked(script) as fake, Client(fake.target) as client:
        for _ in range(3):
            with pytest.raises(ServiceError, match="upload 0"):
                client.explain(source, progress=enough)
        wait_until(lambda: senders() <= before, 5)


@pytest.mark.parametrize("role", ["reference", "candidate"])
def test_a_verdict_on_other_models_is_not_believed(
    source: Path, good: tuple[Json, bytes], role: str
) -> None:
    """Whichever of the two is another one."""
    path = source.with_name("m.folded.onnx")
    path.write_bytes(good[1])
    report = verifying.verified(source, path, digests=True).to_dict()
    report[role]["sha256"] = "0" * 64

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield from results(report)

    with (
        faked(script) as fake,
        Client(fake.target) as client,
        pytest.raises(ServiceError, match="read other models than it was sent"),
    ):
        client.verify(source, path)


def test_a_server_that_wants_what_there_is_not_gets_nothing(fold: Folds, source: Path) -> None:
    """Nor does one that begins with something else."""

    def wanting(call: Call) -> Iterator[Json]:
        yield call.accepted(5)

    def hasty(call: Call) -> Iterator[Json]:
        yield {"progress": {"stage": "queued"}}

    for script in (wanting, hasty, lambda _: iter(())):
        with faked(script) as fake, pytest.raises(ServiceError) as caught:
            fold(fake.target, source)
        assert caught.value.reason == "BAD_ANSWER"
        assert all(not call.received for call in fake.calls)


# --- gone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["upload", "job", "report", "model"])
def test_a_server_that_vanishes_leaves_nothing_half_written(
    fold: Folds, tmp_path: Path, good: tuple[Json, bytes], stage: str
) -> None:
    """In every stage; an old target stays as it was."""
    source = save_apart(conv_net(), tmp_path / "m.onnx")
    source.with_name("m.folded.onnx").write_bytes(b"old")
    before = contents(tmp_path)

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted(chunk_bytes=100)
        if stage == "upload":
            next(call.requests)
            vanish()
        call.take()
        yield {"progress": {"stage": "queued"}}
        if stage == "job":
            vanish()
        for number, answer in enumerate(results(good[0], ("f.onnx", good[1]), chunk_bytes=500)):
            yield answer
            if number == {"report": 1}.get(stage, len(json.dumps(good[0])) // 500 + 2):
                vanish()

    def vanish() -> None:
        assert fake.server is not None
        fake.server.stop(None)
        time.sleep(0.5)

    with faked(script) as fake, pytest.raises(ServiceError) as caught:
        fold(fake.target, source)

    assert caught.value.reason in ("UNAVAILABLE", "CANCELLED")
    assert contents(tmp_path) == before


def test_a_stage_moves_no_cursor(source: Path, good: tuple[Json, bytes]) -> None:
    """Whatever the server calls it, it is one short line."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield {"progress": {"stage": "\x1b]0;owned\x07\n" + "x" * 1000}}
        yield from results(good[0], ("f.onnx", good[1]))

    told: list[str] = []
    with faked(script) as fake, Client(fake.target) as client:
        client.fold(source, progress=lambda stage, _: told.append(stage))

    (stage,) = set(told) - {"upload", "download"}
    assert stage.isprintable()
    assert 0 < len(stage) <= 40
