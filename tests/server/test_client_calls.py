"""What the client sends, what it makes of answers, and that both clients do the same."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import grpc
import numpy as np
import pytest
from fake_service import Call, Fake, about, faked, results
from files import contents, conv_net, save, save_apart
from serving import wait_until

import folding
from folding.assignments import parse_all
from folding.equivalence.verdict import VerdictName
from folding.verification import Verification
from folding.verifying import verified
from folding_server.client import AsyncClient, Client, aio, transfer

Json = dict[str, Any]


class Does(Protocol):
    """A call by one of the clients, made and waited for."""

    def __call__(self, server: Fake | str, method: str, *arguments: Any, **more: Any) -> Any: ...


def by_sync(server: Fake | str, method: str, *arguments: Any, **more: Any) -> Any:
    with Client(server if isinstance(server, str) else server.target) as client:
        return getattr(client, method)(*arguments, **more)


def by_aio(server: Fake | str, method: str, *arguments: Any, **more: Any) -> Any:
    async def does() -> Any:
        target = server if isinstance(server, str) else server.target
        async with AsyncClient(target) as client:
            return await getattr(client, method)(*arguments, **more)

    return asyncio.run(does())


@pytest.fixture(params=[by_sync, by_aio], ids=["sync", "aio"])
def does(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSES", (0.01, 0.02, 0.04))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(conv_net(), tmp_path / "m.onnx")


@pytest.fixture
def good(tmp_path: Path) -> tuple[Json, bytes]:
    """The report of a right fold, as the server of another place would say it, and the model."""
    (tmp_path / "good").mkdir()
    path = save(conv_net(), tmp_path / "good" / "m.onnx")
    report = folding.fold(path, digests=True).to_dict()
    return report, path.with_name("m.folded.onnx").read_bytes()


def folds(report: Json, *files: tuple[str, bytes]) -> Any:
    """A script of a fold that ends well; the report calls the source as the client did."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        named = {**report, "source": {**report["source"], "path": call.files[0].path}}
        yield from results(named, *files)

    return script


# --- what is sent --------------------------------------------------------------------------------


def test_a_model_arrives_as_it_is_and_the_folded_one_is_written(
    does: Does, source: Path, good: tuple[Json, bytes]
) -> None:
    """Byte for byte, both ways; the report has the caller's names."""
    report, model = good
    with faked(folds(report, ("f.onnx", model))) as fake:
        found = does(fake, "fold", source, source.with_name("f.onnx"))

    assert fake.calls[0].received == {0: source.read_bytes()}
    assert source.with_name("f.onnx").read_bytes() == model
    assert found.source.path == str(source)
    assert found.target.path == str(source.with_name("f.onnx"))
    assert found.to_dict()["decisions"] == report["decisions"]
    assert sorted(contents(source.parent)) == [
        "f.onnx",
        "good/m.folded.onnx",
        "good/m.onnx",
        "m.onnx",
    ]


def test_external_data_is_sent_with_its_model_and_only_what_is_wanted(
    does: Does, tmp_path: Path, good: tuple[Json, bytes]
) -> None:
    """The server has the model from before, so only the other file goes there."""
    source = save_apart(conv_net(), tmp_path / "m.onnx", "data/weights.bin")

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted(1)
        call.take()
        yield from results(about(call, good[0]), ("f.onnx", good[1]))

    with faked(script) as fake:
        does(fake, "fold", source)

    (call,) = fake.calls
    assert [file.path for file in call.files][1:] == ["data/weights.bin"]
    assert call.received == {1: (tmp_path / "data" / "weights.bin").read_bytes()}


@pytest.mark.parametrize(("most", "largest"), [(100, 100), (0, 1 << 20), (1 << 30, 1 << 20)])
def test_chunks_are_as_large_as_the_server_takes_and_never_above_1_mib(
    does: Does, tmp_path: Path, good: tuple[Json, bytes], most: int, largest: int
) -> None:
    """Whatever it says."""
    count = 110 if most == 100 else 100_000
    source = save(conv_net(count), tmp_path / "m.onnx")

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted(chunk_bytes=most)
        call.take()
        yield from results(about(call, good[0]), ("f.onnx", good[1]))

    with faked(script) as fake:
        does(fake, "fold", source, verify=False)

    (call,) = fake.calls
    assert max(call.sizes) == largest
    assert call.received[0] == source.read_bytes()


