"""Standard input and output: the same bytes as with files, one sentence otherwise, nothing left."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import command, contents, conv_net, kept_net, save, save_apart
from onnx import numpy_helper

import folding

Ran = subprocess.CompletedProcess[bytes]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where commands keep what is for nobody else; empty when they are done."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def source(tmp_path: Path, temporary: Path) -> Path:
    return save(conv_net(16), tmp_path / "m.onnx")


@pytest.fixture
def large(tmp_path: Path, temporary: Path) -> Path:
    """A model that no pipe and no buffer holds at once."""
    model = conv_net(16)
    unread = np.random.default_rng(1).normal(size=3 << 18).astype("f4")
    model.graph.initializer.append(numpy_helper.from_array(unread, "unread"))
    return save(model, tmp_path / "large.onnx")


@pytest.fixture
def folded(source: Path) -> bytes:
    """What the source folds to."""
    folding.fold(source, source.with_name("expected.onnx"), verify=False)
    return source.with_name("expected.onnx").read_bytes()


def run(*words: str | Path, given: bytes | None = None, **more: Any) -> Ran:
    """Run the command with bytes on its standard input."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.run(command(*words), input=given, timeout=60, check=False, **streams)


def assert_refused(found: Ran, *words: str) -> None:
    """It ends with 2 and one sentence, which has some words in it."""
    said = found.stderr.decode()
    assert found.returncode == 2
    assert found.stdout in (b"", None)
    assert said.startswith("fold-model: ")
    assert said.endswith(".\n")
    assert said.count("\n") == 1
    assert "internal error" not in said
    for word in words:
        assert word in said


# --- models through pipes ------------------------------------------------------------------------


def test_a_model_is_folded_through_a_pipe(source: Path, folded: bytes) -> None:
    """Standard output is the default for standard input; what is said goes to standard error."""
    found = run("fold", "-", "--no-verify", given=source.read_bytes())

    assert found.returncode == 0
    assert found.stdout == folded
    assert b"n: batch_norm: folded into Conv 'conv'\n" in found.stderr
    assert b"written: - (" in found.stderr


def test_a_large_model_is_folded_through_a_pipe(large: Path) -> None:
    """However many times it must be read and written."""
    folding.fold(large, large.with_name("expected.onnx"), verify=False)

    found = run("fold", "-", "--no-verify", "--quiet", given=large.read_bytes())

    assert found.stdout == large.with_name("expected.onnx").read_bytes()
    assert found.stderr == b""


def test_a_file_is_folded_to_standard_output(source: Path, folded: bytes) -> None:
    """And nothing is written beside it."""
    before = contents(source.parent)

    found = run("fold", source, "-o", "-", "--no-verify", "--quiet")

    assert found.stdout == folded
    assert contents(source.parent) == before


def test_data_that_a_file_keeps_apart_is_in_what_goes_to_standard_output(
    tmp_path: Path, temporary: Path
) -> None:
    """There is one file only."""
    source = save_apart(conv_net(16), tmp_path / "apart.onnx")
    expected = tmp_path / "expected.onnx"
    folding.fold(source, expected, layout=folding.Layout.SINGLE_FILE, verify=False)

    found = run("fold", source, "-o", "-", "--no-verify", "--quiet")

    assert found.stdout == expected.read_bytes()


def test_a_model_without_anything_to_fold_comes_out_as_it_went_in(
    tmp_path: Path, temporary: Path
) -> None:
    """Byte for byte."""
    data = save(kept_net(), tmp_path / "m.onnx").read_bytes()

    assert run("fold", "-", "--no-verify", given=data).stdout == data


def test_what_goes_through_a_pipe_is_proved_too(source: Path, folded: bytes) -> None:
    """With the report as JSON in a file, and both digests in it; the runtime leaves nothing."""
    report = source.with_name("r.json")

    found = run("fold", "-", "--json", report, given=source.read_bytes())

    facts = json.loads(report.read_text())
    assert found.stdout == folded
    assert facts["verification"]["verdict"] == "equivalent"
    for side, data in (("source", source.read_bytes()), ("target", folded)):
        digest = hashlib.sha256(data).hexdigest()
        assert facts[side] == {"path": "-", "sha256": digest, "bytes": len(data)}


