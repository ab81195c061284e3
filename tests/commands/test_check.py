"""fold-model check: what could be folded in which file."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from files import complaints, contents, conv_net, kept_net, node, relu_net, run, save, save_apart

import folding
from folding import cli, pipeline

Json = dict[str, Any]
SCHEMA: Json = json.loads(resources.files("folding").joinpath("check.schema.json").read_text())
REPORT: Json = json.loads(resources.files("folding").joinpath("report.schema.json").read_text())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with models of every kind."""
    save(conv_net(), tmp_path / "open.onnx")
    save(kept_net(), tmp_path / "kept.onnx")
    save(relu_net(), tmp_path / "plain.onnx")
    folding.fold(tmp_path / "open.onnx", tmp_path / "folded.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str) -> Any:
    """Run the command in this process."""
    return CliRunner().invoke(cli.app, ["check", *words])


CODES = {
    "folded.onnx": 0,
    "kept.onnx": 0,
    "plain.onnx kept.onnx folded.onnx": 0,
    "open.onnx": 3,
    "folded.onnx open.onnx": 3,
    "open.onnx folded.onnx": 3,
    "bad.onnx": 2,
    "nowhere.onnx": 2,
    ".": 2,
    "open.onnx bad.onnx": 2,
    "bad.onnx open.onnx": 2,
    "": 2,
    "--nonsense open.onnx": 2,
}


def test_a_model_may_arrive_on_standard_input(folder: Path) -> None:
    model = (folder / "open.onnx").read_bytes()

    found = CliRunner().invoke(cli.app, ["check", "folded.onnx", "-"], input=model)

    assert found.exit_code == 3


@pytest.mark.parametrize("words", CODES)
def test_the_exit_code_is_the_worst_of_all_files(folder: Path, words: str) -> None:
    before = contents(folder)

    assert call(*words.split()).exit_code == CODES[words]
    assert contents(folder) == before


def test_it_says_in_which_file_what_can_be_folded_into_what() -> None:
    found = run("check", "open.onnx", "plain.onnx", "kept.onnx")

    assert found.returncode == 3
    assert found.stdout.splitlines() == [
        "open.onnx: n: batch_norm: can be folded into Conv 'conv'",
        "1 of 3 can be folded",
    ]
    assert complaints(found.stderr) == ""


def test_after_an_error_the_others_are_checked() -> None:
    found = call("bad.onnx", "open.onnx", "nowhere.onnx", "folded.onnx")

    assert found.stdout.splitlines() == [
        "open.onnx: n: batch_norm: can be folded into Conv 'conv'",
        "1 of 4 can be folded, 2 cannot be read",
    ]
    errors = found.stderr.splitlines()
    assert len(errors) == 2
    assert "bad.onnx" in errors[0]
    assert "nowhere.onnx" in errors[1]
    assert all(line.startswith("fold-model: ") for line in errors)


def test_a_file_too_large_for_memory_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explain = pipeline.explain

    def scarce(path: str, **how: Any) -> Any:
        if path == "plain.onnx":
            raise MemoryError
        return explain(path, **how)

    monkeypatch.setattr(pipeline, "explain", scarce)

    found = call("plain.onnx", "open.onnx")

    assert found.exit_code == 2
    assert "not enough memory" in found.stderr
    assert "1 of 2 can be folded, 1 cannot be read" in found.stdout


def test_what_it_calls_clean_is_what_a_fold_leaves() -> None:
    found = folding.fold("folded.onnx", "again.onnx")

    assert not found.plan.changes_anything
    assert call("again.onnx").exit_code == 0


def test_hostile_names_stay_on_their_lines(folder: Path) -> None:
    model = conv_net()
    node(model, "n_norm").output[0] = node(model, "relu").input[0] = "a\nb\x1b[2J"
    save(model, folder / "evil.onnx")

    first, _ = call("evil.onnx").stdout.splitlines()

    assert first.startswith(r"evil.onnx: a\nb\x1b[2J: batch_norm")


def test_quiet_prints_nothing_but_errors() -> None:
    found = call("open.onnx", "bad.onnx", "--quiet")

    assert (found.exit_code, found.stdout) == (2, "")
    assert "bad.onnx" in found.stderr


def test_json_has_every_file_in_order_and_is_what_the_schema_says() -> None:
    found = call("open.onnx", "bad.onnx", "plain.onnx", "--json", "-")

    report = json.loads(found.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    files = report["files"]
    assert [file["path"] for file in files] == ["open.onnx", "bad.onnx", "plain.onnx"]
    assert [[d["name"] for d in file["foldable"]] for file in files] == [["n"], [], []]
    assert [file["error"] is None for file in files] == [True, False, True]
    assert f"fold-model: {files[1]['error']}\n" == found.stderr


def test_json_goes_to_a_file_beside_the_text(folder: Path) -> None:
    found = call("open.onnx", "--json", "r.json", "--quiet")

    assert found.exit_code == 3
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads((folder / "r.json").read_text()))


@pytest.mark.parametrize("place", ["open.onnx", "bad.onnx", "weights.bin", ".", "nowhere/r.json"])
def test_the_report_never_goes_where_a_model_is(folder: Path, place: str) -> None:
    save_apart(conv_net(), folder / "apart.onnx")
    before = contents(folder)

    found = call("apart.onnx", "bad.onnx", "open.onnx", "--json", place)

    assert found.exit_code == 2
    assert found.stdout == ""
    assert contents(folder) == before


def test_the_schema_describes_decisions_as_the_report_of_a_fold() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$defs"]["decision"] == REPORT["$defs"]["decision"]


def test_the_limits_on_models_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def explain(path: str, *, limits: Any, **_: Any) -> Any:
        asked.append((path, limits))
        raise folding.Malformed("a test")

    monkeypatch.setattr(pipeline, "explain", explain)

    call("a", "b", "--max-nesting", "9", "--max-expanded-nodes", "11")

    assert asked == [(path, folding.Limits(9, 11)) for path in ("a", "b")]


def test_links_are_followed_if_wanted(folder: Path) -> None:
    save_apart(conv_net(), folder / "apart.onnx")
    (folder / "hub").mkdir()
    (folder / "sub").mkdir()
    (folder / "weights.bin").rename(folder / "hub" / "blob")
    (folder / "apart.onnx").rename(folder / "sub" / "apart.onnx")
    (folder / "sub" / "weights.bin").symlink_to(folder / "hub" / "blob")

    assert call("sub/apart.onnx").exit_code == 2
    assert call("sub/apart.onnx", "--follow-links").exit_code == 3
