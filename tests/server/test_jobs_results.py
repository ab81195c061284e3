"""What jobs find is what the same calls find in this process."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from files import contents, conv_net, initializer, kept_net, read, save, save_apart
from jobbing import Bench, bench, spec
from onnx import ModelProto, numpy_helper

import folding
from folding.pipeline import explained
from folding.verifying import verified
from folding_server.jobs.runner import JobProgress, JobResult, JobSpec, Kind

CLIENTS_NAME = "models/a 'new' net.onnx"
Files = dict[str, bytes]


def found(folder: Path, make: Callable[[Bench], JobSpec]) -> tuple[JobResult, Files]:
    """The result of one job, with its files."""

    async def run() -> tuple[JobResult, Files]:
        async with bench(folder) as made:
            result = await made.done(make(made))
            files = contents(result.folder) if result.files else {}
            shutil.rmtree(result.folder, ignore_errors=True)
            return result, files

    return asyncio.run(run())


def known(report: str | bytes) -> dict[str, Any]:
    """A report, but for what differs between any two runs."""
    read_back: dict[str, Any] = json.loads(report)
    assert read_back.pop("seconds")
    return read_back


def assert_described(result: JobResult, files: Files) -> None:
    """See that the result names exactly its files, the report first."""
    assert result.files[0].path == "report.json"
    assert {file.path: file.size for file in result.files} == {
        path: len(data) for path, data in files.items()
    }


def test_a_fold_has_the_bytes_and_the_report_of_a_fold_here(tmp_path: Path) -> None:
    """A job's model is byte for byte that of folding.fold, and its report says the same."""
    source = save(conv_net(), tmp_path / "net.onnx")
    target = tmp_path / "net.folded.onnx"
    report = folding.fold(source, target, digests=True)

    result, files = found(
        tmp_path, lambda made: spec(Kind.FOLD, made.shelf.model(source, CLIENTS_NAME))
    )

    assert_described(result, files)
    assert files["a 'new' net.folded.onnx"] == target.read_bytes()
    theirs, ours = known(files["report.json"]), known(report.to_json())
    assert theirs["source"].pop("path") == CLIENTS_NAME
    assert theirs["target"].pop("path") == "a 'new' net.folded.onnx"
    del ours["source"]["path"], ours["target"]["path"]
    assert theirs == ours
    assert result.facts == {
        "verdict": "equivalent",
        "rests_on": report.verification.rests_on,
        "counts": report.plan.counts,
        "decisions": [decision.to_dict() for decision in report.plan.decisions],
        "warnings": [],
        "cut": False,
    }


@pytest.mark.parametrize("layout", list(folding.Layout))
def test_external_data_is_read_and_written_as_here(tmp_path: Path, layout: folding.Layout) -> None:
    """External data comes by its relative path, and goes where the layout says."""
    (tmp_path / "source").mkdir()
    source = save_apart(conv_net(), tmp_path / "source/net.onnx", "data/weights.bin")
    (tmp_path / "here").mkdir()
    folding.fold(source, tmp_path / "here/out.onnx", layout=layout)
    options = {"layout": layout.name, "target": "somewhere/out.onnx"}

    result, files = found(
        tmp_path,
        lambda made: spec(
            Kind.FOLD, made.shelf.model(source, data=["data/weights.bin"]), options=options
        ),
    )

    assert_described(result, files)
    assert known(files.pop("report.json"))["target"]["path"] == "somewhere/out.onnx"
    assert files == contents(tmp_path / "here")


def test_what_is_kept_frozen_and_not_verified_is_told_by_options(tmp_path: Path) -> None:
    """The options of a fold have the effect that they have here."""
    source = save(conv_net(), tmp_path / "net.onnx")
    options = {"keep": ["n"], "verify": False}

    result, files = found(
        tmp_path, lambda made: spec(Kind.FOLD, made.shelf.model(source), options=options)
    )

    assert result.facts["verdict"] == "skipped"
    assert result.facts["decisions"][0]["reason"] == "ASKED_TO_KEEP"
    assert files["net.folded.onnx"] == source.read_bytes()


