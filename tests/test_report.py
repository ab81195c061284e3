"""The JSON report: every one that is written is what the schema in the package describes."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from files import conv_net, kept_net, relu_net, run, save, save_apart
from onnx import ModelProto, TensorProto

import folding
from folding.equivalence import gate
from folding.equivalence.verdict import Check, Status, Verdict, VerdictName
from folding.plan import Kind, Reason

Json = dict[str, Any]
MODELS = Path(__file__).parent.parent / "models"
SCHEMA: Json = json.loads(resources.files("folding").joinpath("report.schema.json").read_text())


def validate(report: Json) -> None:
    """Check a report as its readers get it, through JSON."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(json.loads(json.dumps(report, allow_nan=False)))


def half_net() -> ModelProto:
    """Folds that a warning comes with."""
    return conv_net(elem_type=TensorProto.FLOAT16)


NETS = {"folded": conv_net, "kept": kept_net, "nothing": relu_net, "half": half_net}


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def parts(schema: Any) -> Iterator[Json]:
    if isinstance(schema, dict):
        yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from parts(part)


def test_every_object_of_the_schema_is_closed() -> None:
    for part in parts(SCHEMA):
        if part.get("type") == "object":
            assert "additionalProperties" in part
            assert part["additionalProperties"] is not True


def test_every_field_that_its_name_does_not_explain_is_described() -> None:
    plain = {"name", "status", "outcome"}
    for part in parts(SCHEMA):
        if part.get("type") == "object" and "properties" in part:
            for name, field in part["properties"].items():
                assert name in plain or "description" in field, name


def test_the_schema_knows_every_kind_and_verdict() -> None:
    kinds = SCHEMA["$defs"]["decision"]["properties"]["kind"]["enum"]
    verdicts = SCHEMA["properties"]["verification"]["properties"]["verdict"]["enum"]
    statuses = SCHEMA["$defs"]["check"]["properties"]["status"]["enum"]

    assert kinds == [str(kind) for kind in Kind]
    assert verdicts == [str(name) for name in VerdictName]
    assert statuses == [str(status) for status in Status]


def test_the_name_of_every_reason_is_one_that_the_schema_takes() -> None:
    assert all(reason.name.isupper() and reason.name.isascii() for reason in Reason)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("verify", [True, False])
def test_a_report_on_files_is_valid(tmp_path: Path, name: str, verify: bool) -> None:
    source = save(NETS[name](), tmp_path / "m.onnx")

    validate(folding.fold(source, verify=verify).to_dict())


@pytest.mark.parametrize("name", NETS)
def test_a_report_on_a_model_in_memory_is_valid(name: str) -> None:
    validate(folding.fold_model(NETS[name]())[1].to_dict())


@pytest.mark.parametrize("path", sorted(MODELS.glob("*_cnn.onnx")), ids=lambda path: path.stem)
def test_the_report_on_a_trained_model_is_valid(tmp_path: Path, path: Path) -> None:
    validate(folding.fold(path, tmp_path / "f.onnx", digests=True).to_dict())


@pytest.mark.parametrize("name", NETS)
def test_what_fold_writes_is_valid(tmp_path: Path, name: str) -> None:
    save(NETS[name](), tmp_path / "m.onnx")

    found = run("fold", "m.onnx", "--json", "-", cwd=tmp_path)

    validate(json.loads(found.stdout))


@pytest.mark.parametrize("name", NETS)
def test_what_explain_writes_is_valid(tmp_path: Path, name: str) -> None:
    save(NETS[name](), tmp_path / "m.onnx")

    found = run("explain", "m.onnx", "--json", "-", cwd=tmp_path)

    validate(json.loads(found.stdout))


def test_fold_and_explain_agree(tmp_path: Path) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")

    plan, report = folding.explain(source).to_dict(), folding.fold(source).to_dict()

    for part in ("counts", "decisions", "changed_values"):
        assert plan[part] == report[part]


@pytest.mark.parametrize("status", [Status.FAILED, Status.NOT_RUN])
def test_the_report_of_a_fold_that_was_not_written_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    check = Check("frame", status, "for a test", float("inf"), 1.0, "n")
    monkeypatch.setattr(gate, "verify_fold", lambda *_: Verdict((check,)))
    source = save(conv_net(), tmp_path / "m.onnx")

    with pytest.raises((folding.NotEquivalent, folding.Unproven)) as caught:
        folding.fold(source)

    report = caught.value.report.to_dict()
    validate(report)
    assert report["target"] is None


