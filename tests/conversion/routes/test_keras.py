"""Keras files that need a word, or cannot be converted at all."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conversion.routes.conftest import Ask, Converted, Saved
from route_answers import HERE, Answer, answers, run

pytestmark = pytest.mark.frameworks

WAYS = ("tensorflow", "torch", "keras2")
SUFFIXES = (".keras", ".h5")


def _library(way: str) -> str:
    return "tf_keras" if way == "keras2" else "keras"


def _refused(answer: Answer, error: str, *parts: str) -> None:
    assert answer.said.get("error") == error, answer.said
    sentence = answer.said["message"]
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "layer"), [("dropout_on", "on"), ("noise_on", "loud")])
def test_random_numbers_at_inference_are_refused(
    name: str, layer: str, way: str, suffix: str, converted: Converted
) -> None:
    """Dropout or noise with training=True gives no two equal outputs, so there is none to keep."""
    answer = converted(way, name + suffix)
    _refused(answer, "LeftInTraining", "random numbers", layer)
    assert answer.said["lints"] == [["RANDOM_AT_INFERENCE", layer]]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("way", WAYS)
def test_live_batch_statistics_are_refused(way: str, suffix: str, converted: Converted) -> None:
    """A batch norm with training=True learns whenever it is run."""
    answer = converted(way, f"norm_on{suffix}")
    _refused(answer, "LeftInTraining", "moving_mean", "at inference")
    assert [code for code, _ in answer.said["lints"]] == ["BATCH_STATISTICS"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_layer_is_named(way: str, suffix: str, converted: Converted) -> None:
    """A file with a layer of the user's own says which one is unknown here."""
    _refused(converted(way, f"odd{suffix}"), "BadModel", "Odd", f"odd{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("way", WAYS)
def test_a_lambda_runs_with_trust_only(
    way: str, suffix: str, converted: Converted, saved: Saved, ask: Ask
) -> None:
    """Code in a file is run if the user says so, and otherwise not."""
    answer = converted(way, f"lambda{suffix}")
    _refused(answer, "BadCall", "Lambda", "'twice'", "holds code")
    assert "--trust" in answer.said["hint"]
    source = saved(_library(way)) / f"lambda{suffix}"
    (trusted,) = ask(way, [{"source": source, "trust": True}])
    trusted.require_same(trusted.model)


@pytest.mark.parametrize("way", WAYS)
def test_outputs_are_called_and_chosen_as_in_keras(way: str, saved: Saved, ask: Ask) -> None:
    """The keys of a dictionary of outputs name them; one that is not there is refused."""
    source = saved(_library(way)) / "two.keras"
    both, one, none = ask(
        way,
        [
            {"source": source},
            {"source": source, "outputs": ["narrow"]},
            {"source": source, "outputs": ["deep"]},
        ],
    )
    assert both.names("inputs") == [("image", "image")]
    assert sorted(both.names("outputs")) == [("narrow", "narrow"), ("wide", "wide")]
    assert one.names("outputs") == [("narrow", "narrow")]
    assert one.folded().plan.counts["kept"] == 0
    _refused(none, "BadCall", "'deep'")
    assert "'narrow', 'wide'" in none.said["hint"]


@pytest.mark.parametrize("way", WAYS)
def test_outputs_of_one_layer_are_numbered(way: str, saved: Saved, ask: Ask) -> None:
    """However many there are, and whatever another layer is called."""
    (answer,) = ask(way, [{"source": saved(_library(way)) / "shared.keras"}])
    names = [name for name, _ in answer.names("outputs")]
    assert len(set(names)) == len(names) == 4
    assert way == "keras2" or names == ["n", "n_2", "n_1", "n_3"]
    assert answer.folded().plan.counts["kept"] == 0


@pytest.mark.parametrize("way", ["tensorflow", "torch"])
def test_a_transformer_is_converted(way: str, saved: Saved, ask: Ask) -> None:
    """Its exact GELU and its argmax too, for which tf2onnx has no conversion."""
    (answer,) = ask(way, [{"source": saved("keras") / "attention.keras"}])
    assert answer.folded().plan.counts["folded"]


def test_an_open_length_is_kept_where_it_can_be(saved: Saved, ask: Ask) -> None:
    """PyTorch's exporter unrolls a recurrent layer, which is then said to take one length only."""
    names = ("recurrent.keras", "open.keras")
    unrolled, open_ = ask("torch", [{"source": saved("keras") / name} for name in names])
    (warning,) = unrolled.said["warnings"]
    assert "takes arrays of ?x32x3 only" in warning["text"]
    assert len(unrolled.said["references"]) == 3  # The batch is open.
    assert not open_.said["warnings"]
    for answer in (unrolled, open_):
        answer.folded()
    session = onnxruntime.InferenceSession(open_.model)
    (shorter,) = session.run(None, {"words": np.ones((3, 11, 3), np.float32)})
    assert shorter.shape == (3, 9, 2)
    (kept,) = ask("tensorflow", [{"source": saved("keras") / "recurrent.keras"}])
    assert not kept.said["warnings"]


def test_where_no_batch_can_be_left_open_one_is_fixed(saved: Saved, ask: Ask) -> None:
    """PyTorch's older exporter writes what is no model of a layer that goes both ways."""
    (answer,) = ask("torch", [{"source": saved("keras") / "turned.keras"}])
    (warning,) = answer.said["warnings"]
    assert "takes arrays of 1x32x3 only" in warning["text"]
    answer.folded()


def test_what_tensorflow_cannot_convert_may_go_by_torch(saved: Saved, ask: Ask) -> None:
    """An operator that tf2onnx has no conversion for is named, with the way around."""
    (answer,) = ask("tensorflow", [{"source": saved("keras") / "left_over.keras"}])
    _refused(answer, "Unconvertible", "no conversion for the Erfinv")
    assert "KERAS_BACKEND=torch" in answer.said["hint"]
    assert "fold-model[torch]" in answer.said["hint"]


def test_what_tensorflow_cannot_trace_is_said(saved: Saved, ask: Ask) -> None:
    """Some names of layers are none to TensorFlow; the reason is a sentence, and no traceback."""
    (answer,) = ask("tensorflow", [{"source": saved("keras") / "spaced.keras"}])
    _refused(answer, "Unconvertible", "no graph of the model: 'a b' is not a valid scope name")


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_frozen_is_said(way: str, saved: Saved, ask: Ask) -> None:
    """A flag that the model has not is named, with what it has."""
    source = saved(_library(way)) / "channels_last.keras"
    missing, open_ = ask(
        way,
        [
            {"source": source, "freeze": {"training": False}},
            {"source": source, "freeze": {"image": 0}},
        ],
    )
    _refused(missing, "BadCall", "'training'")
    assert "'image'" in missing.said["hint"]
    _refused(open_, "BadCall", "'image'", "open")


@pytest.mark.parametrize("way", WAYS)
def test_damaged_files_are_refused(way: str, saved: Saved, ask: Ask, tmp_path: Path) -> None:
    """Half a file, and a file of weights alone, are no models."""
    folder = saved(_library(way))
    halves = []
    for suffix in SUFFIXES:
        whole = (folder / f"dense_elu{suffix}").read_bytes()
        halves.append(tmp_path / f"half{suffix}")
        halves[-1].write_bytes(whole[: len(whole) // 2])
    weights = tmp_path / "weights.h5"
    with zipfile.ZipFile(folder / "dense_elu.keras") as archive:
        weights.write_bytes(archive.read("model.weights.h5"))
    first, second, third = ask(way, [{"source": path} for path in (*halves, weights)])
    _refused(first, "BadModel", "half.keras")
    _refused(second, "BadModel", "half.h5")
    _refused(third, "BadModel", "weights.h5", "weights, and not the layers")
    assert first.said["hint"] == second.said["hint"] == "Copy or save it again."


def test_a_backend_that_is_not_there_is_named(saved: Saved, tmp_path: Path) -> None:
    """Keras can be told to use what is not installed; the command that installs it is said."""
    absent = "raise ModuleNotFoundError(\"No module named 'jax'\", name='jax')"
    (tmp_path / "jax.py").write_text(absent)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    source = saved("keras") / "dense_elu.keras"
    environment = {"KERAS_BACKEND": "jax", "PYTHONPATH": paths}
    (answer,) = answers([{"source": source}], tmp_path, environment)
    _refused(answer, "BadCall", "jax", "not installed")
    assert "fold-model[jax]" in answer.said["hint"]


@pytest.mark.parametrize(
    ("library", "backend"), [("keras", "tensorflow"), ("keras", "torch"), ("tf_keras", "")]
)
def test_live_models_are_converted_and_left_alone(
    library: str, backend: str, tmp_path: Path
) -> None:
    """A model of the caller's program keeps every weight it has, and is of any batch.

    It may be functional or a subclass, whose inputs and outputs are in dictionaries and lists. It
    may have been built by data, and have layers that train unless they are told not to.
    """
    script = str(HERE / "live_keras.py")
    legacy = {"TF_USE_LEGACY_KERAS": "1"} if library == "tf_keras" else {}
    run([script, library, str(tmp_path)], {"KERAS_BACKEND": backend, **legacy})
    said = json.loads((tmp_path / "said.json").read_text())
    for name in ("functional", "subclass", "dictionary", "nested", "keyed", "built", "augmented"):
        Answer(tmp_path / name, said[name]).folded()
        assert len(said[name]["references"]) == 3  # At a batch of 1, 3 and 8.
    assert [port["source"] for port in said["dictionary"]["outputs"]] == ["p", "q"]
    assert said["learns"] == ["LeftInTraining", "unchanged"]
    assert said["told"][0] == "LeftInTraining"
    assert said["stateful"][0] == "Unconvertible"
    assert "changes" in said["stateful"][1]
    assert said["uncalled"][0] == "BadCall"
    assert "Call it once" in said["uncalled"][2]
    assert said["several"][:2] == [
        "BadCall",
        "the model 'several' takes several arguments: 'one', 'other'",
    ]
    for name in ("nested", "keyed"):
        names = {(port["source"], port["graph"]) for port in said[name]["inputs"]}
        assert names == {("one", "one"), ("pair.0", "pair.0"), ("pair.1", "pair.1")}
    assert [port["graph"] for port in said["nested"]["outputs"]] == ["sums.0", "sums.1"]
