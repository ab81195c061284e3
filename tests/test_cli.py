"""The command: its options, its exit codes, and what it prints where."""

# ruff: noqa: FBT001, S607 - parameters of tests; the command run is our own
from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from files import command, complaints, contents, conv_net, kept_net, relu_net, run, save
from onnx import ModelProto

import folding
from folding import cli, edits, trial
from folding._version import __version__
from folding.draft import Draft
from folding.equivalence import gate
from folding.equivalence.verdict import Check, Status, Verdict

FEED = np.zeros((1, 3, 5, 5), np.float32)


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(conv_net(), tmp_path / "m.onnx")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return save(kept_net(), tmp_path / "k.onnx")


def call(runner: CliRunner, *words: str | Path) -> Any:
    """Run the command in this process."""
    return runner.invoke(cli.app, [str(word) for word in words])


# --- exit codes ----------------------------------------------------------------------------------


def test_done_is_0(runner: CliRunner, source: Path) -> None:
    assert call(runner, "fold", source).exit_code == 0


@pytest.mark.parametrize("name", ["", "/", "."])
def test_a_source_without_a_name_is_2(runner: CliRunner, name: str) -> None:
    """There is no name to make the target's of; in Python, too."""
    found = call(runner, "fold", name)

    assert found.exit_code == 2
    assert found.stderr == f"fold-model: {name!r} names no file; name the .onnx file.\n"
    with pytest.raises(folding.BadCall, match="names no file"):
        folding.fold(name)


@pytest.mark.parametrize("name", ["x/", "x/.", ""])
def test_a_target_that_is_called_like_a_folder_is_2(
    runner: CliRunner, source: Path, name: str
) -> None:
    """Whoever writes it wants a file in it."""
    found = call(runner, "fold", source, "-o", f"{source.parent}/{name}" if name else "")

    assert found.exit_code == 2
    assert "names a folder; name a file in it." in found.stderr
    assert list(contents(source.parent)) == ["m.onnx"]


def test_nothing_to_fold_is_0_and_one_sentence_says_so(runner: CliRunner, tmp_path: Path) -> None:
    found = call(runner, "fold", save(relu_net(), tmp_path / "m.onnx"))

    assert found.exit_code == 0
    assert len([line for line in found.stdout.splitlines() if "nothing to fold" in line]) == 1


