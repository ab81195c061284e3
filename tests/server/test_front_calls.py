"""The calls of the service over a real socket: what comes back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from files import conv_net, initializer, save, save_apart
from serving import Server
from wire import ask, declared, model_of, refusal

import folding
from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub
from folding_server.limits import ServerLimits


def test_a_fold_gives_the_bytes_of_a_local_one(stub: FoldingServiceStub, tmp_path: Path) -> None:
    """It is the same code: files, verdict and counts are the same, and the digests are theirs."""
    source = save(conv_net(seed=11), tmp_path / "net.onnx")
    local = folding.fold(source)
    model, contents = model_of(source)

    answer = ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model), contents)

    assert answer.accepted.wanted == [0]
    assert answer.stages[0] == "queued"
    assert "verify" in answer.stages
    assert answer.report.verdict == pb.VERDICT_EQUIVALENT
    assert [file.path for file in answer.report.files] == ["report.json", "net.folded.onnx"]
    assert answer.files[1] == (tmp_path / "net.folded.onnx").read_bytes()
    assert json.loads(answer.files[0])["counts"] == local.to_dict()["counts"]
    digests = [hashlib.sha256(data).hexdigest() for data in answer.files]
    assert [file.sha256 for file in answer.report.files] == digests


def test_external_data_is_sent_and_comes_back(stub: FoldingServiceStub, tmp_path: Path) -> None:
    """A model and the file beside it make the round trip; both are as folded here."""
    (tmp_path / "sub").mkdir()
    source = save_apart(conv_net(64, seed=12), tmp_path / "net.onnx", "sub/weights.bin")
    folding.fold(source, tmp_path / "out.onnx", layout=folding.Layout.EXTERNAL_DATA)
    model, contents = model_of(source, tmp_path / "sub" / "weights.bin")
    asked = pb.FoldHeader(model=model, target="out.onnx", layout=pb.LAYOUT_EXTERNAL_DATA)

    answer = ask(stub.Fold, pb.FoldRequest, asked, contents)

    assert answer.accepted.wanted == [0, 1]
    for file, data in list(zip(answer.report.files, answer.files, strict=True))[1:]:
        assert (tmp_path / file.path).read_bytes() == data
    assert len(answer.files) == 3


def damage(path: Path) -> None:
    """Change the last byte."""
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("name", ["net.onnx", "w.bin"])
def test_a_file_that_is_no_longer_what_was_sent_is_asked_for_again(
    server: Server, stub: FoldingServiceStub, tmp_path: Path, name: str
) -> None:
    """No verdict is about a model that nobody sent."""
    source = save_apart(conv_net(seed=len(name) + 60), tmp_path / "net.onnx", "w.bin")
    model, contents = model_of(source, tmp_path / "w.bin")
    ask(stub.Explain, pb.ExplainRequest, pb.ExplainHeader(model=model), contents)
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    (blob,) = server.spool.glob(f"blobs/*/{digest}")
    damage(blob)

    with pytest.raises(grpc.RpcError) as caught:
        ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model))
    again = ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model), contents)

    assert refusal(caught.value).reason == "FILE_DAMAGED"
    assert again.accepted.wanted == [0, 1]
    assert again.report.verdict == pb.VERDICT_EQUIVALENT


@pytest.mark.parametrize("name", ["report.json", "net.folded.onnx"])
def test_a_result_that_is_no_longer_what_was_found_is_found_anew(
    server: Server, stub: FoldingServiceStub, tmp_path: Path, name: str
) -> None:
    """A client that calls again gets it."""
    model, contents = model_of(save(conv_net(seed=len(name)), tmp_path / "net.onnx"))
    first = ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model), contents)
    (number,) = (n for n, file in enumerate(first.report.files) if file.path == name)
    for kept in server.spool.glob(f"results/*/files/{name}"):
        if kept.read_bytes() == first.files[number]:
            damage(kept)

    with pytest.raises(grpc.RpcError) as caught:
        ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model))
    again = ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model))

    assert refusal(caught.value).reason == "FILE_DAMAGED"
    assert not again.report.cached
    assert again.files[1] == first.files[1]


@pytest.mark.parametrize(
    "facts", [[], {"decisions": [{}]}, {"warnings": 1}, {"counts": {"folded": "one"}}]
)
def test_a_result_that_cannot_be_told_any_more_is_found_anew(
    server: Server, stub: FoldingServiceStub, tmp_path: Path, facts: Any
) -> None:
    """At once: its client has not been told anything of it yet."""
    model, contents = model_of(save(conv_net(seed=80), tmp_path / "net.onnx"))
    first = ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model), contents)
    (kept,) = (
        path.parents[1] / "outcome.json"
        for path in server.spool.glob("results/*/files/net.folded.onnx")
        if path.read_bytes() in first.files
    )
    told = json.loads(kept.read_bytes())
    kept.write_text(json.dumps(told | {"facts": facts}))

    again = ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model))

    assert not again.report.cached
    assert again.report.counts == first.report.counts
    assert json.loads(kept.read_bytes())["facts"] == told["facts"]


def test_a_second_time_nothing_is_sent_and_nothing_is_run(
    stub: FoldingServiceStub, tmp_path: Path
) -> None:
    """The same answer comes from what was kept; other options are another answer."""
    model, contents = model_of(save(conv_net(seed=13), tmp_path / "net.onnx"))
    asked = pb.FoldHeader(model=model)
    first = ask(stub.Fold, pb.FoldRequest, asked, contents)

    second = ask(stub.Fold, pb.FoldRequest, asked)
    other = ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model, skip_verification=True))

    assert (list(second.accepted.wanted), second.stages) == ([], [])
    assert second.report.cached
    assert second.files == first.files
    assert not other.report.cached
    assert other.report.verdict == pb.VERDICT_SKIPPED


def test_who_does_not_wait_for_what_is_wanted_is_answered(
    stub: FoldingServiceStub, tmp_path: Path
) -> None:
    """All that is sent at once is sent once too often where the server has some of it already."""
    data = save(conv_net(seed=57), tmp_path / "net.onnx").read_bytes()
    other = save(conv_net(seed=58), tmp_path / "other.onnx").read_bytes()
    file = declared("net.onnx", data)
    alone = [
        pb.ExplainRequest(header=pb.ExplainHeader(model=pb.Model(file=file))),
        pb.ExplainRequest(chunk=pb.Chunk(data=data)),
    ]
    candidate = pb.Model(file=declared("other.onnx", other))
    compared = pb.VerifyHeader(reference=pb.Model(file=file), candidate=candidate)
    pair = [
        pb.VerifyRequest(header=compared),
        pb.VerifyRequest(chunk=pb.Chunk(data=data)),
        pb.VerifyRequest(chunk=pb.Chunk(file=1, data=other)),
    ]
    keeping = pb.ExplainHeader(model=pb.Model(file=file), options=pb.FoldOptions(keep=["n"]))
    again = [pb.ExplainRequest(header=keeping), *alone[1:]]

    replies: list[list[Any]] = [
        list(stub.Explain(iter(alone), timeout=60)),
        list(stub.Verify(iter(pair), timeout=60)),
        list(stub.Explain(iter(again), timeout=60)),
    ]

    assert [list(heard[0].accepted.wanted) for heard in replies] == [[0], [1], []]
    assert [heard[-1].WhichOneof("message") for heard in replies] == ["chunk"] * 3


def test_models_that_differ_are_an_answer_and_no_error(
    stub: FoldingServiceStub, tmp_path: Path
) -> None:
    """Verify says equivalent of a fold, and different of something else; both calls are OK."""
    net = conv_net(seed=14)
    source = save(net, tmp_path / "a.onnx")
    folding.fold(source, tmp_path / "b.onnx")
    initializer(net, "b").raw_data = b"\0" * len(initializer(net, "b").raw_data)
    save(net, tmp_path / "c.onnx")
    (reference, whole), *others = (model_of(tmp_path / name) for name in ("a.onnx", "b.onnx"))
    found = []
    for candidate, contents in (*others, model_of(tmp_path / "c.onnx")):
        asked = pb.VerifyHeader(reference=reference, candidate=candidate)
        answer = ask(stub.Verify, pb.VerifyRequest, asked, whole + contents)
        found.append(answer.report.verdict)

    assert found == [pb.VERDICT_EQUIVALENT, pb.VERDICT_DIFFERENT]


def test_an_explanation_has_a_plan_and_no_model(stub: FoldingServiceStub, tmp_path: Path) -> None:
    """What would be folded, and nothing but the report."""
    model, contents = model_of(save(conv_net(seed=15), tmp_path / "net.onnx"))

    answer = ask(stub.Explain, pb.ExplainRequest, pb.ExplainHeader(model=model), contents)

    assert answer.report.verdict == pb.VERDICT_UNSPECIFIED
    assert [(d.name, d.outcome) for d in answer.report.decisions] == [("n", pb.OUTCOME_FOLDED)]
    assert [file.path for file in answer.report.files] == ["report.json"]


def test_a_server_says_what_it_takes(stub: FoldingServiceStub) -> None:
    """Versions, limits and providers, as they are here."""
    found = stub.GetServerInfo(pb.GetServerInfoRequest())

    assert found.version == folding.__version__
    assert "CPUExecutionProvider" in found.providers
    assert (found.chunk_bytes, found.max_header_bytes, found.max_files) == (1 << 20, 1 << 19, 1024)
    assert found.min_opset < 17 < found.max_opset
    assert (found.max_nesting, found.max_expanded_nodes) == (1000, 10**9)
    assert found.job_memory_bytes == ServerLimits().memory_of_job > 1 << 20
