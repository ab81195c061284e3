"""Attacks and accidents, each through the command as a user runs it.

Whatever comes in: exit code 2, one sentence that names the place, no traceback, nothing left
behind, the source as it was.
"""

# ruff: noqa: FBT001 - parameters of tests; the command run is our own
from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import (
    command,
    contents,
    conv_net,
    initializer,
    kept_net,
    make,
    node,
    norm_node,
    read,
    refer,
    run,
    save,
    save_apart,
)
from onnx import ModelProto, TensorProto, helper, numpy_helper

import folding
from folding.framing import delimited

INTERNAL = "internal error"  # What the command calls a fault of its own.
Change = Callable[[ModelProto], Any]


def assert_one_sentence(text: str) -> None:
    """What stands on standard error."""
    assert text.count("\n") == 1, text
    assert text.startswith("fold-model: ")
    assert text.endswith(".\n")
    assert "Traceback" not in text
    assert INTERNAL not in text.lower()
    assert all(character.isprintable() or character == "\n" for character in text)


def assert_refused(source: Path, *more: str | Path) -> str:
    """Fold a file, see it refused as it should be; what was said."""
    before = contents(source.parent)
    found = run("fold", source, *more, cwd=source.parent)
    assert found.returncode == 2, found
    assert found.stdout == ""
    assert_one_sentence(found.stderr)
    assert contents(source.parent) == before
    return found.stderr


# --- files that are no models --------------------------------------------------------------------


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes([0, 0, 0, 13]) + b"IHDR" + bytes(100)


def zipped() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("model.onnx", conv_net().SerializeToString())
    return whole.getvalue()


NET = conv_net().SerializeToString()
NO_MODELS: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\0",
    "zeros": bytes(5000),
    "random": random.Random(0).randbytes(5000),  # noqa: S311 - no secret
    "cut in half": NET[: len(NET) // 2],
    "without its last byte": NET[:-1],
    "PNG": png(),
    "JSON": json.dumps({"ir_version": 8, "graph": {}}).encode(),
    "zip": zipped(),
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(100),
    "HTML": b"<!DOCTYPE html><html>Not found</html>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
    "text": "Modell für später\n".encode(),
    "a tensor": numpy_helper.from_array(np.ones(3), "t").SerializeToString(),
    "a graph": conv_net().graph.SerializeToString(),
    "a model without a graph": ModelProto(ir_version=8).SerializeToString(),
    "two models in one": NET + NET,
}