def test_a_model_from_standard_input_can_go_to_a_file(source: Path, folded: bytes) -> None:
    """Then standard output is free for the report."""
    target = source.with_name("f.onnx")

    found = run("fold", "-", "-o", target, "--no-verify", "--json", "-", given=source.read_bytes())

    assert target.read_bytes() == folded
    assert json.loads(found.stdout)["target"]["path"] == str(target)


def test_explain_reads_standard_input(source: Path) -> None:
    """And says of it what it says of the file, the digest included."""
    found = run("explain", "-", "--json", "-", given=source.read_bytes())

    facts = json.loads(found.stdout)
    assert facts["source"]["path"] == "-"
    assert facts["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert facts["target"] is None
    assert facts["counts"]["folded"] == 1


def test_in_the_library_it_is_the_same(source: Path, folded: bytes) -> None:
    """A dash is a name for ``folding.fold`` and ``folding.explain``, too."""
    code = "import folding; folding.fold('-', verify=False)"

    found = subprocess.run(
        [sys.executable, "-c", code], input=source.read_bytes(), capture_output=True, check=True
    )

    assert found.stdout == folded


def test_a_file_that_is_called_like_a_stream_can_be_named(source: Path, folded: bytes) -> None:
    """As for other programs, by its folder."""
    source.rename(source.with_name("-"))

    found = run("fold", "./-", "--no-verify", "--quiet", given=b"", cwd=source.parent)
    again = run("fold", "./-", "-o", "./-.2", "--no-verify", given=b"", cwd=source.parent)

    assert (found.returncode, found.stdout) == (0, b"")
    assert again.returncode == 0
    assert source.with_name("-.folded.onnx").read_bytes() == folded


# --- what cannot be ------------------------------------------------------------------------------


def test_the_model_and_the_report_cannot_both_go_to_standard_output(source: Path) -> None:
    """Neither does."""
    found = run("fold", "-", "--json", "-", given=source.read_bytes())

    assert_refused(found, "the model and the report cannot both go to standard output")


def test_nothing_on_standard_input_is_no_model(temporary: Path) -> None:
    """It is called by the name it was given."""
    assert_refused(run("fold", "-", given=b""), "'-' is empty")


@pytest.mark.parametrize("verb", ["fold", "explain"])
def test_half_a_model_on_standard_input_is_refused(source: Path, verb: str) -> None:
    """As when the program before in the pipe dies."""
    assert_refused(run(verb, "-", given=source.read_bytes()[:1000]), "'-' is no ONNX model")


def test_a_model_from_standard_input_cannot_have_its_data_elsewhere(
    tmp_path: Path, temporary: Path
) -> None:
    """There is no folder that it could be in."""
    data = save_apart(conv_net(16), tmp_path / "apart.onnx").read_bytes()

    found = run("fold", "-", given=data, cwd=tmp_path)

    assert_refused(found, "tensor 'w' is kept in 'weights.bin'", "not beside the model")


TOO_LARGE = """
from folding import cli, writing
writing._PROTOBUF_LIMIT = 1500
cli.main()
"""


def test_a_model_that_needs_two_files_cannot_go_to_standard_output(source: Path) -> None:
    """As one of more than two gigabytes; the way out is told."""
    words = [sys.executable, "-c", TOO_LARGE, "fold", str(source), "-o", "-", "--no-verify"]

    found = subprocess.run(words, capture_output=True, timeout=60, check=False)

    assert_refused(found, "standard output takes one file", "-o")


def test_external_data_cannot_go_to_standard_output(source: Path) -> None:
    """It is not written into the model instead, either."""
    found = run("fold", "-", "--external-data", given=source.read_bytes())

    assert_refused(found, "standard output takes one file")


WRONG = """
from folding import cli, edits
apply = edits.apply
def wrong(model, drafts):
    folded, warnings = apply(model, drafts)
    folded.proto.graph.node[-1].op_type = "Sigmoid"
    return folded, warnings
edits.apply = wrong
cli.main()
"""


def test_a_model_that_is_not_proved_does_not_go_to_standard_output(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one byte of it."""
    monkeypatch.delenv("TMPDIR")  # The runtime may leave something of its own there.
    words = [sys.executable, "-c", WRONG, "fold", "-"]

    found = subprocess.run(
        words, input=source.read_bytes(), capture_output=True, timeout=60, check=False
    )

    assert found.returncode == 1
    assert found.stdout == b""


# --- streams that are no files -------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[int]:
    ours, theirs = pty.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


def test_a_terminal_has_no_model_to_read(terminal: int, temporary: Path) -> None:
    """It is not waited for."""
    assert_refused(run("fold", "-", stdin=terminal), "no model arrives on standard input")


@pytest.mark.parametrize("words", [("fold", "-"), ("fold", "m.onnx", "-o", "-")])
def test_a_model_is_not_written_to_a_terminal(
    source: Path, terminal: int, words: tuple[str, ...]
) -> None:
    """Neither read nor written where nobody could use it."""
    with source.open("rb") as stream:
        found = run(*words, stdin=stream, stdout=terminal, cwd=source.parent)

    assert_refused(found, "a model is nothing for a terminal")


def test_what_is_said_may_go_to_a_terminal(source: Path, folded: bytes, terminal: int) -> None:
    """While the model goes through a pipe."""
    found = run("fold", "-", "--no-verify", given=source.read_bytes(), stderr=terminal)

    assert found.stdout == folded


def run_without(numbers: tuple[int, ...], *words: str | Path, given: bytes) -> Ran:
    """Run the command with some of its streams closed, as a service may be started."""
    return start_without(numbers, command(*words), given)


def start_without(numbers: tuple[int, ...], words: list[str], given: bytes) -> Ran:
    redirections = " ".join(f"{number}>&-" for number in numbers)
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *words],
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_a_closed_standard_input_has_no_model(temporary: Path) -> None:
    """One sentence says so."""
    assert_refused(run_without((0,), "fold", "-", given=b""), "no model arrives")


def test_a_closed_standard_output_takes_no_model(source: Path) -> None:
    """One sentence says so."""
    found = run_without((1,), "fold", "-", "--no-verify", given=source.read_bytes())

    assert_refused(found, "cannot write to standard output: it is closed")


@pytest.mark.parametrize("numbers", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_whoever_closes_the_streams_gets_the_file_all_the_same(
    source: Path, folded: bytes, numbers: tuple[int, ...]
) -> None:
    """Without a word."""
    target = source.with_name("f.onnx")

    found = run_without(numbers, "fold", source, "-o", target, "--no-verify", given=b"")

    assert found.returncode == 0
    assert found.stderr == b""
    assert target.read_bytes() == folded


NOISY = """
import os
from folding import __main__, sink
write = sink.write
def noisy(descriptor, pieces):
    os.write(1, b"noise")
    size = write(descriptor, pieces)
    os.write(2, b"noise")
    return size
sink.write = noisy
__main__.main()
"""


@pytest.mark.parametrize("numbers", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_what_libraries_print_goes_to_no_file(
    source: Path, folded: bytes, numbers: tuple[int, ...]
) -> None:
    """Its number might be that of a stream that is closed."""
    target = source.with_name("f.onnx")
    before = source.read_bytes()
    words = [sys.executable, "-c", NOISY, "fold", str(source), "-o", str(target), "--no-verify"]

    found = start_without(numbers, words, b"")

    assert found.returncode == 0
    assert target.read_bytes() == folded
    assert source.read_bytes() == before


def test_an_explanation_nobody_wants_to_see_is_no_error(source: Path) -> None:
    """The code may be all that is asked for."""
    found = run_without((1,), "explain", source, given=b"")

    assert (found.returncode, found.stderr) == (0, b"")


def test_an_explanation_that_is_asked_for_and_cannot_be_printed_is_an_error(source: Path) -> None:
    found = run_without((1,), "explain", source, "--json", "-", given=b"")

    assert found.returncode == 2
    assert b"standard output is closed" in found.stderr


def test_without_standard_error_nothing_else_goes_to_standard_output(
    source: Path, folded: bytes
) -> None:
    """Neither reports nor complaints."""
    good = run_without((2,), "fold", "-", "--no-verify", given=source.read_bytes())
    bad = run_without((2,), "fold", "-", "--no-verify", given=b"nonsense")

    assert (good.returncode, good.stdout) == (0, folded)
    assert (bad.returncode, bad.stdout) == (2, b"")


@pytest.mark.parametrize("name", ["m.onnx", "large.onnx"])
def test_a_full_standard_output_is_an_error(source: Path, large: Path, name: str) -> None:
    """Whether it shows at the first byte or at the last."""
    with Path("/dev/full").open("wb") as full, source.with_name(name).open("rb") as stream:
        found = run("fold", "-", "--no-verify", stdin=stream, stdout=full)

    assert_refused(found, "cannot write to standard output: No space left on device")


@pytest.mark.parametrize("name", ["m.onnx", "large.onnx"])
def test_a_reader_that_goes_away_is_an_error(source: Path, large: Path, name: str) -> None:
    """It did not get the whole model, and somebody may look at the code."""
    reading, writing = os.pipe()
    os.close(reading)
    with source.with_name(name).open("rb") as stream:
        found = run("fold", "-", "--no-verify", stdin=stream, stdout=writing)
    os.close(writing)

    assert_refused(found, "cannot write to standard output: Broken pipe")


def test_a_reader_that_takes_only_some_of_it_is_an_error(large: Path) -> None:
    """Like ``head -c 1000``."""
    with subprocess.Popen(
        command("fold", large, "-o", "-", "--no-verify"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert len(running.stdout.read(1000)) == 1000
        running.stdout.close()
        said = running.stderr.read()

    assert_refused(Ran([], running.returncode, b"", said), "Broken pipe")


def test_streams_that_do_not_wait_are_waited_for(large: Path) -> None:
    """Another program that has the same pipe may have set it so."""
    expected = large.with_name("expected.onnx")
    folding.fold(large, expected, verify=False)
    (reading, given), (taken, writing) = os.pipe(), os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    with subprocess.Popen(
        command("fold", "-", "--no-verify", "--quiet"), stdin=reading, stdout=writing
    ) as running:
        for number in (reading, writing):
            os.close(number)
        time.sleep(0.5)
        with os.fdopen(given, "wb") as stream:
            stream.write(large.read_bytes())
        time.sleep(0.5)
        with os.fdopen(taken, "rb") as stream:
            found = stream.read()

    assert running.returncode == 0
    assert found == expected.read_bytes()


LIMITED = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_without_room_for_standard_input_the_place_is_told(source: Path, temporary: Path) -> None:
    """It is not standard input that cannot be read."""
    words = [sys.executable, "-c", LIMITED, *command("fold", "-")]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}

    found = subprocess.run(
        words,
        input=source.read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
        env=environment,
    )

    assert_refused(found, f"cannot keep standard input in '{temporary}': File too large", "TMPDIR")


WHILE_IT_IS_REMOVED = """
import os, shutil, signal
from folding import __main__
rmtree = shutil.rmtree
def interrupted(*arguments, **more):
    os.kill(os.getpid(), signal.SIGINT)
    rmtree(*arguments, **more)
shutil.rmtree = interrupted
__main__.main()
"""


def test_an_interrupt_while_what_arrived_is_removed_leaves_nothing(
    source: Path, temporary: Path
) -> None:
    """It waits until that is done."""
    found = subprocess.run(
        [sys.executable, "-c", WHILE_IT_IS_REMOVED, "explain", "-"],
        input=source.read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert found.returncode == 130
    assert not contents(temporary)


STUCK = """
import time
from folding import cli, soundness
def stay(*_):
    print("here", flush=True)
    time.sleep(30)
soundness.check = stay
cli.main()
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(source: Path, temporary: Path, sent: signal.Signals) -> None:
    """What had arrived goes with it."""
    with (
        source.open("rb") as stream,
        subprocess.Popen(
            [sys.executable, "-c", STUCK, "explain", "-"],
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as running,
    ):
        assert running.stdout is not None
        assert running.stdout.readline() == b"here\n"
        assert len(contents(temporary)) == 1
        running.send_signal(sent)
        running.communicate(timeout=20)

    assert running.returncode == 130
