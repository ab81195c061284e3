"""fold-model verify: exit codes, what is printed, and the reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from files import command, complaints, contents, conv_net, initializer, run, save
from onnx import ModelProto, numpy_helper
from verifications import HOSTILE, VERDICTS, verification

import folding
from folding import cli, verifying
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.equivalence.running import AS_USUAL, Wish

Json = dict[str, Any]
CODES = {"equivalent": 0, "not run": 0, "different": 1, "unproven": 4, "hostile": 1}


def schema(name: str) -> Json:
    found: Json = json.loads(resources.files("folding").joinpath(name).read_text())
    return found


SCHEMA = schema("verification.schema.json")


def validate(report: str) -> Json:
    found: Json = json.loads(report)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A model and its fold."""
    source = save(conv_net(), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "f.onnx")
    return source, tmp_path / "f.onnx"


def call(*words: str | Path) -> Any:
    """Run the command in this process."""
    return CliRunner().invoke(cli.app, ["verify", *(str(word) for word in words)])


def answer(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Json]:
    """Let every verification come out like this; what was asked is in the list."""
    asked: list[Json] = []

    def verified(reference: str, candidate: str, wish: Wish, **how: Any) -> Any:
        assert (reference, candidate) == ("a", "b")
        asked.append({"wish": wish, **how})
        return verification(name)

    monkeypatch.setattr(verifying, "verified", verified)
    return asked