def test_the_fields_are_those_of_the_contract(tmp_path: Path) -> None:
    report = folding.fold(save(conv_net(), tmp_path / "m.onnx"), digests=True).to_dict()

    assert list(report) == [
        *("version", "source", "target", "preparation"),
        *("counts", "decisions", "changed_values", "operators"),
        *("warnings", "verification", "seconds"),
    ]
    assert list(report["source"]) == list(report["target"]) == ["path", "sha256", "bytes"]
    assert set(report["counts"]) == {
        *("affines", "folded", "partial", "kept", "nodes_before", "nodes_after"),
    }
    assert set(report["decisions"][0]) == {
        *("name", "kind", "nodes", "outcome", "into", "into_operator"),
        *("reason", "at", "at_operator", "below", "text"),
    }
    assert set(report["verification"]) == {
        *("verdict", "rests_on", "checks", "inputs", "seeds", "guilty"),
    }
    assert set(report["verification"]["checks"][0]) == {
        *("name", "status", "why", "worst", "not_finite", "bound", "at", "excused", "mismatch"),
    }


def test_the_numbers_are_right(tmp_path: Path) -> None:
    report = folding.fold(save(conv_net(), tmp_path / "m.onnx")).to_dict()

    assert report["counts"] == {
        "affines": 1,
        "folded": 1,
        "partial": 0,
        "kept": 0,
        "nodes_before": 3,
        "nodes_after": 2,
    }
    (decision,) = report["decisions"]
    assert (decision["name"], decision["kind"]) == ("n", "batch_norm")
    assert (decision["outcome"], decision["into"]) == ("folded", ["conv"])
    assert decision["nodes"] == ["n_norm"]
    assert report["changed_values"] == []
    assert [check["name"] for check in report["verification"]["checks"]] == [
        *("frame", "parameters", "sites", "outputs"),
    ]
    assert report["verification"]["verdict"] == "equivalent"


def test_a_kept_affine_has_its_reason_and_culprit(tmp_path: Path) -> None:
    report = folding.fold(save(kept_net(), tmp_path / "m.onnx")).to_dict()

    (decision,) = report["decisions"]
    assert (decision["outcome"], decision["into"]) == ("kept", [])
    assert (decision["reason"], decision["at"]) == ("GRAPH_INPUT", "x")
    assert report["counts"]["kept"] == 1


def test_the_bytes_of_a_model_are_those_of_all_its_files(tmp_path: Path) -> None:
    source = save_apart(conv_net(), tmp_path / "m.onnx")
    (tmp_path / "out").mkdir()

    report = folding.fold(source, tmp_path / "out" / "f.onnx").to_dict()

    assert report["source"]["bytes"] == sum(p.stat().st_size for p in tmp_path.glob("*.*"))
    assert report["target"]["bytes"] == sum(p.stat().st_size for p in tmp_path.glob("out/*"))


def test_without_being_asked_no_digest_is_computed(tmp_path: Path) -> None:
    report = folding.fold(save(conv_net(), tmp_path / "m.onnx")).to_dict()

    assert report["source"]["sha256"] is report["target"]["sha256"] is None


def test_a_model_in_memory_has_no_path() -> None:
    report = folding.fold_model(conv_net())[1].to_dict()

    assert report["source"]["path"] is report["target"]["path"] is None


@pytest.mark.parametrize("stages", [("read", "plan", "write", "verify")])
def test_every_stage_has_its_seconds(tmp_path: Path, stages: tuple[str, ...]) -> None:
    report = folding.fold(save(conv_net(), tmp_path / "m.onnx")).to_dict()

    assert tuple(report["seconds"]) == stages
    assert all(seconds >= 0 for seconds in report["seconds"].values())


SPOILT: dict[str, Json] = {
    "a field too many": {"more": 1},
    "a verdict nobody knows": {"verification": {"verdict": "fine", "checks": [], "inputs": None}},
    "a negative count": {"counts": {"affines": -1}},
    "no version": {"version": None},
    "a target without verification": {"verification": ...},
}


@pytest.mark.parametrize("what", SPOILT)
def test_the_schema_refuses(tmp_path: Path, what: str) -> None:
    report = folding.fold(save(conv_net(), tmp_path / "m.onnx")).to_dict() | SPOILT[what]
    report = {name: value for name, value in report.items() if value is not ...}

    with pytest.raises(jsonschema.ValidationError):
        validate(report)