def test_the_options_are_in_the_header(does: Does, source: Path, good: tuple[Json, bytes]) -> None:
    """Each where the API has it."""
    with faked(folds(good[0], ("f.onnx", good[1]))) as fake:
        does(
            fake,
            "fold",
            source,
            freeze={
                "training": False,
                "n": np.float32(2),
                "mode": "a=1",
                "vast": [-np.inf],
                "mixed": [np.int64(1), np.True_, np.arange(2)],
                "row": range(3),
                "long": np.longdouble(0.5),
            },
            keep=["n"],
            allow_growth=True,
            layout=folding.Layout.EXTERNAL_DATA,
            shapes={"x": (1, 3, 5, 5)},
            tolerance=0.5,
            provider="AProvider",
            limits=folding.Limits(7, 8),
            run_limits=folding.RunLimits(9, 10),
        )

    header = fake.calls[0].header
    freeze = header.options.freeze
    assert parse_all(tuple(f"{name}={freeze[name]}" for name in freeze)) == {
        "training": False,
        "n": 2.0,
        "mode": "a=1",
        "vast": [-np.inf],
        "mixed": [1, True, [0, 1]],
        "row": [0, 1, 2],
        "long": 0.5,
    }
    assert (list(header.options.keep), header.options.allow_growth) == (["n"], True)
    assert (header.target, header.layout) == ("m.folded.onnx", 2)
    assert [(s.name, list(s.dims)) for s in header.run.shapes] == [("x", [1, 3, 5, 5])]
    assert (header.run.tolerance, header.run.provider) == (0.5, "AProvider")
    assert (header.run.time_limit_seconds, header.run.memory_limit_bytes) == (9, 10)
    assert (header.job.max_nesting, header.job.max_expanded_nodes) == (7, 8)
    assert header.job.time_limit_seconds > 9


def test_a_limit_that_nobody_gave_is_not_sent(
    does: Does, source: Path, good: tuple[Json, bytes]
) -> None:
    """The server may give less time than is usual: it is not asked for that because of another."""
    with faked(folds(good[0], ("f.onnx", good[1]))) as fake:
        does(fake, "fold", source, run_limits=folding.RunLimits(memory=10))

    run = fake.calls[0].header.run
    assert (run.time_limit_seconds, run.memory_limit_bytes) == (0, 10)


def test_an_option_that_cannot_be_sent_is_a_bad_call(does: Does, source: Path) -> None:
    """Before anything is sent."""
    with faked(lambda _: iter(())) as fake:
        with pytest.raises(folding.BadCall, match="cannot be sent"):
            does(fake, "fold", source, shapes={"x": "large"})
        with pytest.raises(folding.BadCall, match="cannot be sent"):
            does(fake, "explain", source, freeze={"x": object()})
        with pytest.raises(folding.BadCall, match="cannot be sent"):
            does(fake, "explain", source, freeze={"x": Decimal(1)})
        with pytest.raises(folding.BadCall, match="'x' is no layout"):
            does(fake, "fold", source, layout="x")

    assert fake.calls == []


@pytest.mark.parametrize("limits", [folding.Limits(0), folding.Limits(-1), folding.Limits(9, 0)])
def test_a_limit_that_means_none_to_a_server_is_a_bad_call(
    does: Does, source: Path, limits: folding.Limits
) -> None:
    """It would not be held."""
    with (
        faked(lambda _: iter(())) as fake,
        pytest.raises(folding.BadCall, match="a server takes no limit of"),
    ):
        does(fake, "explain", source, limits=limits)

    assert fake.calls == []


def test_to_keep_none_is_to_keep_nothing(
    does: Does, source: Path, good: tuple[Json, bytes]
) -> None:
    """As it is without a server."""
    with faked(folds(good[0], ("f.onnx", good[1]))) as fake:
        does(fake, "fold", source, keep=None)

    assert list(fake.calls[0].header.options.keep) == []