@pytest.mark.parametrize("what", NO_MODELS)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, what: str) -> None:
    source = tmp_path / "m.onnx"
    source.write_bytes(NO_MODELS[what])

    assert "m.onnx" in assert_refused(source)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()

    assert "is a directory" in assert_refused(tmp_path / "m.onnx")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "nowhere.onnx" in assert_refused(tmp_path / "nowhere.onnx")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.onnx")

    assert "m.onnx" in assert_refused(tmp_path / "m.onnx")


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").symlink_to("m.onnx")

    assert "m.onnx" in assert_refused(tmp_path / "m.onnx")


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / ("x" * 300))


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")
    denied = (
        "import os, sys, errno, pathlib\n"
        "real = pathlib.Path.open\n"
        "def refusing(path, *more, **named):\n"
        "    if str(path).endswith('m.onnx'):\n"
        "        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))\n"
        "    return real(path, *more, **named)\n"
        "pathlib.Path.open = refusing\n"
        "from folding.cli import main\n"
        "main()\n"
    )

    found = subprocess.run(
        [sys.executable, "-c", denied, "fold", source],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert found.returncode == 2
    assert_one_sentence(found.stderr)
    assert "Permission denied" in found.stderr


# --- models that are wrong -----------------------------------------------------------------------


def set_dims(model: ModelProto, name: str, *dims: int) -> None:
    del initializer(model, name).dims[:]
    initializer(model, name).dims.extend(dims)


def set_floats(model: ModelProto, count: int) -> None:
    """The weight in float_data, with so many numbers."""
    initializer(model, "w").ClearField("raw_data")
    initializer(model, "w").float_data.extend([1.0] * count)


def add_cycle(model: ModelProto) -> None:
    model.graph.node.add(op_type="Neg", input=["q"], output=["p"])
    model.graph.node.add(op_type="Neg", input=["p"], output=["q"])


def loop_back(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "y"


def duplicate(model: ModelProto, name: str) -> None:
    model.graph.initializer.add().CopyFrom(initializer(model, name))


WRONG: dict[str, tuple[Change, str]] = {
    "an operator nobody knows": (lambda m: setattr(node(m, "relu"), "op_type", "Relux"), "Relux"),
    "an attribute nobody knows": (
        lambda m: node(m, "relu").attribute.add(name="slope", type=1, f=1),
        "slope",
    ),
    "too few inputs": (lambda m: node(m, "conv").input.__delitem__(slice(1, 3)), "Conv"),
    "too many outputs": (lambda m: node(m, "relu").output.append("z"), "Relu"),
    "dims larger than the bytes": (lambda m: set_dims(m, "w", 4, 3, 3, 4), "'w'"),
    "dims smaller than the bytes": (lambda m: set_dims(m, "w", 4, 3, 3), "'w'"),
    "huge dims": (lambda m: set_dims(m, "w", 1 << 40, 1 << 40), "'w'"),
    "negative dims": (lambda m: set_dims(m, "w", -4, -27), "'w'"),
    "no bytes": (lambda m: initializer(m, "w").ClearField("raw_data"), "w"),
    "too few numbers": (lambda m: set_floats(m, 107), "'w'"),
    "too many numbers": (lambda m: set_floats(m, 109), "'w'"),
    "another type than its numbers": (
        lambda m: setattr(initializer(m, "b"), "data_type", TensorProto.DOUBLE),
        "'b'",
    ),
    "a type nobody knows": (lambda m: setattr(initializer(m, "b"), "data_type", 99), "b"),
    "no type": (lambda m: initializer(m, "b").ClearField("data_type"), "b"),
    "a tensor twice": (lambda m: duplicate(m, "w"), "w"),
    "a tensor without a name": (lambda m: initializer(m, "b").ClearField("name"), "name"),
    "a value made twice": (lambda m: m.graph.node.add().CopyFrom(node(m, "relu")), "y"),
    "a value that is an input as well": (
        lambda m: node(m, "conv").output.__setitem__(0, "x"),
        "x",
    ),
    "an input nobody makes": (lambda m: node(m, "conv").input.__setitem__(0, "ghost"), "ghost"),
    "an output nobody makes": (lambda m: setattr(m.graph.output[0], "name", "ghost"), "ghost"),
    "an input twice": (lambda m: m.graph.input.add().CopyFrom(m.graph.input[0]), "x"),
    "a cycle": (add_cycle, "q"),
    "a node that reads its own output": (loop_back, "y"),
    "nodes in the wrong order": (lambda m: m.graph.node.reverse(), "n"),
    "an opset nobody knows": (lambda m: setattr(m.opset_import[0], "version", 999), "999"),
    "opset 0": (lambda m: setattr(m.opset_import[0], "version", 0), "0"),
    "a negative opset": (lambda m: setattr(m.opset_import[0], "version", -3), "-3"),
    "no opset": (lambda m: m.ClearField("opset_import"), "opset"),
    "two versions of one opset": (
        lambda m: m.opset_import.add(domain="ai.onnx", version=13),
        "opset",
    ),
    "an IR version nobody knows": (lambda m: setattr(m, "ir_version", 999), "999"),
    "no IR version": (lambda m: m.ClearField("ir_version"), "ir_version"),
    "data in no file": (lambda m: refer(initializer(m, "w"), location="no.bin"), "'no.bin'"),
    "data of another folder": (lambda m: refer(initializer(m, "w"), location="../w"), "'../w'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_model_that_is_wrong_is_refused_and_the_place_named(tmp_path: Path, what: str) -> None:
    change, place = WRONG[what]
    model = conv_net()
    change(model)

    said = assert_refused(save(model, tmp_path / "m.onnx"))

    assert place in said


@pytest.mark.parametrize("what", WRONG)
def test_in_memory_it_is_refused_too(what: str) -> None:
    model = conv_net()
    WRONG[what][0](model)

    with pytest.raises(folding.FoldError):
        folding.fold_model(model)


def constant_of(model: ModelProto, count: int) -> None:
    """Gamma as a Constant with so many numbers for its four."""
    tensor = TensorProto(name="g", data_type=1, dims=[4])
    tensor.float_data.extend([1.0] * count)
    found = helper.make_node("Constant", [], ["gamma"], value=tensor)
    kept = [t for t in model.graph.initializer if t.name != "gamma"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.node.insert(0, found)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_constant_whose_dims_disagree_with_its_numbers_is_refused(
    tmp_path: Path, count: int
) -> None:
    model = conv_net()
    constant_of(model, count)

    assert_refused(save(model, tmp_path / "m.onnx"))


PLACES = ["name of a node", "name of a value", "name of a tensor", "operator", "graph", "doc"]


@pytest.mark.parametrize("place", PLACES)
def test_a_text_that_is_not_utf_8_is_no_crash(tmp_path: Path, place: str) -> None:
    model = conv_net()
    match place:
        case "name of a node":
            node(model, "conv").name = "@@@@"
        case "name of a value":
            node(model, "conv").output[0] = node(model, "n_norm").input[0] = "@@@@"
        case "name of a tensor":
            initializer(model, "w").name = node(model, "conv").input[1] = "@@@@"
        case "operator":
            node(model, "relu").op_type = "@@@@"
        case "graph":
            model.graph.name = "@@@@"
        case _:
            model.graph.doc_string = "@@@@"
    source = tmp_path / "m.onnx"
    source.write_bytes(model.SerializeToString().replace(b"@@@@", b"\xff\xfe\x80\xc3"))

    found = run("fold", source)

    assert found.returncode in (0, 2)
    if found.returncode:
        assert_one_sentence(found.stderr)


def test_a_body_nested_without_end_is_refused(tmp_path: Path) -> None:
    graph = conv_net().graph.SerializeToString()
    for _ in range(500):
        for field in (6, 5, 1):  # The graph of an attribute of a node of a graph.
            graph = delimited(field, graph)
    model = ModelProto(ir_version=8)
    model.opset_import.add(domain="", version=17)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString() + delimited(7, graph))

    assert_refused(tmp_path / "m.onnx")


# --- names that would play with the terminal -----------------------------------------------------

NASTY = "a\x1b[2Jb\nfold-model: all fine\r\x07\u202e[red]"


def nasty_net() -> ModelProto:
    model = conv_net()
    extra = kept_net().graph
    model.graph.input.append(extra.input[0])
    model.graph.input[-1].name = NASTY
    stored = list(extra.initializer)
    for tensor in stored:
        tensor.name = f"k_{tensor.name}"
    model.graph.initializer.extend(stored)
    nasty = norm_node("k_", NASTY, f"{NASTY}_out")
    model.graph.node.append(nasty)
    model.graph.output.append(extra.output[0])
    model.graph.output[-1].name = f"{NASTY}_out"
    node(model, "conv").name = f"{NASTY}_conv"
    node(model, "relu").name = f"{NASTY}_relu"
    return model


def assert_harmless(text: str) -> None:
    assert all(character.isprintable() or character == "\n" for character in text)
    assert not any(line.startswith("fold-model: all fine") for line in text.splitlines())


@pytest.mark.parametrize("verb", ["fold", "explain"])
def test_names_that_play_with_the_terminal_are_shown_harmlessly(tmp_path: Path, verb: str) -> None:
    found = run(verb, save(nasty_net(), tmp_path / "m.onnx"))

    assert found.returncode == 0
    assert "x1b" in found.stdout
    assert_harmless(found.stdout)
    assert_harmless(found.stderr)


FAULTS: dict[str, Change] = {
    "an operator": lambda m: setattr(m.graph.node[0], "op_type", NASTY),
    "a domain": lambda m: setattr(m.graph.node[0], "domain", NASTY),
    "a tensor": lambda m: initializer(m, "w").MergeFrom(TensorProto(name=NASTY, dims=[5])),
    "a value": lambda m: m.graph.node[0].input.__setitem__(0, f"{NASTY}_ghost"),
    "a file": lambda m: refer(initializer(m, "w"), location=f"{NASTY}.bin"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_errors_show_names_harmlessly(tmp_path: Path, what: str) -> None:
    model = nasty_net()
    FAULTS[what](model)

    assert_harmless(assert_refused(save(model, tmp_path / "m.onnx")))


def test_shapes_that_contradict_each_other_are_told_harmlessly(tmp_path: Path) -> None:
    model = nasty_net()
    value = helper.make_tensor_value_info(f"{NASTY}_m", TensorProto.FLOAT, None)
    model.graph.output.append(value)
    node_ = helper.make_node("MatMul", [NASTY, NASTY], [f"{NASTY}_m"], name=f"{NASTY}_matmul")
    model.graph.node.append(node_)

    found = run("explain", save(model, tmp_path / "m.onnx"))

    assert found.returncode == 0
    assert_harmless(found.stdout)
    assert_harmless(found.stderr)


def test_hints_show_names_harmlessly(tmp_path: Path) -> None:
    source = save(nasty_net(), tmp_path / "m.onnx")
    np.savez(tmp_path / "i.npz", other=np.zeros(3))

    assert_harmless(assert_refused(source, "--inputs", tmp_path / "i.npz"))


def test_paths_show_harmlessly(tmp_path: Path) -> None:
    name = NASTY.replace("/", "")
    source = save(conv_net(), tmp_path / f"{name}.onnx")

    found = run("fold", source)

    assert found.returncode == 0
    assert (tmp_path / f"{name}.folded.onnx").exists()
    assert_harmless(found.stdout)


def test_a_path_that_is_not_utf_8_is_no_obstacle(tmp_path: Path) -> None:
    source = save(conv_net(), tmp_path / os.fsdecode(b"m\xff.onnx"))

    found = run("fold", source, "--json", tmp_path / "r.json")

    assert found.returncode == 0, found
    verdict = json.loads((tmp_path / "r.json").read_text())["verification"]
    assert verdict["verdict"] == "equivalent"


def test_a_terminal_that_cannot_show_the_names_is_no_obstacle(tmp_path: Path) -> None:
    model = conv_net()
    node(model, "conv").name = "größe"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    found = run("fold", save(model, tmp_path / "m.onnx"), env=environment)

    assert found.returncode == 0, found


# --- targets and other options -------------------------------------------------------------------


def test_the_source_by_any_other_name_is_no_target(tmp_path: Path) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")
    os.link(source, tmp_path / "hard.onnx")
    (tmp_path / "soft.onnx").symlink_to(source)
    for name in ("m.onnx", "./m.onnx", "hard.onnx", "soft.onnx"):
        assert "under another name" in assert_refused(source, "-o", name)


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    assert_refused(save(conv_net(), tmp_path / "m.onnx"), "-o", tmp_path)


def test_a_target_in_no_folder_is_refused(tmp_path: Path) -> None:
    assert_refused(save(conv_net(), tmp_path / "m.onnx"), "-o", tmp_path / "no" / "f.onnx")


@pytest.mark.parametrize("place", ["no/r.json", ".", "m.onnx", "./m.onnx", "link.json", "hard"])
def test_a_report_that_cannot_be_written_or_would_harm_the_source_stops_everything(
    tmp_path: Path, place: str
) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")
    (tmp_path / "link.json").symlink_to("m.onnx")
    os.link(source, tmp_path / "hard")

    assert_refused(source, "--json", place)


def test_the_report_is_not_written_over_the_source_s_data(tmp_path: Path) -> None:
    source = save_apart(conv_net(16), tmp_path / "m.onnx")

    assert_refused(source, "--json", "weights.bin")


def test_the_report_is_not_written_over_the_default_target(tmp_path: Path) -> None:
    assert_refused(save(conv_net(), tmp_path / "m.onnx"), "--json", "m.folded.onnx")


def test_a_full_disk_for_the_report_leaves_no_target_behind(tmp_path: Path) -> None:
    assert_refused(save(conv_net(), tmp_path / "m.onnx"), "--json", "/dev/full")


def test_a_full_standard_output_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            command("explain", source, "--json", "-"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert found.returncode == 2
    assert_one_sentence(found.stderr)


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")
    running = subprocess.Popen(
        command("explain", source, "--json", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    said = running.stderr.read().decode()
    running.stderr.close()

    assert running.wait(60) in (0, 141, 128 + signal.SIGPIPE)
    assert "Traceback" not in said
    assert "Exception" not in said


# --- interrupts and rivals -----------------------------------------------------------------------

STUCK = """
import time
import folding.pipeline
from {module} import {function} as real
def slow(*arguments, **named):
    print("here", flush=True)
    for _ in range(300):  # A signal may reach another thread, which wakes no long sleep.
        time.sleep(0.1)
    return real(*arguments, **named)
import {module}
{module}.{function} = slow
from folding.cli import main
main()
"""
STAGES = {
    "reading": ("folding.soundness", "check"),
    "planning": ("folding.trial", "plan_model"),
    "writing": ("folding.writing", "_pieces"),
    "verifying": ("folding.equivalence.gate", "verify_fold"),
}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("apart", [False, True])
def test_an_interrupt_at_any_stage_leaves_nothing(
    tmp_path: Path, sent: signal.Signals, stage: str, apart: bool
) -> None:
    module, function = STAGES[stage]
    source = (save_apart if apart else save)(conv_net(16), tmp_path / "m.onnx")
    before = contents(tmp_path)
    code = STUCK.format(module=module, function=function)
    with subprocess.Popen(
        [sys.executable, "-c", code, "fold", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == "here\n"
            running.send_signal(sent)
            out, said = running.communicate(timeout=20)
        finally:
            running.kill()

    assert running.returncode == 130
    assert_one_sentence(said.removeprefix("fold-model: write ...\n"))
    assert out == ""
    assert contents(tmp_path) == before


@pytest.mark.parametrize("apart", [False, True])
def test_two_runs_to_one_target_leave_a_complete_one(tmp_path: Path, apart: bool) -> None:
    keep = save_apart if apart else save
    source = keep(conv_net(64), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "expected.onnx")
    expected = read(tmp_path / "expected.onnx")
    for file in tmp_path.glob("expected*"):
        file.unlink()

    runs = [
        subprocess.Popen(command("fold", source, "--quiet"), stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [running.communicate(timeout=60)[1] for running in runs]

    assert all(running.returncode in (0, 2) for running in runs)
    assert any(running.returncode == 0 for running in runs)
    assert not any("Traceback" in text for text in said)
    assert read(tmp_path / "m.folded.onnx") == expected
    assert not list(tmp_path.glob(".*"))


def test_a_failing_run_does_not_take_the_data_of_one_that_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_apart(conv_net(16), tmp_path / "m.onnx")
    target = tmp_path / "f.onnx"

    def rival(*_: Any) -> Any:
        """Somebody else folds the same to the same place while we verify; then we fail."""
        monkeypatch.undo()
        folding.fold(source, target)
        raise folding.StorageFailed("ours fails")

    monkeypatch.setattr("folding.equivalence.gate.verify_fold", rival)

    with pytest.raises(folding.StorageFailed):
        folding.fold(source, target)

    assert len(read(target).graph.initializer) == 2


def test_a_big_model_is_refused_or_folded_in_little_time(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(5000)]
    graph = helper.make_graph(
        nodes,
        "long",
        [helper.make_tensor_value_info("v0", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("v5000", TensorProto.FLOAT, [1])],
    )
    start = time.perf_counter()

    found = run("fold", save(make(graph), tmp_path / "m.onnx"))

    assert found.returncode == 0
    assert time.perf_counter() - start < 20
