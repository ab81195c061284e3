"""folding.convert, the whole story, by routes that need no framework."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnxruntime
import pytest
from converting import archive, convert_by, source_in, use
from files import contents, read
from referencing import Registry, Resource

import folding
from folding.conversion import course, handing
from folding.conversion.agreement import Agreed
from folding.conversion.converting import convert
from folding.conversion.job import Port
from folding.equivalence import gate
from folding.equivalence.verdict import Check, Status, Verdict
from folding.errors import (
    BadCall,
    FoldError,
    NotEquivalent,
    StorageFailed,
    Unconvertible,
    Unproven,
)
from folding.layout import Layout


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files("folding").joinpath(name).read_text())
    return found


SCHEMA, INNER = schema("conversion.schema.json"), schema("report.schema.json")
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, registry=Registry().with_resource(INNER["$id"], Resource.from_contents(INNER))
)


@pytest.fixture(autouse=True)
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing may be left where temporary files are."""
    folder = tmp_path_factory.mktemp("room")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield
    assert list(folder.iterdir()) == []


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return source_in(tmp_path)


def test_it_is_converted_checked_folded_and_written(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source.read_bytes()
    stages: list[str] = []

    report = convert_by(monkeypatch, "good", source, progress=stages.append)

    target = source.with_name("net.folded.onnx")
    assert report.target is not None
    assert (report.target.path, report.target.bytes) == (str(target), target.stat().st_size)
    assert [node.op_type for node in read(target).graph.node] == ["Conv", "Relu"]
    assert report.agreement.verdict is Agreed.SAME
    assert report.inputs == (Port("image", "x"),)
    assert report.fold is not None
    assert report.fold.plan.counts["folded"] == 1
    assert source.read_bytes() == before
    assert stages[:5] == ["read", "convert", "check", "lint", "fold"]
    assert {"read", "convert", "check", "fold"} <= set(report.seconds)
    VALIDATOR.validate(json.loads(report.to_json()))


@pytest.mark.parametrize("fold", [True, False])
def test_what_looks_wrong_is_said_once(
    source: Path, monkeypatch: pytest.MonkeyPatch, *, fold: bool
) -> None:
    """Of the source, which the graph that was folded says as well."""
    report = convert_by(monkeypatch, "untrained", source, fold=fold)

    assert report.to_json().count("STATISTICS_AT_INITIAL") == 1
    assert [w.at for w in report.warnings if w.code == "STATISTICS_AT_INITIAL"] == ["norm"]


def test_without_a_fold_it_is_written_as_it_is(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = convert_by(monkeypatch, "good", source, fold=False, digests=True)

    target = source.with_name("net.onnx")
    assert "BatchNormalization" in [node.op_type for node in read(target).graph.node]
    assert report.fold is None
    assert report.target is not None
    assert report.target.sha256 is not None
    VALIDATOR.validate(json.loads(report.to_json()))


def test_every_object_of_the_schema_is_closed_and_it_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for part in (SCHEMA, *SCHEMA["$defs"].values(), *SCHEMA["properties"].values()):
        if "properties" in part:
            assert part["additionalProperties"] is False


def test_a_layout_and_a_target_can_be_wished_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data apart stands beside the model."""
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "m.onnx"

    for fold in (True, False):
        convert_by(monkeypatch, "wide", source, target, fold=fold, layout=Layout.EXTERNAL_DATA)
        session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
        session.run(None, {"x": np.zeros((2, 3, 5, 5), np.float32)})
        assert len(contents(tmp_path / "out")) == 2


def test_samples_reach_the_route_and_the_comparison(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, 5, 5))

    report = convert_by(monkeypatch, "good", source, sample_inputs={"image": images})

    assert report.agreement.batches == (1, 2)


def test_samples_that_do_not_fit_are_the_callers_fault(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadCall, match="'image' have the shape 2x2"):
        convert_by(monkeypatch, "good", source, sample_inputs={"image": np.zeros((2, 2))})

    assert list(contents(tmp_path)) == ["net.tflite"]


def test_another_function_is_not_handed_over(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report says so, and is written if it is wanted."""
    note = tmp_path / "report.json"
    (tmp_path / "net.folded.onnx").write_bytes(b"what was there before")

    says = "fake2onnx 2.0 made of '.*net.tflite' another function than fake 1.0 computes: output"
    with pytest.raises(NotEquivalent, match=says) as caught:
        convert_by(monkeypatch, "other_function", source, report_to=note)

    found = json.loads(note.read_text())
    VALIDATOR.validate(found)
    assert found == caught.value.report.to_dict()
    assert (found["target"], found["fold"]) == (None, None)
    assert found["agreement"]["verdict"] == "different"
    assert (tmp_path / "net.folded.onnx").read_bytes() == b"what was there before"


def test_a_tolerance_of_the_users_lets_it_pass(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = convert_by(monkeypatch, "other_function", source, tolerance=0.1)

    assert report.agreement.verdict is Agreed.SAME


def test_what_cannot_be_compared_is_unproven(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants it all the same must say so."""
    with pytest.raises(Unproven, match="is not known: TensorFlow has no such") as caught:
        convert_by(monkeypatch, "unchecked", source)
    VALIDATOR.validate(json.loads(caught.value.report.to_json()))
    assert list(contents(tmp_path)) == ["net.tflite"]

    report = convert_by(monkeypatch, "unchecked", source, verify=False)

    assert report.agreement.verdict is Agreed.SKIPPED
    VALIDATOR.validate(json.loads(report.to_json()))


def test_a_fold_that_cannot_be_proved_is_not_handed_over(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversion's report has that of the fold in it, and no path of a file that is gone."""
    verdict = Verdict((Check("frame", Status.NOT_RUN, "the test says so"),))
    monkeypatch.setattr(gate, "verify_prepared", lambda *_, **__: verdict)

    with pytest.raises(Unproven, match=r"the fold of '.*net\.tflite' could not be") as caught:
        convert_by(monkeypatch, "good", source)

    found = json.loads(caught.value.report.to_json())
    VALIDATOR.validate(found)
    assert found["fold"]["verification"]["verdict"] == "unproven"
    assert found["fold"]["source"]["path"] is None
    assert list(contents(tmp_path)) == ["net.tflite"]


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ("unconverted", "fake2onnx 2.0 left StatefulPartitionedCall 'relu' unconverted"),
        ("invalid", "what fake2onnx 2.0 made is invalid: .*nobody"),
        ("unloadable", "onnxruntime refuses what fake2onnx 2.0 made: .*NoSuchKernel"),
        ("fixed_batch", "onnxruntime refuses what fake2onnx 2.0 made: for a batch of 3"),
        ("no_protobuf", "what fake2onnx 2.0 made is no model"),
        ("unannounced", "made does not have the input 'pixels'"),
        ("lacking_reference", "what the framework computed is not all in reference-0.npz"),
        ("pickled_reference", "what the framework computed is not all in reference-0.npz"),
    ],
)
def test_an_invalid_file_is_never_handed_over(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str, says: str
) -> None:
    with pytest.raises(Unconvertible, match=f"^'.*net.tflite' cannot be converted: .*{says}"):
        convert_by(monkeypatch, route, source)

    assert list(contents(tmp_path)) == ["net.tflite"]


@pytest.mark.parametrize("route", ["unconverted", "invalid", "unloadable", "no_protobuf"])
def test_not_even_if_nobody_wants_it_checked(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    with pytest.raises(Unconvertible):
        convert_by(monkeypatch, route, source, verify=False, fold=False)

    assert list(contents(tmp_path)) == ["net.tflite"]


def test_a_source_that_changes_meanwhile_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FoldError, match="changed"):
        convert_by(monkeypatch, "meddles", source)

    assert list(contents(tmp_path)) == ["net.tflite"]


def test_code_needs_trust_and_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "m.pt", "m/constants.pkl")

    with pytest.raises(BadCall, match="runs code and pickles that it holds") as caught:
        convert(path)
    assert "--trust" in caught.value.hint
    monkeypatch.setattr("folding.conversion.extras.find_spec", {}.get)
    with pytest.raises(BadCall, match="a TorchScript file needs") as caught:
        convert(path, trust=True)
    assert "pip install 'fold-model[torch]'" in caught.value.hint


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("net.tflite", "is the source under another name"),
        ("missing/net.onnx", "the folder of .* does not exist"),
        (".", "names a folder"),
        ("report.json", "is the target too"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_any_work(
    source: Path, monkeypatch: pytest.MonkeyPatch, target: str, says: str
) -> None:
    monkeypatch.setattr(course, "converted", None)
    note = source.with_name("report.json")

    with pytest.raises(BadCall, match=says):
        convert_by(monkeypatch, "good", source, f"{source.parent}/{target}", report_to=note)


def test_samples_are_not_written_over(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "samples.npz", image=np.zeros((1, 3, 5, 5)))

    with pytest.raises(BadCall, match="is the file of the inputs too"):
        convert_by(
            monkeypatch,
            "good",
            source,
            tmp_path / "samples.npz",
            sample_inputs=tmp_path / "samples.npz",
        )


def test_standard_input_is_no_source() -> None:
    with pytest.raises(BadCall, match="cannot come from standard input"):
        convert("-")


def test_a_full_disk_leaves_what_was_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "net.onnx"
    target.write_bytes(b"before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("folding.writing.sink.write", full)

    with pytest.raises(StorageFailed, match="No space left on device"):
        convert_by(monkeypatch, "good", source, target, fold=False)

    assert contents(tmp_path) == {"net.onnx": b"before", "net.tflite": source.read_bytes()}


def test_a_report_that_cannot_be_written_does_not_hide_the_model(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageFailed("cannot write the report")

    monkeypatch.setattr("folding.conversion.course.beside.noted", refuse)

    with pytest.raises(StorageFailed, match=r"net\.folded\.onnx' is written, but its report"):
        convert_by(monkeypatch, "good", source, report_to=tmp_path / "report.json")

    assert (tmp_path / "net.folded.onnx").exists()


def test_two_at_once_to_one_target_leave_one_whole_model(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "good")
    threads = [threading.Thread(target=convert, args=(source,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(contents(tmp_path)) == ["net.folded.onnx", "net.tflite"]
    assert len(read(tmp_path / "net.folded.onnx").graph.node) == 2


def test_what_is_said_of_the_converters_file_names_the_source(tmp_path: Path) -> None:
    model = tmp_path / "job" / "model.onnx"

    with (
        pytest.raises(FoldError, match=r"^'net\.keras' is empty$"),
        handing.named(model, "net.keras"),
    ):
        raise FoldError(f"{str(model)!r} is empty")


def test_the_public_name_is_this_function() -> None:
    assert folding._HOMES["folding.conversion.converting"] == ("convert",)