def test_inputs_are_sent_as_files(does: Does, source: Path, tmp_path: Path) -> None:
    """An archive, a folder of tensors, a folder of such folders."""
    np.savez(tmp_path / "x.npz", x=np.zeros(1))
    for name in ("flat", "deep/set_0", "deep/set_1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "input_0.pb").write_bytes(name.encode())
    done = verified(source, source, digests=True).to_dict()

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield from results(done)

    with faked(script) as fake:
        for inputs in ("x.npz", "flat", "deep"):
            does(fake, "verify", source, source, inputs=tmp_path / inputs)

    archive, flat, deep = fake.calls
    assert archive.received[2] == (tmp_path / "x.npz").read_bytes()
    assert [file.path for file in archive.files[2:]] != ["x.npz"]
    (file,), sets = flat.files[2:], [file.path.split("/") for file in deep.files[2:]]
    assert file.path.split("/")[1:] == ["input_0.pb"]
    assert flat.received[2] == b"flat"
    assert [path[1:] for path in sets] == [["set_0", "input_0.pb"], ["set_1", "input_0.pb"]]
    assert file.path.split("/")[0] != sets[0][0] == sets[1][0]


def test_inputs_that_are_no_files_are_a_bad_call(does: Does, source: Path, tmp_path: Path) -> None:
    """Arrays are not; nor is a folder without tensors in it."""
    (tmp_path / "empty").mkdir()
    with faked(lambda _: iter(())) as fake:
        with pytest.raises(folding.BadCall, match="inputs as files, not as a dict"):
            does(fake, "verify", source, source, inputs={"x": np.zeros(1)})
        with pytest.raises(folding.BadCall, match="inputs as files, not as a dict"):
            does(fake, "fold", source, inputs={"x": np.zeros(1)})
        with pytest.raises(folding.BadCall, match=r"holds no input_\*.pb"):
            does(fake, "verify", source, source, inputs=tmp_path / "empty")
        with pytest.raises(folding.StorageFailed, match="nowhere"):
            does(fake, "verify", source, source, inputs=tmp_path / "nowhere.npz")

    assert fake.calls == []


def test_a_verification_comes_back_whole(does: Does, source: Path) -> None:
    """With the caller's names for both models, which the server does not know."""
    done = verified(source, source, digests=True).to_dict()

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        told = {"path": call.files[0].path}
        yield from results({**done, "reference": {**done["reference"], **told}})

    with faked(script) as fake:
        found = does(fake, "verify", source, source)

    assert isinstance(found, Verification)
    assert found.to_dict() == done
    one, other = fake.calls[0].files
    assert one.path != other.path
    assert one.sha256 == other.sha256


def test_a_server_says_what_it_is(does: Does) -> None:
    """Its version, for one."""
    with faked(lambda _: iter(())) as fake:
        assert does(fake, "info").version == "9.9"


def test_a_unix_socket_is_a_server_too(does: Does, source: Path, good: tuple[Json, bytes]) -> None:
    """By its path."""
    listen = f"unix:{source.parent}/s"
    with faked(folds(good[0], ("f.onnx", good[1])), listen) as fake:
        assert does(fake, "fold", source).verification.name is VerdictName.EQUIVALENT


# --- progress and the end ------------------------------------------------------------------------


def test_progress_is_told_from_the_upload_to_the_download(
    does: Does, source: Path, good: tuple[Json, bytes]
) -> None:
    """In the order of what happens; fractions only grow within a stage."""

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted(chunk_bytes=500)
        call.take()
        for stage, fraction in (("queued", 0.0), ("read", 0.1), ("verify", 0.9)):
            yield {"progress": {"stage": stage, "fraction": fraction}}
        yield from results(good[0], ("f.onnx", good[1]), chunk_bytes=500)

    told: list[tuple[str, float]] = []
    with faked(script) as fake:
        does(fake, "fold", source, progress=lambda *progress: told.append(progress))

    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages == ["upload", "queued", "read", "verify", "download"]
    for stage in ("upload", "download"):
        fractions = [fraction for name, fraction in told if name == stage]
        assert fractions == sorted(fractions)
        assert len(fractions) > 1
        assert 0 <= fractions[0] <= fractions[-1] <= 1


class Stopped(Exception):
    """What a caller raises to stop."""


@pytest.mark.parametrize("stage", ["upload", "queued", "download"])
def test_an_error_of_the_callback_ends_the_call(
    does: Does, source: Path, good: tuple[Json, bytes], stage: str
) -> None:
    """The server hears of it, and nothing is left of the target."""
    before = contents(source.parent)

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield {"progress": {"stage": "queued"}}
        yield from results(good[0], ("f.onnx", good[1]))

    def stop(now: str, _: float) -> None:
        if now == stage:
            raise Stopped

    with faked(script) as fake:
        with pytest.raises(Stopped):
            does(fake, "fold", source, progress=stop)
        assert fake.ended.wait(5)

    assert contents(source.parent) == before


def test_a_call_that_has_not_begun_is_cancelled_at_once(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for no other one."""
    monkeypatch.setattr(aio, "_MOST_CALLS", 1)

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        fake.ended.wait(20)

    async def cancelled(target: str) -> float:
        async with AsyncClient(target) as client:
            first = asyncio.create_task(client.explain(source))
            await asyncio.to_thread(wait_until, lambda: fake.calls)
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.explain(source)
            seconds = time.monotonic() - start
            first.cancel()
            await asyncio.wait([first])
        return seconds

    with faked(script) as fake:
        assert asyncio.run(cancelled(fake.target)) < 5


def test_a_task_that_is_cancelled_ends_its_call(source: Path) -> None:
    """While it waits for the job; nothing is left of the target."""
    before, waiting = contents(source.parent), threading.Event()

    def script(call: Call) -> Iterator[Json]:
        yield call.accepted()
        call.take()
        yield {"progress": {"stage": "queued"}}
        waiting.set()
        fake.ended.wait(20)

    async def cancelled(target: str) -> None:
        async with AsyncClient(target) as client:
            task = asyncio.ensure_future(client.fold(source))
            await asyncio.to_thread(waiting.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with faked(script) as fake:
        asyncio.run(cancelled(fake.target))
        assert fake.ended.wait(5)

    assert contents(source.parent) == before


def test_several_calls_at_once_do_not_meet(source: Path, good: tuple[Json, bytes]) -> None:
    """By one client, in tasks."""
    targets = [source.with_name(f"{number}.onnx") for number in range(6)]

    async def all_of(target: str) -> None:
        async with AsyncClient(target) as client:
            await asyncio.gather(*(client.fold(source, path) for path in targets))

    with faked(folds(good[0], ("f.onnx", good[1]))) as fake:
        asyncio.run(all_of(fake.target))

    assert {path.read_bytes() for path in targets} == {good[1]}


# --- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verdict", "error"),
    [("failed", "different", folding.NotEquivalent), ("not_run", "unproven", folding.Unproven)],
)
def test_a_bad_verdict_is_raised_as_here_and_its_report_is_written(
    does: Does,
    source: Path,
    good: tuple[Json, bytes],
    status: str,
    verdict: str,
    error: type[Exception],
) -> None:
    """Even a model that came with it is not written."""
    report, model = json.loads(json.dumps(good[0])), good[1]
    report["verification"]["verdict"] = verdict
    report["verification"]["checks"][0] |= {"status": status, "why": "for a test"}
    note = source.with_name("r.json")

    with faked(folds(report, ("f.onnx", model))) as fake, pytest.raises(error) as caught:
        does(fake, "fold", source, source.with_name("f.onnx"), report_to=note)

    assert "for a test" in str(caught.value)
    assert repr(str(source)) in str(caught.value)
    assert json.loads(note.read_text())["target"] is None
    assert not source.with_name("f.onnx").exists()


def test_an_old_target_is_replaced_with_its_data(
    does: Does, source: Path, good: tuple[Json, bytes]
) -> None:
    """The data that only it needed goes, as with a fold here."""
    out = source.parent / "out"
    out.mkdir()
    apart = folding.Layout.EXTERNAL_DATA
    folding.fold(save(conv_net(40, seed=7), out / "s.onnx"), out / "f.onnx", layout=apart)
    (old,) = (path.name for path in out.glob("weights-*.data"))

    with faked(folds(good[0], ("f.onnx", good[1]))) as fake:
        does(fake, "fold", source, out / "f.onnx")

    assert sorted(contents(out)) == ["f.onnx", "s.onnx"]
    assert old not in contents(out)


def test_grpc_is_not_asked_to_try_again_itself(does: Does, source: Path) -> None:
    """A call that fails for another reason comes once."""

    def script(call: Call) -> Iterator[Json]:
        call.context.abort(grpc.StatusCode.INTERNAL, "for a test")
        yield {}

    with faked(script) as fake, pytest.raises(folding.FoldError, match="INTERNAL: for a test"):
        does(fake, "fold", source)

    assert len(fake.calls) == 1