# --- exit codes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VERDICTS)
def test_the_exit_code_is_that_of_the_verdict(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    answer(monkeypatch, name)

    assert call("a", "b").exit_code == CODES[name]


def test_a_right_fold_is_0(pair: tuple[Path, Path]) -> None:
    assert run("verify", *pair).returncode == 0


def test_a_wrong_number_is_1_and_its_tensor_is_named(pair: tuple[Path, Path]) -> None:
    model = ModelProto.FromString(pair[1].read_bytes())
    bias = initializer(model, "b")
    values = numpy_helper.to_array(bias) * np.float32(1.01)
    bias.CopyFrom(numpy_helper.from_array(values, "b"))
    save(model, pair[1])

    found = run("verify", *pair)

    assert found.returncode == 1
    assert any(line.startswith("parameters: failed at 'b'") for line in found.stdout.splitlines())
    assert complaints(found.stderr) == ""


def test_a_bad_file_is_2_and_said_in_one_sentence(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(b"no model")

    found = call(*pair)

    assert found.exit_code == 2
    assert found.stderr.startswith("fold-model: ")
    assert "f.onnx" in found.stderr
    assert complaints(found.stderr).count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["m.onnx"],
        ["m.onnx", "f.onnx", "g.onnx"],
        ["m.onnx", "f.onnx", "--nonsense"],
        ["m.onnx", "f.onnx", "--junit", "-"],
        ["m.onnx", "f.onnx", "--junit", "m.onnx"],
        ["m.onnx", "f.onnx", "--json", "f.onnx"],
        ["m.onnx", "f.onnx", "--json", "r", "--junit", "r"],
        ["m.onnx", "f.onnx", "--json", "nowhere/r"],
        ["m.onnx", "f.onnx", "--input-shape", "x"],
        ["m.onnx", "f.onnx", "--input-shape", "x:1", "--input-shape", "x:2"],
        ["m.onnx", "f.onnx", "--tolerance", "-1"],
        ["m.onnx", "f.onnx", "--tolerance", "nan"],
        ["m.onnx", "f.onnx", "--time-limit", "0"],
        ["m.onnx", "f.onnx", "--time-limit", "nan"],
        ["m.onnx", "f.onnx", "--memory-limit", "0"],
        ["m.onnx", "f.onnx", "--inputs", "nowhere.npz"],
        ["m.onnx", "f.onnx", "--provider", "NoSuchProvider"],
        ["m.onnx", "f.onnx", "--custom-ops", "nowhere.so"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_2_and_writes_nothing(
    pair: tuple[Path, Path], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pair[0].parent
    before = contents(folder)
    monkeypatch.chdir(folder)

    found = call(*words)

    assert found.exit_code == 2
    assert found.stderr
    assert "internal error" not in found.stderr
    assert contents(folder) == before


WRITING = [("verify", "--json"), ("verify", "--junit"), ("fold", "--json"), ("fold", "-o")]


@pytest.mark.parametrize(("command", "option"), WRITING)
@pytest.mark.parametrize("name", ["mine.npz", "hard.npz", "pbs/input_0.pb", "ops.so"])
def test_what_is_read_is_never_written_over(
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    option: str,
    name: str,
) -> None:
    """Neither inputs nor libraries, under whatever name."""
    folder = pair[0].parent
    rows = np.ones((1, 3, 5, 5), np.float32)
    np.savez(folder / "mine.npz", x=rows)
    (folder / "hard.npz").hardlink_to(folder / "mine.npz")
    (folder / "pbs").mkdir()
    tensor = numpy_helper.from_array(rows, "x")
    (folder / "pbs" / "input_0.pb").write_bytes(tensor.SerializeToString())
    (folder / "ops.so").write_bytes(b"a library")
    monkeypatch.chdir(folder)
    inputs = ["--inputs", "pbs" if name.startswith("pbs") else "mine.npz"]
    library = ["--custom-ops", "ops.so"] if name == "ops.so" else []
    before = contents(folder)

    models = ["m.onnx", "f.onnx"] if command == "verify" else ["m.onnx"]
    words = [command, *models, *inputs, *library, option, name]
    found = CliRunner().invoke(cli.app, words)

    assert found.exit_code == 2
    assert f"'{name}' is a file that is read" in found.stderr or "inputs too" in found.stderr
    assert contents(folder) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["pipe", "pbs"])
def test_inputs_that_nobody_writes_are_refused_and_not_waited_for(
    pair: tuple[Path, Path], name: str
) -> None:
    folder = pair[0].parent
    (folder / "pbs").mkdir()
    for pipe in (folder / "pipe", folder / "pbs" / "input_0.pb"):
        os.mkfifo(pipe)

    found = run("verify", *pair, "--inputs", folder / name)

    assert found.returncode == 2
    assert "is neither a regular file nor a folder" in found.stderr


@pytest.mark.parametrize("place", [0, 1])
def test_one_model_may_arrive_on_standard_input(pair: tuple[Path, Path], place: int) -> None:
    words = ["-" if number == place else str(path) for number, path in enumerate(pair)]

    found = CliRunner().invoke(cli.app, ["verify", *words], input=pair[place].read_bytes())

    assert found.exit_code == 0


def test_not_both_models_can_arrive_on_standard_input() -> None:
    found = call("-", "-")

    assert found.exit_code == 2
    assert found.stderr == (
        "fold-model: standard input cannot be both models; name a file for one.\n"
    )


@pytest.mark.parametrize("words", [("verify", "m.onnx", "f.onnx"), ("check", "f.onnx")])
def test_a_report_that_cannot_be_printed_is_2(
    pair: tuple[Path, Path], words: tuple[str, ...]
) -> None:
    """Because standard output is closed."""
    line = '"$@" >&-'
    shell = ["sh", "-c", line, "sh", *command(), *words, "--json", "-"]
    found = subprocess.run(
        shell, cwd=pair[0].parent, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )

    assert found.returncode == 2
    assert "standard output is closed" in found.stderr


@pytest.mark.parametrize("place", ["/dev/full", "/proc/x.json"])
def test_where_a_report_cannot_be_no_option_is_named_that_verify_does_not_have(
    pair: tuple[Path, Path], place: str
) -> None:
    if not Path(place).parent.is_dir():
        pytest.skip("the system has no such folder")

    found = call(*pair, "--json", place)

    assert found.exit_code == 2
    assert "-o" not in found.stderr
    assert "choose another path for the report" in found.stderr


def test_an_interrupt_is_130(pair: tuple[Path, Path]) -> None:
    slow = (
        "import time\n"
        "from folding import verifying\n"
        "def verified(*_, **__):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "verifying.verified = verified\n"
        "from folding.cli import main\n"
        "main()\n"
    )
    words = [command()[0], "-c", slow, "verify", *map(str, pair)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)

    assert running.returncode == 130
    assert said == "fold-model: interrupted; no incomplete file was written.\n"


# --- what is printed -----------------------------------------------------------------------------


def test_there_is_a_line_for_each_check_and_one_for_the_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, "different")

    assert call("a", "b").stdout.splitlines() == [
        "frame: passed",
        "parameters: failed at 'w' (worst 7.25 of 1): a number is wrong",
        "outputs: not run: Bernoulli is random",
        "different: parameters, which failed",
        "warning: mind this: normal, seed 0",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "equivalent",
            "equivalent: frame and parameters, a proof from the files; outputs on normal, seed 0",
        ),
        ("not run", "equivalent: frame and parameters, a proof from the files"),
        ("unproven", "unproven: nothing: no check could be made"),
    ],
)
def test_it_is_said_on_what_the_verdict_rests(
    monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    answer(monkeypatch, name)

    assert expected in call("a", "b").stdout.splitlines()


def test_hostile_names_stay_on_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "hostile")

    lines = call("a", "b").stdout.split("\n")

    assert len(lines) == len(VERDICTS["hostile"]) + 3
    assert all(line.isprintable() for line in lines)
    assert HOSTILE.partition("\n")[0] in lines[1]