def test_kept_is_0(runner: CliRunner, kept: Path) -> None:
    assert call(runner, "fold", kept).exit_code == 0


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every folded model come out wrong: its last node is another one."""
    apply = edits.apply

    def wrong(model: Any, drafts: list[Draft]) -> Any:
        folded, warnings = apply(model, drafts)
        folded.proto.graph.node[-1].op_type = "Sigmoid"
        return folded, warnings

    monkeypatch.setattr(edits, "apply", wrong)


def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check("frame", Status.NOT_RUN, "this is a test", at="here")
    monkeypatch.setattr(gate, "verify_fold", lambda *_: Verdict((check,)))


def test_not_equivalent_is_1_and_nothing_is_written(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(source.parent)
    spoil(monkeypatch)

    found = call(runner, "fold", source)

    assert found.exit_code == 1
    assert "'relu'" in found.stderr
    assert contents(source.parent) == before


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--time-limit", "0.001"), 4, "took longer than 0.001 s"),
        pytest.param(
            *(("--memory-limit", "1"), 4, "needed more memory than 1 MB"),
            marks=pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it"),
        ),
        (("--provider", "NoExecutionProvider"), 2, "no provider 'NoExecutionProvider'"),
        (("--custom-ops", "nothing.so"), 2, "nothing.so"),
    ],
)
@pytest.mark.parametrize("does", ["fold", "verify"])
def test_runs_that_do_not_come_to_an_end_are_4_and_those_that_cannot_begin_are_2(
    runner: CliRunner, source: Path, does: str, words: tuple[str, str], code: int, why: str
) -> None:
    """Either way one sentence says why, and nothing is written."""
    folded = source.with_name("f.onnx")
    folding.fold(source, folded, verify=False)
    before = contents(source.parent)

    found = call(runner, does, source, *([folded] if does == "verify" else []), *words)

    assert found.exit_code == code
    assert why in found.output
    assert contents(source.parent) == before


def test_not_equivalent_leaves_an_old_target(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.with_name("f.onnx").write_bytes(b"old")
    spoil(monkeypatch)

    call(runner, "fold", source, "-o", source.with_name("f.onnx"))

    assert source.with_name("f.onnx").read_bytes() == b"old"


def test_not_equivalent_has_a_report_in_json(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)

    found = call(runner, "fold", source, "--json", "-")

    report = json.loads(found.stdout)
    assert found.exit_code == 1
    assert report["verification"]["verdict"] == "different"
    assert report["target"] is None


def test_unproven_is_4_and_nothing_is_written(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(source.parent)
    unproven(monkeypatch)

    found = call(runner, "fold", source)

    assert found.exit_code == 4
    assert "this is a test" in found.stderr
    assert "--no-verify" in found.stderr
    assert contents(source.parent) == before


def test_a_wrong_model_is_2(runner: CliRunner, tmp_path: Path) -> None:
    assert call(runner, "fold", tmp_path / "nowhere.onnx").exit_code == 2
    assert call(runner, "explain", tmp_path / "nowhere.onnx").exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["fold"],
        ["fold", "m.onnx", "--nonsense"],
        ["fold", "m.onnx", "n.onnx"],
        ["fold", "m.onnx", "--json"],
        ["explain", "m.onnx", "-o", "f.onnx"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_2_and_writes_nothing(source: Path, words: list[str]) -> None:
    before = contents(source.parent)

    found = run(*words, cwd=source.parent)

    assert found.returncode == 2
    assert found.stderr
    assert "Traceback" not in found.stderr
    assert contents(source.parent) == before


@pytest.mark.parametrize("verb", ["fold", "explain"])
def test_strict_is_3_where_a_normalisation_is_kept(
    runner: CliRunner, kept: Path, verb: str
) -> None:
    assert call(runner, verb, kept, "--strict").exit_code == 3


@pytest.mark.parametrize("verb", ["fold", "explain"])
def test_strict_is_0_where_all_is_folded(runner: CliRunner, source: Path, verb: str) -> None:
    assert call(runner, verb, source, "--strict").exit_code == 0


def test_strict_writes_all_the_same(runner: CliRunner, kept: Path) -> None:
    call(runner, "fold", kept, "--strict")

    assert kept.with_name("k.folded.onnx").exists()


def test_strict_is_0_on_a_folded_file(runner: CliRunner, source: Path) -> None:
    call(runner, "fold", source)
    folded = source.with_name("m.folded.onnx")

    found = call(runner, "fold", folded, "--strict", "-o", source.with_name("again.onnx"))

    assert found.exit_code == 0
    assert source.with_name("again.onnx").read_bytes() == folded.read_bytes()


def test_a_fault_of_our_own_is_no_traceback(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(trial, "plan_model", fail)
    before = contents(source.parent)

    found = call(runner, "fold", source)

    assert found.exit_code == 2
    assert "ZeroDivisionError" in found.stderr
    assert "Traceback" not in found.stderr
    assert contents(source.parent) == before


def test_a_lack_of_memory_is_2_and_said(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(trial, "plan_model", fail)

    found = call(runner, "fold", source)

    assert found.exit_code == 2
    assert "there is not enough memory" in found.stderr


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_the_target_can_be_named(runner: CliRunner, source: Path, option: str) -> None:
    call(runner, "fold", source, option, source.with_name("f.onnx"))

    assert sorted(contents(source.parent)) == ["f.onnx", "m.onnx"]


def test_by_default_it_stands_beside_the_source(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()

    run("fold", source, cwd=tmp_path / "elsewhere")

    assert sorted(contents(tmp_path)) == ["m.folded.onnx", "m.onnx"]


def test_json_to_a_file_leaves_the_text_on_the_screen(runner: CliRunner, source: Path) -> None:
    path = source.with_name("r.json")

    found = call(runner, "fold", source, "--json", path)

    assert json.loads(path.read_text())["version"] == __version__
    assert "1 of 1 folded" in found.stdout


def test_json_has_the_digests(runner: CliRunner, source: Path) -> None:
    report = json.loads(call(runner, "fold", source, "--json", "-").stdout)

    assert len(report["source"]["sha256"]) == len(report["target"]["sha256"]) == 64


@pytest.mark.parametrize("verb", ["fold", "explain"])
def test_json_on_standard_output_stands_alone(runner: CliRunner, source: Path, verb: str) -> None:
    found = call(runner, verb, source, "--json", "-")

    assert json.loads(found.stdout)["counts"]["folded"] == 1


def test_explain_writes_json_to_a_file(runner: CliRunner, source: Path) -> None:
    path = source.with_name("r.json")

    found = call(runner, "explain", source, "--json", path)

    assert json.loads(path.read_text())["decisions"][0]["name"] == "n"
    assert "folded into Conv 'conv'" in found.stdout


def test_explain_writes_nothing_else(runner: CliRunner, source: Path) -> None:
    before = contents(source.parent)

    call(runner, "explain", source)

    assert contents(source.parent) == before


def test_explain_says_what_fold_says(runner: CliRunner, source: Path) -> None:
    plan = call(runner, "explain", source).stdout
    report = call(runner, "fold", source).stdout

    assert report.startswith(plan)


def test_no_verify_writes_what_would_be_refused(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)

    found = call(runner, "fold", source, "--no-verify")

    assert found.exit_code == 0
    assert "not verified" in found.stdout
    assert source.with_name("m.folded.onnx").exists()


def test_no_verify_is_skipped_in_json(runner: CliRunner, source: Path) -> None:
    report = json.loads(call(runner, "fold", source, "--no-verify", "--json", "-").stdout)

    assert report["verification"] == {
        "verdict": "skipped",
        "rests_on": "nothing: no check was made",
        "checks": [],
        "inputs": None,
        "seeds": [],
        "guilty": [],
    }


def test_quiet_prints_nothing(runner: CliRunner, source: Path) -> None:
    found = call(runner, "fold", source, "--quiet")

    assert (found.exit_code, found.output) == (0, "")


def test_quiet_still_says_what_is_wrong(runner: CliRunner, tmp_path: Path) -> None:
    found = call(runner, "fold", tmp_path / "nowhere.onnx", "--quiet")

    assert found.exit_code == 2
    assert "nowhere.onnx" in found.stderr


def test_quiet_and_json_give_json(runner: CliRunner, source: Path) -> None:
    found = call(runner, "fold", source, "--quiet", "--json", "-")

    assert json.loads(found.stdout)


def test_inputs_are_what_it_is_run_on(runner: CliRunner, source: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "i.npz", x=FEED)

    found = call(runner, "fold", source, "--inputs", tmp_path / "i.npz", "--json", "-")

    assert json.loads(found.stdout)["verification"]["inputs"] == "the user's inputs"


BAD_INPUTS: dict[str, dict[str, Any]] = {
    "'x'": {},
    "'z'": {"x": FEED, "z": FEED},
    "float64": {"x": FEED.astype(np.float64)},
    "1x3x5x5": {"x": FEED[0]},
}


@pytest.mark.parametrize("named", BAD_INPUTS)
@pytest.mark.parametrize("model", [conv_net, None])
def test_inputs_that_do_not_fit_are_2_and_named(
    runner: CliRunner, tmp_path: Path, named: str, model: Any
) -> None:
    # The second model has nothing to fold, so that nothing would be run.
    source = save(conv_net() if model else bare_net(), tmp_path / "m.onnx")
    np.savez(tmp_path / "i.npz", **BAD_INPUTS[named])
    before = contents(tmp_path)

    found = call(runner, "fold", source, "--inputs", tmp_path / "i.npz")

    assert found.exit_code == 2
    assert named in found.stderr
    assert contents(tmp_path) == before


def bare_net() -> ModelProto:
    """The same input, and nothing to fold."""
    model = folding.fold_model(conv_net(), verify=False)[0]
    assert [found.op_type for found in model.graph.node] == ["Conv", "Relu"]
    return model


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04"])
def test_inputs_that_are_no_npz_are_2(
    runner: CliRunner, source: Path, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "i.npz").write_bytes(data)

    assert run("fold", source, "--inputs", tmp_path / "i.npz").returncode == 2


def test_inputs_that_are_not_there_are_2(runner: CliRunner, source: Path) -> None:
    found = call(runner, "fold", source, "--inputs", "nowhere.npz")

    assert found.exit_code == 2
    assert "nowhere.npz" in found.stderr


def test_the_version_is_printed(runner: CliRunner) -> None:
    found = call(runner, "--version")

    assert (found.exit_code, found.stdout) == (0, f"fold-model {__version__}\n")


def test_the_installed_command_is_the_same() -> None:
    found = subprocess.run(
        ["fold-model", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{Path(command()[0]).parent}:{os.environ['PATH']}"},
    )

    assert found.stdout == f"fold-model {__version__}\n"


def test_without_room_for_a_thread_everything_is_done(
    runner: CliRunner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests are computed, and files written, by the thread there is."""

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)

    found = call(runner, "fold", source, "--no-verify", "--json", "-")

    assert found.exit_code == 0
    assert json.loads(found.stdout)["target"]["sha256"]


