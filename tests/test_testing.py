"""assert_equivalent: what a test suite is told of two models."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net, save
from graphs import Net
from onnx import ModelProto, numpy_helper
from verifications import HOSTILE, verification

import folding
from folding import testing
from folding.testing import assert_equivalent


def answer(monkeypatch: pytest.MonkeyPatch, name: str) -> list[dict[str, Any]]:
    """Let every verification come out like this; what was asked is in the list."""
    asked: list[dict[str, Any]] = []

    def verify(reference: Any, candidate: Any, **how: Any) -> Any:
        asked.append({"reference": reference, "candidate": candidate, **how})
        return verification(name).verdict

    monkeypatch.setattr(testing, "verify", verify)
    return asked


def message(*words: Any, **more: Any) -> str:
    """What is said where it fails."""
    with pytest.raises(AssertionError) as caught:
        assert_equivalent(*words, **more)
    return str(caught.value)


def test_a_fold_of_a_file_passes(tmp_path: Path) -> None:
    source = save(conv_net(), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "f.onnx")

    assert_equivalent(source, str(tmp_path / "f.onnx"))


def test_a_fold_in_memory_passes() -> None:
    model = conv_net()

    assert_equivalent(model, folding.fold_model(model)[0])


def test_a_wrong_weight_fails_and_its_tensor_is_named() -> None:
    model = conv_net()
    folded = folding.fold_model(model)[0]
    weight = next(tensor for tensor in folded.graph.initializer if tensor.name == "w")
    values = numpy_helper.to_array(weight).copy()
    values[1] *= 1.001
    weight.CopyFrom(numpy_helper.from_array(values, "w"))

    text = message(model, folded)

    assert "'w'" in text
    assert " REFERENCE: ModelProto 'net'" in text


def test_the_message_reads_like_that_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "different")

    assert message("a.onnx", Path("b.onnx")).splitlines() == [
        "",
        "Not equivalent",
        "",
        "frame: passed",
        "parameters: failed at 'w' (worst 7.25 of 1): a number is wrong",
        "outputs: not run: Bernoulli is random",
        "Verdict: different: parameters, which failed",
        " REFERENCE: a.onnx",
        " CANDIDATE: b.onnx",
    ]
    with pytest.raises(AssertionError) as theirs:
        np.testing.assert_allclose([1.0], [2.0])
    assert str(theirs.value).startswith("\nNot equal")  # The shape that ours follows.


def test_arrays_that_differ_are_described_in_the_words_of_numpy() -> None:
    """Of outputs, as numpy itself describes them."""
    one, other = constant([1.0, 2.0, 4.0, 8.0]), constant([1.0, 2.0, 5.5, 8.0])
    with pytest.raises(AssertionError) as theirs:
        np.testing.assert_allclose(np.array([1, 2, 5.5, 8]), np.array([1, 2, 4, 8]))

    ours = message(one, other).splitlines()

    said = [line.strip() for line in str(theirs.value).splitlines()]
    for start in ("Mismatched elements:", "Max absolute", "Max relative"):
        assert [line for line in ours if line.startswith(start)] == [
            line for line in said if line.startswith(start)
        ]


def test_the_channel_that_a_fold_got_wrong_is_described_so_too() -> None:
    """Where a site fails no output is compared, but what the layer gives is known."""
    model = conv_net()
    folded = folding.fold_model(model)[0]
    weight = next(tensor for tensor in folded.graph.initializer if tensor.name == "w")
    values = numpy_helper.to_array(weight).copy()
    values[1] *= 2
    weight.CopyFrom(numpy_helper.from_array(values, "w"))

    lines = message(model, folded).splitlines()

    place = next(i for i, line in enumerate(lines) if line.startswith("sites: failed"))
    assert "channel 1 of" in lines[place]
    count, total = re.findall(r"\d+", lines[place + 1])[:2]
    assert lines[place + 1].startswith("Mismatched elements: ")
    assert 0 < int(count) <= int(total)
    assert lines[place + 2].startswith("Max absolute difference among violations: ")
    assert lines[place + 3].startswith("Max relative difference among violations: ")


def constant(values: list[float]) -> ModelProto:
    """A model that computes, and always gives the same."""
    net = Net()
    flat = net.node("Mul", net.input(4), net.store(0.0))
    net.node("Add", flat, net.store(values), out="y")
    return net.model("y")


def test_what_could_not_be_established_fails_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "unproven")

    text = message("a.onnx", "b.onnx")

    assert text.startswith("\nEquivalence could not be established\n\n")
    assert "frame: not run at 'conv': it was rewritten" in text


def test_unproven_can_be_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "unproven")

    assert_equivalent("a.onnx", "b.onnx", accept_unproven=True)


def test_different_is_never_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "different")

    assert "Not equivalent" in message("a.onnx", "b.onnx", accept_unproven=True)


def test_equivalent_passes_though_a_check_was_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "not run")

    assert_equivalent("a.onnx", "b.onnx")


def test_hostile_names_stay_on_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "hostile")

    lines = message(HOSTILE, "b.onnx").splitlines()

    assert len(lines) == 8
    assert all(line.isprintable() for line in lines)


def test_what_is_asked_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, "equivalent")
    how = {
        "inputs": {"x": 1},
        "shapes": {"x": (1, 2)},
        "tolerance": 0.5,
        "provider": "P",
        "custom_ops": "lib",
        "follow_links": True,
        "limits": object(),
        "run_limits": object(),
    }

    assert_equivalent("a", "b", **how)  # type: ignore[arg-type]

    assert asked == [{"reference": "a", "candidate": "b", **how}]


def test_the_frames_between_are_hidden_from_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "different")

    with pytest.raises(AssertionError) as caught:
        assert_equivalent("a.onnx", "b.onnx")

    _, *ours = traceback.walk_tb(caught.value.__traceback__)
    assert ours
    assert all(frame.f_locals.get("__tracebackhide__") is True for frame, _ in ours)


def test_a_model_that_cannot_be_read_is_no_assertion() -> None:
    with pytest.raises(folding.StorageFailed, match="nowhere"):
        assert_equivalent("nowhere.onnx", conv_net())
