"""What is missing for the files of Keras 2."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conversion.routes.conftest import Ask, Saved

from folding.conversion.job import Job, Kind
from folding.conversion.routes import keras2
from folding.errors import BadCall, BadModel


def test_a_missing_tf_keras_comes_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras 3 does not read them, so it is no matter whether that is there."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "")
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(BadCall, match=r"is of Keras 2\.15\.0, which tf_keras reads") as raised:
        keras2.run(Job(path, Kind.KERAS, tmp_path))
    assert raised.value.hint == "Install it: python -m pip install 'fold-model[tensorflow]'"


@pytest.mark.frameworks
@pytest.mark.parametrize(("op", "is_refused"), [("Abs", False), ("ReadFile", True)])
def test_layers_that_are_operators_may_only_compute(
    tmp_path: Path,
    op: str,
    is_refused: bool,  # noqa: FBT001
) -> None:
    """The Keras of TensorFlow 2.0 to 2.3 kept functions as such."""
    h5py = pytest.importorskip("h5py")
    arrays = tmp_path / "arrays.h5"
    h5py.File(arrays, "w").close()
    path = tmp_path / "m.keras"
    node = {"name": "n", "op": op, "input": ["x"], "attr": {"T": {"type": "DT_FLOAT"}}}
    layer = {"class_name": "TensorFlowOpLayer", "config": {"name": "n", "node_def": node}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.3.0"}))
        archive.writestr("config.json", json.dumps({"layers": [layer]}))
        archive.write(arrays, "model.weights.h5")
    with pytest.raises((BadCall, BadModel)) as raised:
        keras2.run(Job(path, Kind.KERAS, tmp_path))
    assert ("may use files" in str(raised.value)) == is_refused


def calling(model: dict[str, Any], activation: dict[str, Any], argument: str) -> dict[str, Any]:
    """The description of a model with one more layer, which calls something with a text."""
    config = {"name": "calling", "trainable": True, "dtype": "float32", "activation": activation}
    kind = {"module": "keras.layers", "class_name": "Activation", "registered_name": None}
    called = {"inbound_nodes": [[["_CONSTANT_VALUE", -1, argument, {}]]]}
    layers = [*model["config"]["layers"], {**kind, "name": "calling", "config": config, **called}]
    return {**model, "config": {**model["config"], "layers": layers}}


@pytest.mark.frameworks
def test_what_keras_finds_by_other_names_is_not_called(
    saved: Saved, ask: Ask, tmp_path: Path
) -> None:
    """Here what reads a second description, in a text, of a layer that runs Python."""
    target, source = tmp_path / "written", tmp_path / "hostile.keras"
    runs = {"class_name": "function", "module": "builtins", "config": "exec"}
    reads = {"class_name": "model_from_json", "module": "keras.models", "config": "Custom>Adam"}
    with zipfile.ZipFile(saved("tf_keras") / "two.keras") as given:
        model = json.loads(given.read("config.json"))
        inner = calling(model, {**runs, "registered_name": "x"}, f"open({str(target)!r}, 'w')")
        outer = calling(model, {**reads, "registered_name": None}, json.dumps(inner))
        with zipfile.ZipFile(source, "w") as made:
            made.writestr("config.json", json.dumps(outer))
            for name in ("metadata.json", "model.weights.h5"):
                made.writestr(name, given.read(name))

    (answer,) = ask("keras2", [{"source": source}])

    assert answer.said["error"] == "BadCall"
    assert "holds code" in answer.said["message"]
    assert not target.exists()
