"""fold-model convert: exit codes, what is printed, and that no end of it leaves anything behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from converting import command_by, source_in, use
from files import complaints, contents, run

from folding import cli
from folding.conversion import converting

#: What no line of ours may look like.
TRACEBACK = "Traceback"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return source_in(tmp_path)


def call(monkeypatch: pytest.MonkeyPatch, route: str, *words: str | Path) -> Result:
    """Run the command in this process, by a fake route."""
    use(monkeypatch, route)
    return CliRunner().invoke(cli.app, ["convert", *map(str, words)])


def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asks for, without doing it."""
    found: dict[str, Any] = {}

    def note(source: str, target: str | None, **more: Any) -> None:
        found.update(source=source, target=target, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(converting, "convert", note)
    return found


def test_done_is_0_and_told_line_by_line(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = call(monkeypatch, "good", source)

    lines = found.stdout.splitlines()
    assert found.exit_code == 0
    assert lines[0].endswith("TensorFlow Lite file of fake 1.0, converted by fake2onnx 2.0")
    assert "input 'image' is called 'x'" in lines
    assert "output 'scores' is called 'y'" in lines
    assert any(
        line.startswith("the same as fake 1.0 computes, at batches of 1, 3, 8") for line in lines
    )
    assert "warning: the fake says something" in lines
    assert "1 of 1 folded" in lines
    assert any(line.startswith("equivalent: ") for line in lines)
    assert lines[-1].startswith("written: ")


def test_without_a_fold_the_file_and_its_size_are_told(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = call(monkeypatch, "good", source, "--no-fold", "-o", source.with_name("m.onnx"))

    assert found.exit_code == 0
    assert re.fullmatch(r"written: .*m\.onnx \(\d+ B\)", found.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("route", "code", "says"),
    [
        ("other_function", 1, "another function than fake 1.0 computes: output 'y'"),
        ("unconverted", 2, "left StatefulPartitionedCall 'relu' unconverted"),
        ("fails", 2, "KeyError"),
        ("crashes", 2, "SIGABRT"),
        ("refuses", 2, "there is no output 'z'; its outputs: scores."),
        ("full_disk", 2, "No space left on device"),
        ("unchecked", 4, "is not known: TensorFlow has no such convolution"),
    ],
)
def test_what_goes_wrong_is_one_sentence_with_its_code(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str, code: int, says: str
) -> None:
    found = call(monkeypatch, route, source)

    assert found.exit_code == code
    assert found.stdout == ""
    (line,) = complaints(found.stderr).splitlines()
    assert line.startswith("fold-model: ")
    assert says in line
    assert TRACEBACK not in found.output
    assert list(contents(tmp_path)) == ["net.tflite"]


def test_strict_is_0_where_all_is_folded_and_3_where_something_is_kept(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "good", source, "--strict").exit_code == 0
    assert call(monkeypatch, "kept", source, "--strict").exit_code == 3
    assert call(monkeypatch, "kept", source).exit_code == 0


def test_json_on_standard_output_stands_alone(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the conversion is refused for what it computes."""
    good = call(monkeypatch, "good", source, "--json", "-")
    other = call(monkeypatch, "other_function", source, "--json", "-")

    assert json.loads(good.stdout)["fold"]["counts"]["folded"] == 1
    assert len(json.loads(good.stdout)["target"]["sha256"]) == 64
    assert json.loads(other.stdout)["agreement"]["verdict"] == "different"
    assert other.exit_code == 1


def test_quiet_prints_nothing_but_errors(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "good", source, "--quiet").output == ""
    assert call(monkeypatch, "fails", source, "--quiet").stderr != ""


@pytest.mark.parametrize("more", [[], ["--no-fold"]])
def test_standard_output_takes_the_model_and_nothing_else(source: Path, more: list[str]) -> None:
    found = subprocess.run(
        command_by("good", source, "-o", "-", *more), capture_output=True, check=True, timeout=60
    )

    onnx.checker.check_model(found.stdout)
    assert b"the same as fake 1.0" in found.stderr
    assert list(contents(source.parent)) == ["net.tflite"]


def test_the_model_and_the_report_cannot_share_it(source: Path) -> None:
    found = run("convert", source, "-o", "-", "--json", "-")

    assert found.returncode == 2
    assert "cannot both go to standard output" in found.stderr


def test_options_are_handed_on(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(source.with_name("s.npz"), x=[1.0])
    found = asked(monkeypatch)

    words = "--output a --output b --freeze training=false --opset 17 --trust --no-verify --keep n"
    more = "--tolerance 0.5 --time-limit 7 --memory-limit 9 --max-nesting 5 --allow-growth"
    more = f"{more} --correct-averages"
    result = call(
        monkeypatch, "good", source, *words.split(), *more.split(), "--sample-inputs", "s.npz"
    )

    assert result.exit_code == 130
    assert found["outputs"] == ("a", "b")
    assert found["freeze"] == {"training": False}
    assert found["correct_averages"]
    assert (found["opset"], found["trust"], found["verify"], found["fold"]) == (
        17,
        True,
        False,
        True,
    )
    assert (found["keep"], found["allow_growth"], found["tolerance"]) == (("n",), True, 0.5)
    assert (found["run_limits"].seconds, found["run_limits"].memory) == (7.0, 9_000_000)
    assert (found["limits"].nesting, found["sample_inputs"]) == (5, "s.npz")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing.keras"], "No such file"),
        (["net.tflite", "--freeze", "training"], "is not NAME=VALUE"),
        (["net.tflite", "--correct-averages"], "cannot be corrected"),
        (["net.tflite", "--opset", "3"], "no converter writes operator set 3"),
        (["net.tflite", "--sample-inputs", "none.npz"], "no file 'none.npz' of sample inputs"),
        (["-"], "standard input"),
        (["."], "is no SavedModel"),
    ],
)
def test_a_wrong_call_is_2_and_one_sentence(source: Path, words: list[str], says: str) -> None:
    found = subprocess.run(
        command_by("good", *words),
        cwd=source.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1
    assert says in found.stderr


def test_without_its_package_a_source_is_2_and_the_command_is_told(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("folding.conversion.extras.find_spec", {}.get)

    found = CliRunner().invoke(cli.app, ["convert", str(source)])

    assert found.exit_code == 2
    assert "install it: python -m pip install 'fold-model[tensorflow]'." in found.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_kills_all_that_was_started_and_leaves_nothing(
    source: Path, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    room = tmp_path_factory.mktemp("room")
    told = source.with_suffix(".pid")
    with subprocess.Popen(
        command_by("hangs", source),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(room)},
    ) as process:
        try:
            wait_for(lambda: told.exists() and told.read_text() != "")
            process.send_signal(number)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()

    inner = int(told.read_text())
    told.unlink()
    assert process.returncode == 130
    assert complaints(stderr) == "fold-model: interrupted; no incomplete file was written.\n"
    assert list(room.iterdir()) == []
    assert list(contents(source.parent)) == ["net.tflite"]
    wait_for(lambda: is_gone(inner))


def is_gone(number: int) -> bool:
    """Whether a process has ended, be it buried or not."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def wait_for(is_so: Any) -> None:
    for _ in range(1500):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError


def test_nothing_can_be_written_where_nobody_may(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out by the system, whoever runs the tests."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("folding.writing.Waiting", refuse)
    found = call(monkeypatch, "good", source, "--no-fold")

    assert found.exit_code == 2
    assert "cannot write" in found.stderr
    assert "Permission denied" in found.stderr
    assert list(contents(tmp_path)) == ["net.tflite"]