def test_an_explanation_is_that_of_the_command(tmp_path: Path) -> None:
    """Explain has the plan and no verdict, and writes no model."""
    source = save(kept_net(), tmp_path / "net.onnx")

    result, files = found(tmp_path, lambda made: spec(Kind.EXPLAIN, made.shelf.model(source)))

    assert_described(result, files)
    assert result.facts["verdict"] is None
    assert result.facts["decisions"][0]["reason"] == "GRAPH_INPUT"
    ours = known(explained(source, digests=True).to_json())
    theirs = known(files["report.json"])
    assert theirs.pop("source") == {**ours.pop("source"), "path": "net.onnx"}
    assert theirs == ours


def changed(model: ModelProto) -> ModelProto:
    """The same net with one other weight."""
    tensor = initializer(model, "w")
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] += 1
    tensor.CopyFrom(numpy_helper.from_array(array, "w"))
    return model


def test_two_models_that_differ_are_a_result(tmp_path: Path) -> None:
    """Verify tells both models by the names that their client has for them."""
    reference = save(conv_net(), tmp_path / "net.onnx")
    (tmp_path / "other").mkdir()
    candidate = save(changed(conv_net()), tmp_path / "other/net.onnx")
    ours = known(verified(reference, candidate, digests=True).to_json())

    result, files = found(
        tmp_path,
        lambda made: spec(
            Kind.VERIFY, made.shelf.model(reference), made.shelf.model(candidate, "other/net.onnx")
        ),
    )

    assert result.facts["verdict"] == "different"
    assert set(files) == {"report.json"}
    theirs = known(files["report.json"])
    assert theirs.pop("reference") == {**ours.pop("reference"), "path": "net.onnx"}
    assert theirs.pop("candidate") == {**ours.pop("candidate"), "path": "other/net.onnx"}
    assert theirs == ours


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_models_are_run_on_the_inputs_given(tmp_path: Path, form: str) -> None:
    """Inputs come as one .npz, or as the files of a folder."""
    source = save(conv_net(), tmp_path / "net.onnx")
    array = np.ones((1, 3, 5, 5), np.float32)
    np.savez(tmp_path / "some.npz", x=array)
    archive = (tmp_path / "some.npz").read_bytes()
    tensor = numpy_helper.from_array(array, "x").SerializeToString()

    def job(made: Bench) -> JobSpec:
        given = (
            made.shelf.add(archive, "some.npz")
            if form == "archive"
            else made.shelf.add(tensor, "set_0/input_0.pb")
        )
        return spec(Kind.FOLD, made.shelf.model(source), inputs=(given,))

    result, files = found(tmp_path, job)

    assert result.facts["verdict"] == "equivalent"
    assert json.loads(files["report.json"])["verification"]["inputs"] == "the user's inputs"


def test_the_runtime_says_what_it_is(tmp_path: Path) -> None:
    """An INFO job needs no files, and has the versions that are imported here."""
    result, _ = found(tmp_path, lambda _: JobSpec(Kind.INFO))

    assert result.files == ()
    assert result.facts["version"] == folding.__version__
    assert result.facts["onnx_version"] == onnx.__version__
    assert result.facts["onnxruntime_version"] == onnxruntime.__version__
    local = {*onnxruntime.get_available_providers()} - {"AzureExecutionProvider"}
    assert {*result.facts["providers"]} == local


def test_stages_are_told_in_their_order(tmp_path: Path) -> None:
    """Progress begins with the queue, names each stage of a fold once, and never goes back."""
    source = save(conv_net(), tmp_path / "net.onnx")

    async def told() -> list[JobProgress]:
        async with bench(tmp_path) as made:
            job = made.runner.submit(spec(Kind.FOLD, made.shelf.model(source)))
            steps = [step async for step in job.progress()]
            assert [step async for step in job.progress()] == steps
            return steps

    steps = asyncio.run(told())
    assert [step.stage for step in steps] == ["queued", "read", "plan", "write", "verify"]
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)


def test_a_folded_model_can_be_read(tmp_path: Path) -> None:
    """A result outlives its job's folder, as long as whoever took it keeps it."""
    source = save(conv_net(), tmp_path / "net.onnx")

    async def kept() -> Path:
        async with bench(tmp_path) as made:
            result = await made.done(spec(Kind.FOLD, made.shelf.model(source)))
            return result.folder.rename(tmp_path / "kept")

    assert len(read(asyncio.run(kept()) / "net.folded.onnx").graph.node) == 2