def test_quiet_prints_nothing(pair: tuple[Path, Path]) -> None:
    found = call(*pair, "--quiet")

    assert (found.exit_code, found.output) == (0, "")


def test_quiet_is_quiet_of_a_bad_verdict_too(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "different")

    found = call("a", "b", "--quiet")

    assert (found.exit_code, found.output) == (1, "")


# --- reports -------------------------------------------------------------------------------------


def test_json_on_standard_output_stands_alone(pair: tuple[Path, Path]) -> None:
    report = validate(call(*pair, "--json", "-").stdout)

    assert report["verification"]["verdict"] == "equivalent"
    assert [report[side]["path"] for side in ("reference", "candidate")] == list(map(str, pair))
    assert len(report["reference"]["sha256"]) == len(report["candidate"]["sha256"]) == 64


def test_quiet_and_json_give_json(pair: tuple[Path, Path]) -> None:
    validate(call(*pair, "--quiet", "--json", "-").stdout)


def test_both_reports_go_to_files_beside_the_text(pair: tuple[Path, Path]) -> None:
    json_path, junit = (pair[0].with_name(name) for name in ("r.json", "j.xml"))

    found = call(*pair, "--json", json_path, "--junit", junit)

    assert validate(json_path.read_text())["verification"]["verdict"] == "equivalent"
    assert 'tests="' in junit.read_text()
    assert "equivalent: " in found.stdout


@pytest.mark.parametrize("name", VERDICTS)
def test_what_is_printed_as_json_is_what_the_schema_says(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answer(monkeypatch, name)

    report = validate(call("a", "b", "--json", "-").stdout)

    assert report["verification"] == verification(name).verdict.to_dict()
    assert list(report) == SCHEMA["required"]


def test_the_verification_is_described_as_in_the_report_of_a_fold() -> None:
    theirs = schema("report.schema.json")

    for part in ("verification", "warnings", "seconds"):
        assert SCHEMA["properties"][part] == theirs["properties"][part]
    for part in SCHEMA["$defs"]:
        assert SCHEMA["$defs"][part] == theirs["$defs"][part]


def test_the_schema_is_a_schema_and_refuses_a_field_too_many() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    spoilt = {**verification("equivalent").to_dict(), "more": 1}

    with pytest.raises(jsonschema.ValidationError):
        validate(json.dumps(spoilt))


# --- options -------------------------------------------------------------------------------------


def test_by_default_it_is_run_as_the_function_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, "equivalent")

    call("a", "b")

    (how,) = asked
    assert callable(how.pop("progress"))
    assert how == {
        "wish": AS_USUAL,
        "follow_links": False,
        "limits": folding.Limits(),
        "digests": False,
        "report_to": None,
        "junit_to": None,
    }


def test_every_option_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, "equivalent")

    call(
        *("a", "b", "--inputs", "i.npz", "--input-shape", "x:1,3", "--input-shape", "n:0:2"),
        *("--tolerance", "0.5", "--provider", "P", "--custom-ops", "lib.so", "--follow-links"),
        *("--time-limit", "1.5", "--memory-limit", "7", "--json", "r", "--junit", "j"),
        *("--max-nesting", "9", "--max-expanded-nodes", "11"),
    )

    (how,) = asked
    del how["progress"]
    assert how == {
        "wish": Wish(
            Path("i.npz"),
            {"x": (1, 3), "n:0": (2,)},
            0.5,
            "P",
            Path("lib.so"),
            RunLimits(1.5, 7_000_000),
        ),
        "follow_links": True,
        "limits": folding.Limits(9, 11),
        "digests": True,
        "report_to": "r",
        "junit_to": "j",
    }


def test_the_time_limit_that_the_help_tells_is_the_usual_one() -> None:
    said = " ".join(call("--help").stdout.split())

    assert f"[default: ({RUN_LIMITS.seconds:.0f}); x>0]" in said


def test_it_runs_where_standard_output_is_closed(pair: tuple[Path, Path]) -> None:
    words = " ".join(f"'{word}'" for word in command("verify", *pair))

    found = subprocess.run(
        ["/bin/sh", "-c", f"{words} >&-"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=dict(os.environ),
    )

    assert (found.returncode, complaints(found.stderr)) == (0, "")