# --- what is printed -----------------------------------------------------------------------------


def test_the_commands_are_listed_in_the_help(runner: CliRunner) -> None:
    said = call(runner, "--help").stdout.partition("Commands:")[2]

    assert [line.split()[0] for line in said.split("\n  ") if line.split()] == sorted(
        cli.app.commands
    )


def test_every_command_and_option_has_help() -> None:
    for name, found in cli.app.commands.items():
        assert found.help, name
        for parameter in found.params:
            assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


@pytest.mark.parametrize(
    "words", [["--help"], *([verb, "--help"] for verb in ("fold", "explain", "verify", "check"))]
)
def test_help_is_printed_and_0(runner: CliRunner, words: list[str]) -> None:
    found = call(runner, *words)

    assert found.exit_code == 0
    assert "Usage" in found.stdout


@pytest.mark.parametrize("verb", ["fold", "explain", "verify", "check"])
def test_the_help_lists_the_exit_codes(runner: CliRunner, verb: str) -> None:
    assert "Exit codes" in call(runner, verb, "--help").stdout


def test_there_is_a_line_for_every_normalisation(runner: CliRunner, source: Path) -> None:
    found = call(runner, "fold", source)

    assert found.stdout.splitlines()[0] == "n: batch_norm: folded into Conv 'conv'"


def test_there_is_a_line_for_one_that_is_kept(runner: CliRunner, kept: Path) -> None:
    found = call(runner, "fold", kept)

    first = found.stdout.splitlines()[0]
    assert first.startswith("n: batch_norm: kept: nothing stands before it but this graph input")
    assert "'x'" in first


def test_nodes_and_sizes_are_told_by_operator(runner: CliRunner, source: Path) -> None:
    rows = [line.split() for line in call(runner, "fold", source).stdout.splitlines()]

    assert ["all", "3", "2"] in [row[:3] for row in rows]
    assert ["BatchNormalization", "1", "0", "64", "B", "0", "B"] in rows


def test_where_it_was_written_is_told(runner: CliRunner, source: Path) -> None:
    found = call(runner, "fold", source)

    assert f"written: {source.with_name('m.folded.onnx')}" in found.stdout


def test_the_evidence_is_told(runner: CliRunner, source: Path) -> None:
    (line,) = (x for x in call(runner, "fold", source).stdout.splitlines() if "equivalent" in x)

    assert re.match(r"equivalent: frame passed; parameters passed .*; outputs passed", line)


def test_elsewhere_than_on_a_terminal_the_text_is_plain(source: Path) -> None:
    found = run("fold", source, env={**os.environ, "COLUMNS": "40", "TERM": "xterm-256color"})

    assert "\x1b" not in found.stdout
    assert "n: batch_norm: folded into Conv 'conv'" in found.stdout.splitlines()
    assert complaints(found.stderr) == ""


def on_terminal(*words: str | Path) -> str:
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    running = subprocess.Popen(
        command(*words), stdout=theirs, stderr=theirs, stdin=theirs, env=environment
    )
    os.close(theirs)
    sent = b""
    try:
        while block := os.read(ours, 4096):
            sent += block
    except OSError:  # The other side is closed: Linux calls that an input/output error.
        pass
    os.close(ours)
    assert running.wait(60) == 0
    return sent.decode()


def test_on_a_terminal_there_is_a_table(source: Path) -> None:
    text = on_terminal("fold", source)

    assert "what became of it" in text
    assert "\x1b[" in text


@pytest.mark.parametrize(("quiet", "expected"), [(False, "fold-model: read ...\n"), (True, "")])
def test_what_takes_longer_than_a_second_is_told_on_standard_error(
    source: Path, quiet: bool, expected: str
) -> None:
    slow = (
        "import time\n"
        "from folding import soundness\n"
        "real = soundness.check\n"
        "def check(*words):\n"
        "    time.sleep(1.5)\n"
        "    real(*words)\n"
        "soundness.check = check\n"
        "from folding.cli import main\n"
        "main()\n"
    )
    words = [*command()[:1], "-c", slow, "fold", str(source), *(["--quiet"] if quiet else [])]

    found = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    assert found.returncode == 0
    assert found.stderr.startswith(expected)
    assert quiet == (not found.stderr)
